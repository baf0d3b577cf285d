#!/bin/bash
# Builds and installs what can be without the network: packages.sh BINARY. Prints 'N passed, N failed'.
set -u
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
binary=${1:-$repo/target/debug/auto-itera}
[ -x "$binary" ] || { echo "SKIP: there is no engine at $binary"; echo "0 passed, 0 failed"; exit 0; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
# A debug build is large; what is packed needs no symbols.
strip -o "$tmp/auto-itera" "$binary" 2>/dev/null || cp "$binary" "$tmp/auto-itera"
passed=0 failed=0
check() { what=$1 pattern=$2; shift 2
  if "$@" > "$tmp/out" 2>&1 || true; grep -Eq -- "$pattern" "$tmp/out"; then echo "ok   packages: $what"; passed=$((passed + 1))
  else echo "FAIL packages: $what"; tail -5 "$tmp/out"; failed=$((failed + 1)); fi; }
ask='{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/list"}'
tools() { (printf '%s\n' "$ask"; sleep 2) | (cd "$tmp" && "$@"); }
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$repo/Cargo.toml" | head -1)
if command -v npm > /dev/null && command -v node > /dev/null; then
  check "npm: both packages are packed" "auto-itera-$version.tgz" node "$repo/packaging/npm/build.mjs" --binary "$tmp/auto-itera" --out "$tmp/npm"
  check "npm: they install without the network" "added 2 packages|code 0" bash -c "npm install --offline --no-audit --no-fund --cache $tmp/cache -g --prefix $tmp/prefix $tmp/npm/auto-itera-*64-$version.tgz $tmp/npm/auto-itera-$version.tgz; echo code \$?"
  check "npm: the shim starts the binary" "^auto-itera $version$" "$tmp/prefix/bin/auto-itera" --version
  check "npm: exit codes pass through" "code 2" bash -c "$tmp/prefix/bin/auto-itera nonsense; echo code \$?"
  check "npm: the server lists its tools" '"name":"lock_frame"' tools "$tmp/prefix/bin/auto-itera"
  rm -rf "$tmp/prefix/lib/node_modules/@auto-itera"
  check "npm: a missing platform package is explained" "no binary for" "$tmp/prefix/bin/auto-itera" --version
else
  echo "SKIP: npm is not on this machine"
fi
if command -v python3 > /dev/null; then
  check "mcpb: the bundle is built" "x.mcpb" python3 "$repo/packaging/mcpb/build.py" --binary "$tmp/auto-itera" --out "$tmp/x.mcpb"
  check "mcpb: the zip is whole and the binary can run" "^fine [0-9]+ tools$" python3 - "$tmp/x.mcpb" <<'P'
import json, sys, zipfile
z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None
m = json.loads(z.read("manifest.json")); assert m["server"]["entry_point"] in z.namelist()
assert z.getinfo("server/auto-itera").external_attr >> 16 & 0o111
print("fine", len(m["tools"]), "tools")
P
  mkdir "$tmp/unzipped"; python3 -m zipfile -e "$tmp/x.mcpb" "$tmp/unzipped"; chmod +x "$tmp/unzipped/server/auto-itera"
  check "mcpb: the bundled server lists its tools" '"name":"lock_frame"' tools "$tmp/unzipped/server/auto-itera" serve --project "$tmp"
  cache=${CLIENT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/auto-itera-clients}/mcpb
  [ -x "$cache/node_modules/.bin/mcpb" ] || npm install --no-audit --no-fund --prefix "$cache" @anthropic-ai/mcpb > /dev/null 2>&1
  if [ -x "$cache/node_modules/.bin/mcpb" ]; then check "mcpb: the maker's tool finds the manifest valid" "schema validation passes" "$cache/node_modules/.bin/mcpb" validate "$tmp/unzipped/manifest.json"
  else echo "SKIP: the validator of MCPB bundles cannot be installed from the registry"; fi
else
  echo "SKIP: python3 is not on this machine"
fi
if [ -n "${CARGO_INSTALL:-}" ]; then
  check "cargo install builds and installs" "^auto-itera $version$" bash -c "CARGO_TARGET_DIR=$repo/target cargo install --quiet --locked --debug --path $repo/crates/auto-itera --root $tmp/cargo && $tmp/cargo/bin/auto-itera --version"
else
  echo "SKIP: cargo install is tried only with CARGO_INSTALL=1, as it compiles"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
