"""What the farm costs: a book through the whole embedded farm, wall clock, against one plain process that calls the
same engine on the same segments, encodes and joins them. Prints both and the ratio.

    python -m benchmarks.tax [--characters 1000000]          goal: ratio <= 1.25
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile as sf

from farm.client import Farm
from farm.embedded.supervisor import Local
from farm.plan import Part, Recipe, segments
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


def plain(text: str, target: Path) -> float:
    """Seconds of one process: plan, speak, join, encode."""
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
    with sf.SoundFile(target, "w", card.sample_rate, 1, "PCM_16", format="FLAC") as file:
        for clip in engine.render(Whole()):
            assert isinstance(clip, Clip)
            file.write(clip.samples)
            file.write(np.zeros(card.sample_rate * pauses.pop(clip.key) // 1000, np.float32))
    return time.perf_counter() - started


def farmed(text: str, target: Path, data: Path) -> tuple[float, float]:
    """Seconds from submitting to the file, and the seconds of audio in it."""
    with Local(data) as local, Farm(local.url) as client:
        started = time.perf_counter()
        job = client.wait(client.submit(JobRequest(input=text, output=Output(format="flac"))).id)
        if job.result is None:
            raise SystemExit(f"the job ended as {job.status}: {job.error}")
        client.audio(job.id, target)
        return time.perf_counter() - started, job.result.duration_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=int, default=1_000_000)
    options = parser.parse_args()
    text = book(options.characters)
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1) as alone:
        base = alone.apply(plain, (text, Path(folder) / "plain.flac"))
        print(f"one plain process: {base:.1f} s", flush=True)
        wall, audio = farmed(text, Path(folder) / "farm.flac", Path(folder) / "data")
        spread = abs(sf.info(Path(folder) / "plain.flac").duration - audio)
    print(f"the embedded farm: {wall:.1f} s for {audio / 3600:.2f} h of audio ({audio / wall:.0f} x real time)")
    print(f"the two files differ in length by {spread:.3f} s")
    print(f"ratio {wall / base:.2f} (goal <= 1.25) on {os.cpu_count()} cores, {len(text):,} characters")


if __name__ == "__main__":
    main()
