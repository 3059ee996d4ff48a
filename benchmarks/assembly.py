"""What assembling a long book takes: seconds and peak memory, from real clips. (MP3 takes five times as long as FLAC.)

python -m benchmarks.assembly [--hours 10]          goal: 10 hours within 300 MB
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from farm.sound.flac import decode, encode
from farm.sound.timeline import Piece
from farm.wire import Output
from worker.desk.stitch import stitch
from worker.engine import Clip, Speech, Utterance
from worker.engines.espeak.engine import Espeak

RUNS = (
    {"format": "wav"},
    {"format": "wav", "loudness_lufs": -18},
    {"format": "flac", "loudness_lufs": -18},
)


def speak() -> tuple[list[bytes], int, float]:
    """Clips, their rate, and the seconds of all."""
    engine = Espeak()
    sentences = [f"Number {number}. " + "The tide went out, and nobody saw it go. " * 4 for number in range(20)]
    speech = Speech(language="en", voice="en-us")
    batch = [Utterance(str(number), text, speech) for number, text in enumerate(sentences)]

    class Once:
        def take(self, count: int, *, wait: bool) -> list[Utterance]:
            taken = batch[:count]
            del batch[:count]
            return taken

    clips = [one.samples for one in engine.render(Once()) if isinstance(one, Clip)]
    engine.close()
    rate = engine.card.sample_rate
    return [encode(samples, rate) for samples in clips], rate, sum(map(len, clips)) / rate


def run(clips: list[bytes], rate: int, count: int, wanted: dict[str, object]) -> tuple[float, float, float]:
    """Seconds, seconds of audio, peak megabytes of this process."""

    def pieces() -> Iterator[Piece]:
        for number in range(count):
            yield Piece(decode(clips[number % len(clips)], rate).pcm, 120)

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        output = Output.model_validate(wanted)
        done = stitch(pieces(), sample_rate=rate, output=output, target=Path(folder) / "book", check=lambda: None)
        seconds = time.perf_counter() - started
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert peak is not None
    return seconds, done.seconds, int(peak[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=10)
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")  # a process for each, so that each has a peak of its own
    with spawn.Pool(1) as pool:
        clips, rate, seconds = pool.apply(speak)
    count = round(options.hours * 3600 / (seconds / len(clips) + 0.12))
    for wanted in RUNS:
        with spawn.Pool(1) as pool:
            wall, audio, peak = pool.apply(run, (clips, rate, count, wanted))
        name = " ".join(str(value) for value in wanted.values())
        print(f"{name:10} {audio / 3600:5.2f} h in {wall:6.1f} s, {audio / wall:5.0f} x real time, {peak:4.0f} MB")


if __name__ == "__main__":
    main()
