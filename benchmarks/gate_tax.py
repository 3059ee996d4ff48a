"""Does the ear hold the engine? A scripted engine that sleeps hands out real speech, 4 s of audio for each second,
through the real render loop with and without an ear beside it, in turns. Prints both throughputs and their ratio.

    python -m benchmarks.gate_tax [--batches 8] [--rounds 2]       goal: >= 0.98, as long as a core is free

An ear has one thread, which hears some 7 s of audio in a second. `--speed 12` asks for more than that: then the engine
waits, and with `--behind pass` clips pass unheard.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.occupancy import Scripted, fill
from benchmarks.redis_server import redis_server
from benchmarks.sentences import SENTENCES
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
    """Says one sentence for every text: the ear works as hard for a wrong one."""

    def __init__(self, seconds_per_second: float) -> None:
        super().__init__()
        engine = load(Settings.read(model="espeak"))
        self._samples = clip(engine, SENTENCES["en"][6], voice="en-us", language="en-us").samples
        engine.close()
        self.card = self.card.model_copy(update={"sample_rate": engine.card.sample_rate})
        self.capacity = BATCH
        self._step_s = BATCH * len(self._samples) / self.card.sample_rate / seconds_per_second

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        while batch := feed.take(BATCH, wait=True):
            time.sleep(self._step_s)
            for utterance in batch:
                yield Clip(utterance.key, np.copy(self._samples), spoken_characters=len(utterance.text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--speed", type=float, default=4.0, help="seconds of audio that the engine makes in one")
    parser.add_argument("--behind", choices=("wait", "pass"), default="wait")
    options = parser.parse_args()
    engine = Sleeping(options.speed)
    check = opened(Settings.read(check="report", check_behind=options.behind), engine.card)
    rates: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(options.rounds):
        for hears in (False, True):
            rates[hears].append(clips_per_second(engine, check if hears else None, options.batches))
    off, on = (statistics.median(rates[hears]) for hears in (False, True))
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{off:.2f} clips a second without an ear, {on:.2f} with one: {on / off:.3f} (goal >= {GOAL})")
    if check is not None:
        check.ear.close()


def clips_per_second(engine: Sleeping, check: Check | None, batches: int) -> float:
    """From the first batch to the last clip that is settled."""
    with redis_server() as url, tempfile.TemporaryDirectory() as folder:
        settings = Settings(redis_url=url, storage_url=Path(folder).as_uri(), model="scripted")
        store, storage = Store.connect(url), open_storage(settings)
        fill(store, storage, engine.card, job_count=2, rows=batches * BATCH // 2)
        renderer = Renderer(store, storage, engine, settings, "bench", check=check)
        started = time.perf_counter()
        renderer.drain()
        seconds = time.perf_counter() - started
        print(f"{'on ' if check else 'off'} {seconds:.1f} s", renderer.facts().get("check", ""), flush=True)
        return batches * BATCH / seconds


if __name__ == "__main__":
    main()
