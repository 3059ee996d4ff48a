"""What the farm costs: a book through the whole embedded farm, wall clock, against one plain process that calls the
same engine on the same segments, encodes and joins them. Prints both, the ratio, and how long the farm took from its
last settled segment to the end of the job.

    python -m benchmarks.tax [--characters 1000000]          goal: ratio <= 1.05, and the end <= 0.10 of the whole
    python -m benchmarks.tax --format m4b                    goal: ratio <= 0.85; both with FFmpeg's coder `fast`
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile as sf

from farm.audio_formats import AudioFormat
from farm.client import Farm
from farm.cutting import Part
from farm.embedded.supervisor import Local
from farm.planning import segments
from farm.segment import Recipe
from farm.sound.flac import Samples
from farm.wire import JobRequest, Output, Pauses

WORDS = Path(__file__).parent.parent / "examples" / "texts" / "the-lamp-keeper.txt"


def book(characters: int) -> str:
    """English words in new sentences: no two alike, or the farm would render one of them and settle both."""
    words = WORDS.read_text().split()
    draw = random.Random(7)
    paragraphs, size = [], 0
    while size < characters:
        sentences = []
        for _ in range(draw.randint(3, 7)):
            sentence = " ".join(draw.choice(words).strip('.,;:!?“”"') for _ in range(draw.randint(8, 20)))
            sentences.append(sentence.capitalize() + ".")
        paragraphs.append(" ".join(sentences))
        size += len(paragraphs[-1]) + 2
    return "\n\n".join(paragraphs)


@contextmanager
def written(target: Path, format: AudioFormat, rate: int) -> Iterator[Callable[[Samples], object]]:
    """A function that takes samples, for a file of one encoder in one thread."""
    if format == "flac":
        with sf.SoundFile(target, "w", rate, 1, "PCM_16", format="FLAC") as file:
            yield file.write
        return
    with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream: Any = container.add_stream("aac", rate=rate, layout="mono", options={"aac_coder": "fast"})
        stream.bit_rate = 64_000

        def write(samples: Samples) -> None:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None, :]), format="fltp", layout="mono")
            frame.sample_rate = rate
            container.mux(stream.encode(frame))

        yield write
        container.mux(stream.encode(None))


def plain(text: str, target: Path, format: AudioFormat) -> float:
    """Seconds of one process: plan, speak, measure, join, encode."""
    from worker.desk.loudness import Meter
    from worker.engine import Clip, Speech, Utterance
    from worker.engines.espeak.engine import Espeak

    engine = Espeak()
    card = engine.card
    language = card.languages["en"]
    voice = language.voice or ""
    started = time.perf_counter()
    recipe = Recipe("default", card.name, card.revision, "en")
    rows = segments([Part("", text, voice)], recipe, language.max_characters, Pauses())
    speech = Speech(language="en", voice=voice)

    class Whole:
        def take(self, count: int, *, wait: bool) -> list[Utterance]:
            batch = []
            for row in rows:
                pauses[str(row.index)] = row.pause_ms
                batch.append(Utterance(str(row.index), row.text, speech))
                if len(batch) == count:
                    break
            return batch

    pauses: dict[str, int] = {}
    meter = Meter(card.sample_rate)
    with written(target, format, card.sample_rate) as write:
        for clip in engine.render(Whole()):
            assert isinstance(clip, Clip)
            for samples in (clip.samples, np.zeros(card.sample_rate * pauses.pop(clip.key) // 1000, np.float32)):
                meter.feed(samples)
                write(samples)
    meter.levels()
    return time.perf_counter() - started


def farmed(text: str, target: Path, data: Path, format: AudioFormat) -> tuple[float, float, float]:
    """Seconds from submitting to the file, of them those after the last segment, and the seconds of audio in it."""
    with Local(data) as local, Farm(local.url) as client:
        started = time.perf_counter()
        settled = None
        for job in client.watch(client.submit(JobRequest(input=text, output=Output(format=format))).id, every=0.2):
            if settled is None and job.status not in ("queued", "running"):
                settled = time.perf_counter()
        if job.result is None or settled is None:
            raise SystemExit(f"the job ended as {job.status}: {job.error}")
        end = time.perf_counter() - settled
        client.audio(job.id, target)
        return time.perf_counter() - started, end, job.result.duration_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=int, default=1_000_000)
    parser.add_argument("--format", choices=("flac", "m4b"), default="flac")
    options = parser.parse_args()
    text, format = book(options.characters), options.format
    goal = {"flac": 1.05, "m4b": 0.85}[format]
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1) as alone:
        base = alone.apply(plain, (text, Path(folder) / "plain", format))
        print(f"one plain process: {base:.1f} s", flush=True)
        wall, end, audio = farmed(text, Path(folder) / "farm", Path(folder) / "data", format)
        spread = abs(seconds(Path(folder) / "plain") - seconds(Path(folder) / "farm"))
    print(f"the embedded farm: {wall:.1f} s for {audio / 3600:.2f} h of audio ({audio / wall:.0f} x real time)")
    print(f"from its last settled segment to the result: {end:.1f} s, {end / wall:.3f} of that (goal <= 0.10)")
    print(f"the two files differ in length by {spread:.3f} s")
    print(f"ratio {wall / base:.2f} (goal <= {goal}) on {os.cpu_count()} cores, {len(text):,} characters, {format}")


def seconds(path: Path) -> float:
    with av.open(str(path)) as file:
        return (file.duration or 0) / 1e6


if __name__ == "__main__":
    main()
