"""Takes the experiment up again, waits for the pass, and goes on to the conclusion."""

from first_session import call


def turn(n, seen):
    turns = [
        call("status"),
        call("score_wait", timeout_s=45),
        call("score_wait", timeout_s=45),
        call("diagnose", rows=3),
        call("read_rows", limit=2),
        call("open_test"),
        call("lock_arms"),
        call("open_test"),
        call("score_wait", timeout_s=45),
        call("score_wait", timeout_s=45),
        call("verdict"),
        call("show_chart", chart="forest-plot"),
        "VERDICT " + seen.find(r'"outcome"\s*:\s*\{"kind"\s*:\s*"(\w+)"'),
    ]
    return turns[n] if n < len(turns) else "(over)"
