"""Makes the project of the tests: tickets from a generator that knows their queue, and two routers.

Usage: project.py FOLDER
"""

import csv
import json
import os
import random
import stat
import sys

QUEUES = {"billing": ["invoice", "refund", "charge"], "security": ["password", "breach", "login"], "shipping": ["parcel", "courier", "delivery"]}
# Words that only the candidate's list knows.
NEW = {"billing": "payout", "security": "token", "shipping": "customs"}

ARM = """import json, sys
words = json.load(open(sys.argv[1]))
for line in sys.stdin:
    call = json.loads(line)
    text = call["input"]["body"].lower()
    found = [queue for queue, known in words.items() if any(w in text for w in known)]
    print(json.dumps({"id": call["id"], "output": found[0] if found else "billing", "cost_usd": 0.0001 * len(text), "input_tokens": len(text), "output_tokens": 1}), flush=True)
"""


def frame(python):
    def arm(name, change):
        return {"id": name, "reference": f"router/{name}.json:1", "change": change, "kind": "worker",
                "command": [python, "router/route.py", f"router/{name}.json"], "files": ["router/route.py", f"router/{name}.json"]}
    return {
        "topic": "router-words", "kind": "prompt",
        "question": "Should the ticket router use the longer word list?",
        "hypothesis": "The longer list knows words that customers use and the deployed list lacks.",
        "baseline": arm("short", ""), "arms": [arm("long", "one more word for every queue")],
        "source": {"path": "data/tickets.csv", "key": "id", "inputs": ["body"], "slices": ["plan"],
                   "provenance": {"origin": "generated", "statement": "Written by the test's generator, which knows the queue of every ticket."}},
        "metric": {"name": "right queue", "stake": "misrouted tickets wait", "scorer": {"kind": "exact", "label": "queue"}},
        "failure_modes": [
            {"id": "other", "description": "another queue", "weight": 1.0},
            {"id": "none", "description": "no queue", "weight": 2.0, "when": [{"left": "output", "op": "empty"}]},
            {"id": "security", "description": "a security ticket elsewhere", "weight": 8.0, "when": [{"left": "row.queue", "op": "eq", "value": "security"}]},
        ],
        "ship_rule": {"min_effect_pp": 5.0, "loss_floor_pp": 2.0}, "trials": 3,
        "split": {"train": 0.2, "dev": 0.35, "test": 0.45}, "limits": {"parallel": 4, "timeout_s": 30.0},
        "stop_conditions": ["an arm fails on one call in twenty"],
    }


def main(folder):
    dice = random.Random(7)
    for sub in ("data", "router", "notes"):
        os.makedirs(os.path.join(folder, sub), exist_ok=True)
    with open(os.path.join(folder, "data/tickets.csv"), "w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["id", "plan", "body", "queue"])
        for i in range(900):
            queue = dice.choice(list(QUEUES))
            word = NEW[queue] if dice.random() < 0.35 else dice.choice(QUEUES[queue])
            rows.writerow([f"t{i}", dice.choice(["free", "paid"]), f"Hello, ticket-secret-{i:04d}: trouble with {word} no {dice.randrange(10**9)}", queue])
    with open(os.path.join(folder, "router/route.py"), "w") as out:
        out.write(ARM)
    with open(os.path.join(folder, "router/short.json"), "w") as out:
        json.dump(QUEUES, out)
    with open(os.path.join(folder, "router/long.json"), "w") as out:
        json.dump({q: [*words, NEW[q]] for q, words in QUEUES.items()}, out)
    with open(os.path.join(folder, "notes/plain.txt"), "w") as out:
        out.write("nothing secret here\n")
    steal = os.path.join(folder, "notes/steal.sh")
    with open(steal, "w") as out:
        out.write("#!/bin/sh\nhead -2 data/tickets.csv\n")
    os.chmod(steal, os.stat(steal).st_mode | stat.S_IXUSR)
    if not os.path.islink(os.path.join(folder, "notes/link")):
        os.symlink("../data/tickets.csv", os.path.join(folder, "notes/link"))


if __name__ == "__main__":
    main(sys.argv[1])
