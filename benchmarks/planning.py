"""What planning the worst texts costs, and what it costs others: python -m benchmarks.planning [--characters 5000000]

patterns    CPU seconds and memory of a process that plans that many characters of each; --limit 60: in segments of
            60 characters instead of 400, and without the neighbour
neighbour   the time of another tenant's one-line job on an embedded farm while three such texts are planned
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

from farm.embedded.supervisor import Local
from farm.wire import MAX_JSON_BYTES

GOAL_S = 2.0
_LIMIT = 400  # as espeak has it for most languages
# The costliest that a search over random mixtures of marks, letters, spaces and abbreviations has found, and prose.
PATTERNS = {
    "prose": "The keeper of the lamp counted the hundred steps, and “slept,” as Mr. Hale said. ",
    'quotation marks `"《`': '"《',
    "quotation marks `》》「„《`": "》》「„《",
    "marks `…。`": "…。",
    "initials `a. `": "a. ",
    "`《a. `": "《a. ",
    "`e. A 『`": "e. A 『",
    "`😀《a. `": "😀《a. ",
    "Mr. Mr.": "Mr. ",
    "no spaces": "x",
    "combining marks": "e\u0301",
    "flags": "🇫",
}


def planned(pattern: str, characters: int, limit: int) -> tuple[float, float, int]:
    """CPU seconds, megabytes and segments, in a process of its own."""
    numbers = ("--characters", str(characters), "--limit", str(limit))
    command = (sys.executable, "-m", "benchmarks.planning", "--plan", pattern, *numbers)
    said = json.loads(subprocess.check_output(command, text=True))
    return said["cpu_s"], said["mb"], said["segments"]


def plan(pattern: str, characters: int, limit: int) -> None:
    from farm.cutting import Part
    from farm.plan import encode_plan
    from farm.planning import segments
    from farm.segment import Recipe
    from farm.wire import Pauses

    text = (pattern * (characters // len(pattern) + 1))[:characters]
    before = time.process_time()
    parts, recipe = [Part("", text, "v")], Recipe("default", "espeak", "1", "en")
    header, _ = encode_plan(segments(parts, recipe, limit, Pauses()), parts, recipe, sample_rate=22_050)
    print(json.dumps({
        "cpu_s": time.process_time() - before, "segments": header.total,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }))  # fmt: skip


def beside(pattern: str, characters: int) -> list[float]:
    """Seconds of each of ten one-line jobs of one tenant, while another has three such texts planned, interactively."""
    text = (pattern * (characters // len(pattern) + 1))[:characters]
    text = text.encode()[: MAX_JSON_BYTES - 1000].decode(errors="ignore")
    with tempfile.TemporaryDirectory() as folder, Local(Path(folder)) as local:
        keys = [_key(local, name) for name in ("greedy", "modest")]
        greedy, modest = (
            httpx.Client(base_url=local.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) for key in keys
        )
        _line(modest)
        jobs = [
            greedy.post("/v1/jobs", json={"input": text, "priority": "interactive"}).raise_for_status().json()["id"]
            for _ in range(3)
        ]
        pause, took = threading.Event(), []
        for _ in range(10):
            took.append(_line(modest))
            pause.wait(0.3)
        statuses = [greedy.get(f"/v1/jobs/{job}").json() for job in jobs]
        ready = sum(job["progress"]["segments_total"] > 0 for job in statuses)
        print(f"(of the three texts {ready} were planned by then)")
        for job in jobs:
            greedy.post(f"/v1/jobs/{job}/cancel")
        return took


def _key(local: Local, tenant: str) -> str:
    environment = os.environ | {"FARM_REDIS_URL": local.redis_url}
    command = (sys.executable, "-m", "farm", "keys", "create", tenant)
    return subprocess.check_output(command, env=environment, text=True).split()[0]


def _line(client: httpx.Client) -> float:
    began = time.monotonic()
    said = client.post(
        "/v1/jobs", json={"input": f"Just a line, number {time.time_ns()}.", "output": {"format": "wav"}},
        headers={"Prefer": "wait=60"},
    ).raise_for_status()  # fmt: skip
    assert said.json()["status"] == "succeeded", said.text
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=int, default=5_000_000)
    parser.add_argument("--limit", type=int, default=_LIMIT, help="characters of a segment at most")
    parser.add_argument("--plan", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plan:
        plan(arguments.plan, arguments.characters, arguments.limit)
        return
    print("| pattern | CPU s | MB | segments |\n|---|---|---|---|")
    costs = {}
    for name, pattern in PATTERNS.items():
        costs[pattern], megabytes, segments = planned(pattern, arguments.characters, arguments.limit)
        print(f"| {name} | {costs[pattern]:.1f} | {megabytes:.0f} | {segments:,} |", flush=True)
    if arguments.limit != _LIMIT:
        return
    worst = max(costs, key=lambda pattern: costs[pattern])
    took = sorted(beside(worst, arguments.characters))
    met = "met" if took[-1] <= GOAL_S else "missed"
    print(
        f"\none line beside three of {worst!r}: median {took[5]:.2f} s, longest {took[-1]:.2f} s; <= {GOAL_S:g}: {met}"
    )


if __name__ == "__main__":
    main()
