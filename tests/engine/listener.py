"""A stand-in for the process that hears: python tests/engine/listener.py HABIT FOLDER. It speaks the real protocol,
hears each clip as its text, and has one habit, which some texts awake."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main() -> None:
    habit, starts = sys.argv[1], Path(sys.argv[2]) / "starts"
    with starts.open("a") as file:
        file.write("start\n")
    if habit == "mute":
        time.sleep(600)  # longer than any test waits: it is killed
    if habit == "broken":
        say({"error": "ImportError: no ear"})
        return
    if habit == "gone":
        return
    say({"libraries": "stand-in 1"})
    for line in sys.stdin.buffer:
        clips = json.loads(line)["clips"]
        sys.stdin.buffer.read(4 * sum(clip["samples"] for clip in clips))
        if any("poison" in clip["text"] for clip in clips):
            act(habit)
        say({"reports": [report(clip["text"]) for clip in clips]})


def act(habit: str) -> None:
    if habit == "crash":
        os.abort()
    while habit == "loop":
        pass
    if habit == "hang":
        time.sleep(600)  # as above
    if habit == "babble":
        sys.stdout.write("no JSON\n")
        sys.stdout.flush()


def report(text: str) -> dict[str, object]:
    return {"heard": text, "words": len(text.split()), "wrong": 0.0, "run": 0, "gap": 0}


def say(head: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(head) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
