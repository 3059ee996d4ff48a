"""Does the ear hold the engine? An engine that sleeps hands out Kokoro's clips of what it is asked for, 4 s of audio
for each second, through the real render loop with and without an ear beside it, in turns. Prints both throughputs and
their ratio.

    python -m benchmarks.gate_tax [--batches 8] [--rounds 2]       goal: >= 0.98, as long as a core is free

    --speed 12      more than one ear hears: then the engine waits, and with --behind pass clips pass unheard
    --wrong         every clip says another sentence than it should. A clip of which much more is heard than was
                    written is heard twice, the second time in a window of 30 s, so the ear is slower by far
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.occupancy import Scripted, fill
from benchmarks.redis_server import redis_server
from benchmarks.sentences import SENTENCES
from benchmarks.weights import look_for_ear, look_for_kokoro
from farm.settings import Settings
from farm.storage import open_storage
from farm.store import Store
from tests.engine.feeds import clip
from worker.engine import Clip, Failure, Feed
from worker.engines import load
from worker.render.check import Check, opened
from worker.render.renderer import Renderer

BATCH, GOAL = 4, 0.98


class Sleeping(Scripted):
    """Has a clip of each of its texts, which Kokoro made before."""

    def __init__(self, texts: Sequence[str], seconds_per_second: float, *, wrong: bool) -> None:
        super().__init__()
        with closing(load(Settings.read(model="kokoro"))) as kokoro:
            samples = [clip(kokoro, text, voice="af_heart", language="en-us").samples for text in texts]
            self.card = self.card.model_copy(update={"sample_rate": kokoro.card.sample_rate})
        self._clips = dict(zip(texts, np.roll(np.array(samples, object), wrong), strict=True))
        self._speed = self.card.sample_rate * seconds_per_second
        self.capacity = BATCH

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        while batch := feed.take(BATCH, wait=True):
            said = [self._clips[utterance.text] for utterance in batch]
            time.sleep(sum(map(len, said)) / self._speed)
            for utterance, samples in zip(batch, said, strict=True):
                yield Clip(utterance.key, np.copy(samples), spoken_characters=len(utterance.text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--speed", type=float, default=4.0, help="seconds of audio that the engine makes in one")
    parser.add_argument("--behind", choices=("wait", "pass"), default="wait")
    parser.add_argument("--wrong", action="store_true", help="every clip says another sentence")
    options = parser.parse_args()
    settings = Settings.read(check="report", check_behind=options.behind)
    look_for_kokoro()
    look_for_ear(settings)
    texts = SENTENCES["en"][: options.batches * BATCH]
    engine = Sleeping(texts, options.speed, wrong=options.wrong)
    check = opened(settings, engine.card)
    rates: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(options.rounds):
        for hears in (False, True):
            rates[hears].append(clips_per_second(engine, check if hears else None, texts))
    off, on = (statistics.median(rates[hears]) for hears in (False, True))
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{off:.2f} clips a second without an ear, {on:.2f} with one: {on / off:.3f} (goal >= {GOAL})")
    if check is not None:
        check.ear.close()


def clips_per_second(engine: Sleeping, check: Check | None, texts: Sequence[str]) -> float:
    """From the first batch to the last clip that is settled."""
    with redis_server() as url, tempfile.TemporaryDirectory() as folder:
        settings = Settings(redis_url=url, storage_url=Path(folder).as_uri(), model="scripted")
        store, storage = Store.connect(url), open_storage(settings)
        fill(store, storage, engine.card, ["\n\n".join(texts)])
        renderer = Renderer(store, storage, engine, settings, "bench", check=check)
        started = time.perf_counter()
        renderer.drain()
        seconds = time.perf_counter() - started
        print(f"{'on ' if check else 'off'} {seconds:.1f} s", renderer.facts().get("check", ""), flush=True)
        return len(texts) / seconds


if __name__ == "__main__":
    main()
