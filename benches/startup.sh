#!/usr/bin/env bash
# Time from spawn to the answer of tools/list: auto-itera against a bare rmcp server with one tool,
# by turns in the same run. Exit code 1 where ours takes more than twice as long.
#
# usage: benches/startup.sh [RUNS]     (50 where absent)
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --quiet -p auto-itera -p itera-tests --bin auto-itera --example bare_server --example startup
target/release/examples/startup "${1:-50}" target/release/auto-itera target/release/examples/bare_server
