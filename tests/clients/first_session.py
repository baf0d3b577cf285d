"""Question, frame, refusals, sealed rows, denials, pilot, and a pass that the session does not wait for."""

import os
import sys

import project

T = os.environ.get("TOOL_PREFIX", "mcp__plugin_auto-itera_itera__")
P = os.environ["PROJECT"]


def call(tool, **arguments):
    return T + tool, arguments


def turn(n, seen):
    frame_hash = seen.find(r'"frame_hash"\s*:\s*"([0-9a-f]+)"')
    turns = [
        ["Loading the skill.", ("Skill", {"skill": "auto-itera:auto-itera"})],
        call("status"),
        call("describe_source", path="data/tickets.csv"),
        call("open_test"),
        call("frame", frame=project.frame(sys.executable)),
        call("source_rows"),
        call("lock_frame", frame_hash=frame_hash, confirmation="Yes, run it as shown."),
        call("source_rows"),
        ("Read", {"file_path": f"{P}/notes/plain.txt"}),
        ("Read", {"file_path": f"{P}/data/tickets.csv"}),
        ("Read", {"file_path": f"{P}/notes/link"}),
        ("Bash", {"command": "head -3 data/tick*.csv", "description": "look"}),
        ("Bash", {"command": "python3 -c \"print(open('data/'+'tickets.csv').read()[:99])\"", "description": "look"}),
        ("Bash", {"command": "./notes/steal.sh", "description": "look"}),
        ("Bash", {"command": "strings .auto-itera/experiments/*/store.db | head", "description": "look"}),
        ("Grep", {"pattern": "ticket-secret", "output_mode": "content"}),
        ("Bash", {"command": "echo shell-works; cat notes/plain.txt", "description": "look"}),
        call("score_start"),
        call("pilot"),
        call("score_start"),
        "The pass is running.",
        "I leave it for the next session.",
    ]
    return turns[n] if n < len(turns) else "(over)"
