"""Does an IndexTTS worker grow? The tiny random model renders 10,000 short utterances of 500 voices, through the whole
engine with its caches; prints resident memory as it goes.

    python -m benchmarks.engine_memory [--utterances 10000] [--voices 500]
                                                        goal: within 5 % of what it was after the first 1,000
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import psutil
import soundfile as sf
import torch

from farm.speech import Manner
from tests.indextts.checkpoint import write
from worker.engine import Clip, Speech, Utterance
from worker.engines.indextts.load.checkpoint import find_checkpoint
from worker.engines.indextts.load.factory import Options, assemble
from worker.engines.indextts.load.network import load_network
from worker.engines.indextts.shapes import Precisions, Sampling

WORDS = ["tide", "harbour", "ship", "morning", "nobody", "letter", "rain", "light", "winter", "long", "before", "under"]


class Feed:
    """Draws texts and voices as it is asked, so that nothing grows that is not the engine's. Every voice is heard once
    in turn before they are drawn, so that the caches are full when growth begins to count."""

    def __init__(self, voices: Sequence[Path], count: int) -> None:
        self._voices, self._count, self._random = voices, count, random.Random(0)
        self._first = list(voices)

    def take(self, count: int, *, wait: bool) -> list[Utterance]:
        del wait
        count = min(count, self._count)
        self._count -= count
        return [self._utterance() for _ in range(count)]

    def _utterance(self) -> Utterance:
        voice = self._first.pop() if self._first else self._random.choice(self._voices)
        text = " ".join(self._random.choices(WORDS, k=self._random.randint(1, 4)))
        seed = self._random.randrange(2**32)
        return Utterance(f"{seed}", text, Speech("en", voice.stem, voice, Manner(seed=seed)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=10_000)
    parser.add_argument("--voices", type=int, default=500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = write(Path(scratch, "model"))
        network = load_network(find_checkpoint(folder), torch.device("cpu"), Precisions())
        sampling = Sampling(limit=4)
        engine = assemble(network, "tiny", Options(slots=16, steps=1, voice_bytes=100 << 20, sampling=sampling))
        feed = Feed([_voice(Path(scratch), number) for number in range(options.voices)], options.utterances)
        memory, started, settled = psutil.Process().memory_info, time.monotonic(), 0
        for done, outcome in enumerate(engine.render(feed), 1):
            assert isinstance(outcome, Clip), outcome
            if done % 1000 == 0:
                resident = memory().rss
                settled = settled or resident
                print(
                    f"{done:>7} utterances  {resident / 1e6:>7.0f} MB  {resident / settled - 1:>+7.1%}  "
                    f"{time.monotonic() - started:>5.0f} s",
                    flush=True,
                )
    growth = memory().rss / settled - 1
    print(f"goal, growth after the first 1,000: {growth:+.1%} of <= 5 %: {'met' if growth <= 0.05 else 'MISSED'}")


def _voice(folder: Path, number: int) -> Path:
    """Of 0.6 to 1.6 s, each another chord."""
    seconds, pitch = 0.6 + number % 11 / 10, 80 + number
    moment = np.arange(int(seconds * 16_000)) / 16_000
    chord = sum(np.sin(2 * np.pi * pitch * harmonic * moment) / harmonic for harmonic in range(1, 6))
    path = folder / f"voice-{number}.flac"
    sf.write(path, np.asarray(0.2 * chord, np.float32), 16_000)
    return path


if __name__ == "__main__":
    main()
