"""What memory a desk needs for a long book: python -m benchmarks.desk_memory [--hours 10] [--chapters 2000]

An M4B with a gain for each chapter, a file of each, and all subtitles. Real desks join, measure and encode what an
engine with one clip for all segments hands them as fast as they take it. Prints the peak of each process of the desk.

Goal: 400 MB.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import threading
from pathlib import Path

import psutil

from benchmarks.audiobook import Sleeper, spoken
from farm.client import Farm
from farm.embedded.supervisor import Local
from farm.sound.flac import duration_ms
from farm.wire import Chapter, JobRequest, Output

GOAL_MB = 400
_WORDS = "The keeper counted {} steps to the lamp, and slept until the ships were home again."
_AS_FAST_AS_TAKEN = 1e6  # times real time


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=10)
    parser.add_argument("--chapters", type=int, default=2_000)
    options = parser.parse_args()
    clip, rate = spoken()
    count = -(-round(options.hours * 3_600_000 / duration_ms(clip)) // options.chapters)
    output = Output(format="m4b", preset="book", per_chapter=True, subtitles=["vtt", "srt", "lrc", "json"])
    with tempfile.TemporaryDirectory() as folder, Local(Path(folder)) as local, Farm(local.url) as client:
        engine = Sleeper(local, clip, rate, _AS_FAST_AS_TAKEN)
        thread = threading.Thread(target=engine.run)
        thread.start()
        wanted = JobRequest(chapters=chapters(options.chapters, count), model="sleeper", output=output)
        job = client.wait(client.submit(wanted).id)
        engine.done.set()
        thread.join()
        peaks = sorted(map(peak_mb, desks()), reverse=True)
    if job.result is None:
        raise SystemExit(f"the job ended as {job.status}: {job.error}")
    print(f"{job.result.duration_seconds / 3600:.2f} h of m4b, {options.chapters:,} chapters with a file each, "
          f"{job.progress.segments_total:,} segments, on {os.cpu_count()} cores")  # fmt: skip
    print(f"peak of the desk's processes: {', '.join(f'{peak:.0f}' for peak in peaks)} MB (goal <= {GOAL_MB})")
    return 0 if peaks[0] <= GOAL_MB else 1


def chapters(chapters: int, segments: int) -> list[Chapter]:
    """Each segment is a paragraph, and says something else, so that each has a clip."""
    texts = ("\n\n".join(_WORDS.format(f"{each}, {line},") for line in range(segments)) for each in range(chapters))
    return [Chapter(title=f"Chapter {number}", input=text) for number, text in enumerate(texts, 1)]


def desks() -> list[psutil.Process]:
    """The children of the farm that this process runs."""
    return [child for child in psutil.Process().children(recursive=True) if "desk" in child.cmdline()]


def peak_mb(process: psutil.Process) -> float:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    raise SystemExit(main())
