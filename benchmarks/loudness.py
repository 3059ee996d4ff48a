"""What measuring the levels of a recording costs, beside FFmpeg's ebur128 on the same samples.

python -m benchmarks.loudness [--minutes 30]          goal: twice as fast as ebur128
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import soxr

from benchmarks.assembly import speak
from farm.sound.flac import Samples, decode, from_pcm
from worker.desk.loudness import Figures, Meter, decibels

BLOCK_S = 5


def spoken(minutes: float) -> tuple[Samples, int]:
    clips, rate, seconds = speak()
    gap = np.zeros(rate // 8, np.float32)
    once = np.concatenate([part for clip in clips for part in (from_pcm(decode(clip, rate).pcm), gap)])
    return np.tile(once, max(1, round(minutes * 60 / seconds))), rate


def blocks(samples: Samples, rate: int) -> Iterator[Samples]:
    for start in range(0, len(samples), BLOCK_S * rate):
        yield samples[start : start + BLOCK_S * rate]


def ours(samples: Samples, rate: int) -> str:
    meter = Meter(rate)
    for block in blocks(samples, rate):
        meter.feed(block)
    figures = Figures.of(meter.levels())
    return f"{figures.loudness_lufs} LUFS, {figures.true_peak_dbtp} dBTP, {figures.rms_dbfs} dB RMS"


def ffmpeg(samples: Samples, rate: int, peak: str) -> str:
    import av
    import av.filter

    graph: Any = av.filter.Graph()
    ends: list[Any] = [
        graph.add_abuffer(sample_rate=rate, format="flt", layout="mono", time_base=Fraction(1, rate)),
        graph.add("ebur128", f"metadata=1:peak={peak}:framelog=quiet"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*ends).configure()
    said: dict[str, str] = {}

    def drain() -> None:
        while True:
            try:
                said.update(ends[2].pull().metadata)
            except (av.BlockingIOError, av.EOFError):
                return

    place = 0
    for block in blocks(samples, rate):
        frame: Any = av.AudioFrame.from_ndarray(block[None, :], format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, place, Fraction(1, rate)
        ends[0].push(frame)
        place += len(block)
        drain()
    ends[0].push(None)
    drain()
    return f"{said.get('lavfi.r128.I', '?')} LUFS"


def soxr_of_all(samples: Samples, rate: int) -> str:
    """What the true peak would cost without looking at peaks alone."""
    stream = soxr.ResampleStream(rate, 4 * rate, 1, dtype="float32")
    highest = max(float(np.abs(stream.resample_chunk(block)).max(initial=0)) for block in blocks(samples, rate))
    return f"{decibels(highest):.2f} dBTP"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    options = parser.parse_args()
    samples, rate = spoken(options.minutes)
    ways: dict[str, Callable[[], str]] = {
        "Meter, all levels": lambda: ours(samples, rate),
        "ebur128": lambda: ffmpeg(samples, rate, "none"),
        "ebur128, true peak": lambda: ffmpeg(samples, rate, "true"),
        "soxr of all samples": lambda: soxr_of_all(samples, rate),
    }
    print(f"{len(samples) / rate / 60:.1f} minutes of speech at {rate} Hz, the best of three runs")
    for name, measure in ways.items():
        best, said = float("inf"), ""
        for _ in range(3):
            started = time.process_time()
            said = measure()
            best = min(best, time.process_time() - started)
        print(f"{name:22} {len(samples) / rate / best:6,.0f} x real time  {said}")


if __name__ == "__main__":
    main()
