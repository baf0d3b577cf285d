#!/bin/bash
# A second client, opencode, with the server registered by `auto-itera init`: opencode.sh OUT BINARY
# Prints 'N passed, N failed', or why it was skipped.
set -u
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${IN_NAMESPACE:-}" ]; then
  cache=${CLIENT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/auto-itera-clients}/opencode
  find_client() { for c in "$cache"/node_modules/.bin/opencode "$cache"/node_modules/opencode-linux-*/bin/opencode "$cache"/node_modules/opencode-darwin-*/bin/opencode; do [ -x "$c" ] && "$c" --version > /dev/null 2>&1 && echo "$c" && return; done; }
  client=$(find_client)
  [ -n "$client" ] || { npm install --no-audit --no-fund --prefix "$cache" opencode-ai > /dev/null 2>&1; client=$(find_client); }
  [ -x "$client" ] || { echo "SKIP: opencode cannot be installed from the registry"; echo "0 passed, 0 failed"; exit 0; }
  export OPENCODE_BIN=$client IN_NAMESPACE=1
  if unshare -n true 2>/dev/null; then exec unshare -n "$0" "$@"; fi
  if unshare -rn true 2>/dev/null; then exec unshare -rn "$0" "$@"; fi
else
  ip link set lo up 2>/dev/null || true
fi
out=$1 binary=$2
rm -rf "$out"; mkdir -p "$out/project" "$out/home" "$out/bin"
cp "$binary" "$out/bin/auto-itera"
python3 "$here/project.py" "$out/project"
PROJECT=$out/project TOOL_PREFIX=itera_ python3 "$here/model.py" "$here/other_client.py" "$out/log.jsonl" "$out/port" 2> "$out/model.err" &
model=$!
trap 'kill $model 2>/dev/null' EXIT
for _ in $(seq 200); do [ -s "$out/port" ] && break; sleep 0.05; done
cd "$out/project" || exit 3
clean() { env -i PATH="$out/bin:/usr/local/bin:/usr/bin:/bin" HOME="$out/home" TERM=dumb OPENCODE_DISABLE_MODELS_FETCH=1 OPENCODE_DISABLE_AUTOUPDATE=1 "$@"; }
clean auto-itera init --client opencode --dir "$out/project" --yes > "$out/init.txt" 2>&1
python3 - "$out/project/opencode.json" "$(cat "$out/port")" <<'P'
import json, sys
config = json.load(open(sys.argv[1]))
config.update(share="disabled", autoupdate=False, provider={"anthropic": {"options": {"baseURL": f"http://127.0.0.1:{sys.argv[2]}/v1", "apiKey": "none"}}})
json.dump(config, open(sys.argv[1], "w"))
P
clean timeout "${LIMIT:-150}" "$OPENCODE_BIN" run --format json --model anthropic/claude-sonnet-4-5 "Should the router use the longer list?" \
  > "$out/out.jsonl" 2> "$out/err.txt" < /dev/null
python3 - "$out" <<'P'
import json, os, sys
out = sys.argv[1]
log = [json.loads(line) for line in open(out + "/log.jsonl")] if os.path.exists(out + "/log.jsonl") else []
log = [e for e in log if e["request"].get("tools")]
if not log:
    print("SKIP: opencode did not start here: " + open(out + "/err.txt").read()[-200:].replace("\n", " "))
    print("0 passed, 0 failed"); sys.exit(0)
said = json.dumps(log[-1]["request"]["messages"])
checks = {
    "opencode lists the tools": "itera_frame" in json.dumps(log[0]["request"]["tools"]),
    "opencode reads a refusal": "frame-first" in said,
    "opencode drafts and locks": "diffs_to_baseline" in said,
    "opencode seals rows": "linked_groups" in said,
    "opencode pilots": "the_arms_saw" in said,
}
for name, ok in checks.items():
    print(("ok   opencode: " if ok else "FAIL opencode: ") + name)
bad = sum(not ok for ok in checks.values())
print(f"{len(checks) - bad} passed, {bad} failed")
P
