#!/bin/bash
# The real coding client from the npm registry, under a scripted model, with the plugin really installed.
#   run.sh [OUT]            prints 'N passed, N failed'; exit code 1 on a failure
# CLIENT_VERSIONS  versions of the client (default 2.1.330); CLIENT_CACHE  where they are kept
# AUTO_ITERA      the engine's binary (default target/debug/auto-itera)
# Skips with a printed reason where node, npm or the client cannot be had.
set -u
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
out=${1:-$(mktemp -d)}
mkdir -p "$out"
binary=${AUTO_ITERA:-$repo/target/debug/auto-itera}
cache=${CLIENT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/auto-itera-clients}
skip() { echo "SKIP: $1"; echo "0 passed, 0 failed"; exit 0; }
for tool in python3 git npm; do command -v $tool >/dev/null || skip "$tool is not on this machine"; done
[ -x "$binary" ] || skip "there is no engine at $binary; build it first"
passed=0 failed=0
count() { # OUTPUT of a check
  p=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1/p' "$1" | tail -1)
  f=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\2/p' "$1" | tail -1)
  passed=$((passed + ${p:-0})); failed=$((failed + ${f:-1}))
}
claim() { # NAME COMMAND...
  name=$1; shift
  if "$@" > "$run/claim.txt" 2>&1; then echo "ok   $name"; passed=$((passed + 1)); else echo "FAIL $name"; sed 's/^/     /' "$run/claim.txt" | tail -15; failed=$((failed + 1)); fi
}
for version in ${CLIENT_VERSIONS:-2.1.330}; do
  echo "== client $version"
  prefix=$cache/$version
  client=$prefix/node_modules/@anthropic-ai/claude-code/bin/claude.exe
  [ -x "$client" ] || npm install --no-audit --no-fund --prefix "$prefix" "@anthropic-ai/claude-code@$version" > /dev/null 2>&1
  [ -x "$client" ] || { echo "SKIP: the client $version cannot be installed from the registry"; continue; }
  run=$out/$version
  rm -rf "$run"; mkdir -p "$run/project" "$run/home/tmp" "$run/bin" "$run/marketplace"
  # A marketplace as a user has it: a git repository with the manifest and the plugin's folder.
  cp -r "$repo/.claude-plugin" "$repo/skill" "$run/marketplace/"
  git -C "$run/marketplace" init -q && git -C "$run/marketplace" add -A && git -C "$run/marketplace" -c user.name=t -c user.email=t@t commit -qm x
  cp "$binary" "$run/bin/auto-itera"
  python3 "$here/project.py" "$run/project"
  export CLAUDE_BIN=$client HOME_DIR=$run/home PROJECT=$run/project BIN_DIR=$run/bin
  bare() { env -i PATH="$run/bin:/usr/local/bin:/usr/bin:/bin" HOME="$run/home" CLAUDE_CONFIG_DIR="$run/home/.claude" TMPDIR="$run/home/tmp" TERM=dumb \
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_AUTOUPDATER=1 timeout 120 $isolate "$client" "$@"; }
  isolate=""; unshare -n true 2>/dev/null && isolate="unshare -n"
  if bare plugin validate --help 2>/dev/null | grep -q -- --strict; then
    claim "the marketplace validates strictly" bare plugin validate --strict "$run/marketplace"
    claim "the plugin validates strictly" bare plugin validate --strict "$run/marketplace/skill"
  else
    claim "the marketplace validates" bare plugin validate "$run/marketplace"
    claim "the plugin validates" bare plugin validate "$run/marketplace/skill"
  fi
  claim "the marketplace is added" bare plugin marketplace add "$run/marketplace"
  claim "the plugin is installed" bare plugin install auto-itera@auto-itera
  claim "the marketplace updates" bare plugin marketplace update auto-itera
  claim "the plugin updates" bare plugin update auto-itera@auto-itera
  "$here/client.sh" "$run/first" first_session.py "Should the ticket router use the longer word list?"
  "$here/client.sh" "$run/second" second_session.py "Go on with the open experiment."
  python3 "$here/check.py" "$run" "$run/project" "$binary" > "$run/check.txt" 2>&1
  cat "$run/check.txt"; count "$run/check.txt"
done
for other in launcher packages; do
  echo "== $other"
  "$here/$other.sh" "$binary" > "$out/$other.txt" 2>&1; cat "$out/$other.txt"; count "$out/$other.txt"
done
echo "== opencode"
if [ -x "$here/opencode.sh" ]; then "$here/opencode.sh" "$out/opencode" "$binary" > "$out/opencode.txt" 2>&1; cat "$out/opencode.txt"; count "$out/opencode.txt"; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
