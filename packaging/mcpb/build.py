#!/usr/bin/env python3
"""Zips a desktop extension around a built binary.

    build.py [--binary target/release/auto-itera] [--out auto-itera.mcpb] [--platform linux|darwin]

The tools and prompts are asked of the binary itself, so that the manifest cannot disagree with it.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import zipfile

here = pathlib.Path(__file__).resolve().parent
root = here.parent.parent
parser = argparse.ArgumentParser()
parser.add_argument("--binary", type=pathlib.Path, default=root / "target/release/auto-itera")
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("auto-itera.mcpb"))
parser.add_argument("--platform", choices=["linux", "darwin"], default=sys.platform)
parser.add_argument("--no-run", action="store_true", help="do not ask the binary for its tools (it is of another platform)")
given = parser.parse_args()
if not given.binary.is_file():
    sys.exit(f"there is no binary at {given.binary}")

manifest = json.loads((here / "manifest.json").read_text())
version = re.search(r'^version = "([^"]+)"', (root / "Cargo.toml").read_text(), re.M).group(1)
if manifest["version"] != version:
    sys.exit(f"packaging/mcpb/manifest.json is not at version {version}")
manifest["compatibility"]["platforms"] = [given.platform]
if not given.no_run:
    asks = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "build", "version": "1"}}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    server = subprocess.Popen([given.binary.resolve(), "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for ask in asks:
        server.stdin.write(json.dumps(ask) + "\n")
    server.stdin.flush()
    tools = []
    for line in server.stdout:
        answer = json.loads(line)
        if answer.get("id") == 2:
            tools = answer["result"]["tools"]
            break
    server.stdin.close()
    server.wait(timeout=20)
    if not tools:
        sys.exit("the binary lists no tools")
    manifest["tools"] = [{"name": t["name"], "description": t["description"].split(". ")[0].rstrip(".") + "."} for t in tools]

with zipfile.ZipFile(given.out, "w", zipfile.ZIP_DEFLATED) as bundle:
    bundle.writestr("manifest.json", json.dumps(manifest, indent=2) + "\n")
    entry = zipfile.ZipInfo("server/auto-itera", date_time=(2026, 1, 1, 0, 0, 0))
    entry.external_attr = 0o100755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    bundle.writestr(entry, given.binary.read_bytes())
    bundle.write(root / "LICENSE", "LICENSE")
print(given.out)
