"""Reads what two sessions left and says what held. Usage: check.py OUT PROJECT"""

import json
import os
import subprocess
import sys

out, project, binary = sys.argv[1:4]
T = "mcp__plugin_auto-itera_itera__"


def session(name):
    folder = os.path.join(out, name)
    log = [json.loads(line) for line in open(os.path.join(folder, "log.jsonl"))]
    log = [entry for entry in log if entry["request"].get("tools")]
    stream = [json.loads(line) for line in open(os.path.join(folder, "stream.jsonl"))]
    calls, done = {}, []
    for message in log[-1]["request"]["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else []:
            if block.get("type") == "tool_use":
                calls[block["id"]] = block
            elif block.get("type") == "tool_result":
                made = calls[block["tool_use_id"]]
                done.append((made["name"].removeprefix(T), json.dumps(made["input"]), bool(block.get("is_error")), json.dumps(block["content"])))
    return log, stream, done


def results(done, tool, word=""):
    return [(bad, text) for name, given, bad, text in done if name == tool and word in given]


first_log, first_stream, first = session("first")
second_log, second_stream, second = session("second")
init = next(e for e in first_stream if e.get("subtype") == "init")
opening = json.dumps(first_log[0]["request"])
everything = json.dumps([e["request"]["messages"] for e in first_log])
denied = lambda tool, word: any(bad and "source-fenced" in text for bad, text in results(first, tool, word))
text_of = lambda done, tool, n=0: results(done, tool)[n][1] if len(results(done, tool)) > n else ""
folders = [os.path.join(project, "docs/experiments", f) for f in os.listdir(os.path.join(project, "docs/experiments"))] if os.path.isdir(os.path.join(project, "docs/experiments")) else []
conclusion = open(os.path.join(folders[0], "conclusion.md")).read() if folders else ""
verified = folders and subprocess.run([binary, "verify", folders[0]], capture_output=True).returncode == 0
sizes = [len(text) for _, _, _, text in first + second]
checks = {
    "the plugin is loaded": any(p["name"] == "auto-itera" for p in init["plugins"]),
    "the server is connected": any(s["name"].endswith("itera") and s["status"] == "connected" for s in init["mcp_servers"]),
    "the skill is listed": "auto-itera:auto-itera" in init["skills"],
    "the blind judge is listed": any("blind-judge" in json.dumps(a) for a in init.get("agents", [])) or "blind-judge" in opening,
    "the skill's description is in the first request": "is the small model enough" in opening,
    "the server's instructions are in the first request": "verdict that survives production" in opening,
    "the tools are in the first request": T + "frame" in [t["name"] for t in first_log[0]["request"]["tools"]],
    "the skill's body was loaded": "which tool next" in everything,
    "no experiment is open at the start": "No experiment is open" in text_of(first, "status"),
    "the source is described without its text": "queue" in text_of(first, "describe_source") and "ticket-secret" not in text_of(first, "describe_source"),
    "a test before any frame is refused": results(first, "open_test")[0][0] is True,
    "rows before the lock are refused, and the model reads why": "frame-first" in text_of(first, "source_rows"),
    "the frame is drafted and locked": "frame_hash" in text_of(first, "frame") and results(first, "lock_frame")[0][0] is False,
    "rows are sourced and sealed": results(first, "source_rows")[1][0] is False and "splits" in text_of(first, "source_rows", 1),
    "an ordinary file can be read": "nothing secret" in json.dumps(results(first, "Read", "plain")),
    "Read of the source is denied": denied("Read", "tickets.csv"),
    "Read through a link is denied": denied("Read", "notes/link"),
    "Bash with a glob is denied": denied("Bash", "tick*"),
    "Bash with python -c is denied": denied("Bash", "python3 -c"),
    "a script that reads the source is denied": denied("Bash", "steal.sh"),
    "the store is denied": denied("Bash", "store.db"),
    "Grep over the project is denied": denied("Grep", "ticket-secret"),
    "the shell still works": any(not bad and "shell-works" in text for bad, text in results(first, "Bash", "shell-works")),
    "scoring before the pilot is refused": "pilot-first" in text_of(first, "score_start"),
    "the pilot passes": results(first, "pilot")[0][0] is False,
    "the pass starts": results(first, "score_start")[1][0] is False,
    "the Stop hook reminds of the pass": "is unfinished" in json.dumps(first_stream) + everything,
    "no row's text reached the model in the first session, but for the pilot's train row":
        not any("ticket-secret-0" in text for name, _, _, text in first if name != "pilot"),
    "the second session is told of the experiment": "is open at stage" in json.dumps(second_log[0]["request"]),
    "status resumes": results(second, "status")[0][0] is False,
    "the pass completes": '\\"complete\\": true' in text_of(second, "score_wait", 1) or '"complete":true' in text_of(second, "score_wait", 1).replace("\\", "").replace(" ", ""),
    "differences are shown": "effect" in text_of(second, "diagnose"),
    "train rows can be read": "ticket-secret-0" in text_of(second, "read_rows"),
    "the test is refused before the lock": results(second, "open_test")[0][0] is True,
    "arms lock, the test opens": results(second, "lock_arms")[0][0] is False and results(second, "open_test")[1][0] is False,
    "the verdict is reached": results(second, "verdict")[0][0] is False,
    "the model reads it": any("VERDICT ship" in json.dumps(e) for e in second_stream if e.get("type") == "result"),
    "the figure comes as an image": "image" in text_of(second, "show_chart"),
    "the conclusion is written and verifies": bool(verified),
    "the conclusion says that the fence was present": "fence was present from sourcing to the test" in conclusion,
    "every answer is under 50,000 characters": max(s for (name, _, _, text), s in zip(first + second, sizes) if name != "show_chart") < 50_000,
}
for name, ok in checks.items():
    print(("ok   " if ok else "FAIL ") + name)
bad = sum(not ok for ok in checks.values())
print(f"{len(checks) - bad} passed, {bad} failed")
sys.exit(bool(bad))
