#!/bin/bash
# One run of the real client: client.sh OUT SCENARIO PROMPT [client arguments]
# Needs CLAUDE_BIN, HOME_DIR, PROJECT and BIN_DIR (a folder with the engine's binary).
# Without network but loopback where the kernel lets us; with an empty environment always.
set -u
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${IN_NAMESPACE:-}" ]; then
  export IN_NAMESPACE=1
  if unshare -n true 2>/dev/null; then exec unshare -n "$0" "$@"; fi
  if unshare -rn true 2>/dev/null; then exec unshare -rn "$0" "$@"; fi
  echo "client.sh: no network namespace here; only the base URL keeps the client on loopback" >&2
else
  ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null || true
fi
out=$1 scenario=$2 prompt=$3
shift 3
mkdir -p "$out" "$HOME_DIR/tmp"
rm -f "$out"/log.jsonl "$out"/port
PROJECT=$PROJECT python3 "$here/model.py" "$here/$scenario" "$out/log.jsonl" "$out/port" 2> "$out/model.err" &
model=$!
trap 'kill $model 2>/dev/null' EXIT
for _ in $(seq 200); do [ -s "$out/port" ] && break; sleep 0.05; done
cd "$PROJECT" || exit 3
env -i PATH="$BIN_DIR:/usr/local/bin:/usr/bin:/bin" HOME="$HOME_DIR" CLAUDE_CONFIG_DIR="$HOME_DIR/.claude" TMPDIR="$HOME_DIR/tmp" \
  TERM=dumb LANG=C.UTF-8 DISABLE_TELEMETRY=1 DISABLE_ERROR_REPORTING=1 DISABLE_AUTOUPDATER=1 CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 \
  ANTHROPIC_BASE_URL="http://127.0.0.1:$(cat "$out/port")" ANTHROPIC_API_KEY=none \
  timeout "${LIMIT:-240}" "$CLAUDE_BIN" -p "$prompt" --output-format stream-json --verbose --include-hook-events \
  --allowedTools "Read,Grep,Bash,Skill,mcp__plugin_auto-itera_itera" "$@" < /dev/null > "$out/stream.jsonl" 2> "$out/stderr.txt"
