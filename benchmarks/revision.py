"""How long the next revision of a finished book takes, of which one sentence is changed: the embedded farm with eSpeak.
Prints the seconds from the PATCH to the new result, and where they went.

    python -m benchmarks.revision [--hours 10] [--format flac] [--chapters 20]          goal: <= 15 s
    python -m benchmarks.revision --format m4b --preset book                            a gain for each chapter
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from benchmarks.tax import book
from farm.client import Farm
from farm.embedded.supervisor import Local
from farm.wire import Chapter, Job, JobEdit, JobRequest, Output, SegmentEdit

GOAL_S = 15.0
CHARACTERS_A_SECOND = 18.6  # of eSpeak's English, with its pauses
STEPS = {"running": "planned", "assembling": "all clips found or made"}


def chapters(characters: int, count: int) -> list[Chapter]:
    """A book, cut between paragraphs."""
    paragraphs = book(characters).split("\n\n")
    each = -(-len(paragraphs) // count)
    parts = [paragraphs[start : start + each] for start in range(0, len(paragraphs), each)]
    return [Chapter(title=f"Part {number}", input="\n\n".join(part)) for number, part in enumerate(parts, 1)]


def followed(farm: Farm, id: str, began: float) -> tuple[Job, dict[str, float]]:
    """The job at its end, and the seconds since `began` at which it came to each status."""
    reached: dict[str, float] = {}
    for job in farm.watch(id, every=0.1):
        reached.setdefault(job.status, time.perf_counter() - began)
    if job.result is None:
        raise SystemExit(f"the job ended as {job.status}: {job.error}")
    return job, reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=10)
    parser.add_argument("--chapters", type=int, default=20)
    parser.add_argument("--format", choices=("wav", "flac", "mp3", "m4b"), default="flac")
    parser.add_argument("--preset", choices=("acx", "podcast", "book"))
    options = parser.parse_args()
    output = Output.model_validate({"format": options.format} | ({"preset": options.preset} if options.preset else {}))
    with tempfile.TemporaryDirectory() as folder, Local(Path(folder)) as local, Farm(local.url) as farm:
        began = time.perf_counter()
        parts = chapters(round(options.hours * 3600 * CHARACTERS_A_SECOND), options.chapters)
        first, reached = followed(farm, farm.submit(JobRequest(chapters=parts, output=output)).id, began)
        whole = reached[first.status]
        began = time.perf_counter()
        changed = SegmentEdit(index=first.progress.segments_total // 2, text="Nobody saw it come back.")
        farm.edit(first.id, JobEdit(segments=[changed]))
        answered = time.perf_counter() - began
        second, reached = followed(farm, first.id, began)
    assert first.result is not None
    took = reached[second.status]
    machine = f"{os.cpu_count()} cores at a load of {os.getloadavg()[0]:.1f}"
    print(f"{first.result.duration_seconds / 3600:.2f} h of {options.format}, {len(parts)} chapters, "
          f"{first.progress.segments_total:,} segments, on {machine}")  # fmt: skip
    print(f"the first revision: {whole:.1f} s")
    print(f"the second, of which {second.rendered} segment was rendered: {took:.1f} s (goal <= {GOAL_S:g})")
    print(f"  answered after {answered:.1f} s")
    for status, name in STEPS.items():
        if status in reached:
            print(f"  {name} after {reached[status]:.1f} s")
    return 0 if took <= GOAL_S else 1


if __name__ == "__main__":
    raise SystemExit(main())
