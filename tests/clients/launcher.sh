#!/bin/bash
# Every branch of skill/bin/auto-itera: launcher.sh BINARY. Prints 'N passed, N failed'.
set -u
here=$(cd "$(dirname "$0")" && pwd)
launcher=$(cd "$here/../.." && pwd)/skill/bin/auto-itera
binary=${1:-$here/../../target/debug/auto-itera}
[ -x "$binary" ] || { echo "SKIP: there is no engine at $binary"; echo "0 passed, 0 failed"; exit 0; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"; [ -n "${web:-}" ] && kill $web 2>/dev/null' EXIT
version=$(sed -n 's/^VERSION=//p' "$launcher")
mkdir -p "$tmp"/{path,old,home,data,web,project/.auto-itera/experiments,other}
cp "$binary" "$tmp/path/auto-itera"
printf '#!/bin/sh\necho auto-itera 0.0.1\n' > "$tmp/old/auto-itera"; chmod +x "$tmp/old/auto-itera"
passed=0 failed=0
check() { # NAME, then a command whose output must match the pattern
  name=$1 pattern=$2; shift 2
  if found=$("$@" 2>"$tmp/err") || true; printf '%s' "$found" | grep -Eq -- "$pattern"; then echo "ok   launcher: $name"; passed=$((passed + 1))
  else echo "FAIL launcher: $name"; printf '%s\n' "$found" | head -3; head -3 "$tmp/err"; failed=$((failed + 1)); fi
}
start() { env -i HOME="$tmp/home" XDG_DATA_HOME="$tmp/data" AUTO_ITERA_RELEASE_URL="${url:-http://127.0.0.1:9/none}" PATH="$1:/usr/bin:/bin" ${shell:-} "$launcher" "${@:2}"; }
ask='{"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}},"jsonrpc":"2.0","id":0}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":"two","method":"tools/list"}
{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"status","arguments":{"id":99}}}
{"jsonrpc":"2.0","id":4,"method":"server/discover"}'
served() { printf '%s\n' "$ask" | start "$1" serve; }
hooked() { printf '%s' "$1" | env -i HOME="$tmp/home" XDG_DATA_HOME="$tmp/data" CLAUDE_PROJECT_DIR="$tmp/project" PATH="/usr/bin:/bin" "$launcher" hook pre-tool-use; }

check "takes the binary on PATH" "^auto-itera $version$" start "$tmp/path" --version
check "remembers what it found for the hooks" "^0$" bash -c "printf '' | env -i HOME=$tmp/home XDG_DATA_HOME=$tmp/data PATH=$tmp/path:/usr/bin:/bin $launcher serve > /dev/null 2>&1; grep -c -v $tmp/path/auto-itera $tmp/data/auto-itera/bin/$version.found"
check "answers a hook by it" '^end$' bash -c "printf '%s' '{\"cwd\":\"/\",\"tool_name\":\"Bash\",\"tool_input\":{}}' | env -i HOME=$tmp/home XDG_DATA_HOME=$tmp/data PATH=/usr/bin:/bin $launcher hook pre-tool-use; echo end"
rm -f "$tmp/data/auto-itera/bin/$version.found"
check "passes over another version on PATH" "^auto-itera $version$" start "$tmp/old:$tmp/path" --version
check "says what is missing, with exit code 1" "code 1" bash -c "env -i HOME=$tmp/home XDG_DATA_HOME=$tmp/data AUTO_ITERA_NO_DOWNLOAD=1 PATH=$tmp/old:/usr/bin:/bin $launcher --version; echo code \$?"
check "serves without the engine: initialize" '"id":0,"result".*"protocolVersion":"2025-11-25"' served "$tmp/old"
check "serves without the engine: one tool" '"id":"two","result".*"name":"status"' served "$tmp/old"
check "serves without the engine: the tool tells how to install" '"id":3,"result".*cargo install.*"isError":true' served "$tmp/old"
json_only() { served "$tmp/old" | python3 -c "import json,sys; print(len([json.loads(l) for l in sys.stdin]))"; }
check "prints nothing but the protocol" "^4$" json_only
check "serves without the engine: unknown methods are errors" '"id":4,"error"' served "$tmp/old"
check "does not call another launcher for ever" "cargo install" bash -c "mkdir -p $tmp/two && cp $launcher $tmp/two/auto-itera && printf '%s\n' '{\"id\":3,\"method\":\"tools/call\"}' | env -i HOME=$tmp/home XDG_DATA_HOME=$tmp/data AUTO_ITERA_NO_DOWNLOAD=1 PATH=$tmp/two:/usr/bin:/bin timeout 20 $launcher serve"
check "keeps the store closed without the engine" '"permissionDecision":"deny"' hooked '{"cwd":"/p","tool_input":{"command":"cat .auto-itera/x"}}'
printf 'data/rows.csv\n' > "$tmp/project/.auto-itera/fenced"
check "keeps fenced files closed without the engine" '"permissionDecision":"deny".*rows.csv' hooked '{"cwd":"/p","tool_input":{"file_path":"/p/data/ROWS.csv"}}'
check "lets other calls through without the engine" '^end$' bash -c "printf '%s' '{\"tool_input\":{\"command\":\"ls\"}}' | env -i HOME=$tmp/home CLAUDE_PROJECT_DIR=$tmp/project PATH=/usr/bin:/bin $launcher hook pre-tool-use; echo end"
if command -v python3 > /dev/null && command -v curl > /dev/null; then
  asset=auto-itera-$(uname -m | sed 's/arm64/aarch64/')-$( [ "$(uname -s)" = Darwin ] && echo apple-darwin || echo unknown-linux-gnu)
  cp "$binary" "$tmp/web/$asset"; echo "0000  $asset" > "$tmp/web/SHA256SUMS"
  (cd "$tmp/web" && exec python3 -m http.server 0 --bind 127.0.0.1 > "$tmp/port" 2>&1) & web=$!
  for _ in $(seq 100); do grep -q "port" "$tmp/port" 2>/dev/null && break; sleep 0.1; done
  port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' "$tmp/port" | head -1)
  if [ -z "$port" ]; then port=$(python3 - <<P
import socket
s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])
P
); kill $web; (cd "$tmp/web" && exec python3 -m http.server "$port" --bind 127.0.0.1 > /dev/null 2>&1) & web=$!; sleep 1; fi
  url=http://127.0.0.1:$port
  check "throws a download without its checksum away" '"id":3,"result".*cargo install' served "$tmp/old"
  (cd "$tmp/web" && sha256sum "$asset" > SHA256SUMS)
  check "downloads, checks and starts" '"id":0,"result".*verdict that survives production' served "$tmp/old"
  url=""
  check "starts from the data folder next time" "^auto-itera $version$" start "$tmp/old" --version
else
  echo "SKIP: python3 and curl are needed to serve a download"
fi
for shell in dash busybox; do
  command -v $shell > /dev/null || { echo "SKIP: $shell is not on this machine"; continue; }
  [ $shell = busybox ] && shell="busybox sh"
  check "works under $shell" "^auto-itera $version$" start "$tmp/path" --version
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
