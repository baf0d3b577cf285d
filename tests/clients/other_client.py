"""The first half of an experiment, for clients other than the plugin's."""

import sys

import project
from first_session import call


def turn(n, seen):
    turns = [
        call("status"),
        call("frame", frame=project.frame(sys.executable)),
        call("source_rows"),
        call("lock_frame", frame_hash=seen.find(r'"frame_hash"\s*:\s*"([0-9a-f]+)"'), confirmation="Yes, run it as shown."),
        call("source_rows"),
        call("pilot"),
        "Piloted.",
    ]
    return turns[n] if n < len(turns) else "(over)"
