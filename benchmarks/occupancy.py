"""Does the engine ever wait? A scripted engine (200 ms a batch of 32, no real work) renders a backlog through the real
render loop, store and storage. Prints the mean batch against 32, and the share of the time between the first batch and
the last in which the engine was not rendering.

    python -m benchmarks.occupancy [--batches 60]          goals: mean batch >= 0.95 of 32, idle <= 3 %
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.redis_server import redis_server
from farm.cutting import Part
from farm.job import Due, Lane, new_id
from farm.layout import pages_key, plan_key
from farm.plan import encode_plan
from farm.planning import segments
from farm.segment import Recipe
from farm.settings import Settings
from farm.storage import Storage, open_storage
from farm.store import Store, jobs, tasks
from farm.wire import Language, Model, Pauses
from worker.engine import Clip, Failure, Feed
from worker.render.renderer import Renderer

CAPACITY, STEP, RATE = 32, 0.2, 22_050


class Scripted:
    """Takes STEP seconds for whatever it is given, and notes when it worked."""

    def __init__(self) -> None:
        self.card = Model(
            name="scripted", revision="1", sample_rate=RATE, languages={"en": Language(max_characters=200)},
            voices={"v": "en"}, uploaded_voices=False, parameters=[],
        )  # fmt: skip
        self.device = "none"
        self.capacity = CAPACITY
        self.batches: list[tuple[float, float, int]] = []
        noise = np.random.default_rng(0).normal(0, 0.05, 4 * RATE)
        self._samples = noise.astype(np.float32).clip(-1, 1)

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        while batch := feed.take(CAPACITY, wait=True):
            started = time.perf_counter()
            time.sleep(STEP)
            self.batches.append((started, time.perf_counter(), len(batch)))
            for utterance in batch:
                yield Clip(utterance.key, self._samples, spoken_characters=len(utterance.text))

    def facts(self) -> Mapping[str, str]:
        return {}

    def close(self) -> None:
        pass


def fill(store: Store, storage: Storage, card: Model, texts: Sequence[str]) -> None:
    """One planned job for each text."""
    recipe = Recipe("default", card.name, card.revision, "en")
    for number, text in enumerate(texts):
        job = new_id("job")
        parts = [Part("", text, "v")]
        header, pages = encode_plan(segments(parts, recipe, 200, Pauses()), parts, recipe, sample_rate=RATE)
        storage.put(pages_key(job), pages)
        storage.put(plan_key(job), header.to_json().encode())
        store.run(jobs.accept(jobs.NewJob(job, f"tenant{number % 3}", card.name, Lane.NORMAL, "{}", "", 1, 3600)))
        for task in store.run(tasks.take((Due.PLAN,), want=1, lease_ms=10_000)):
            store.run(jobs.plan(task.id, task.token, header.total))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=60)
    options = parser.parse_args()
    with redis_server() as url, tempfile.TemporaryDirectory() as folder:
        settings = Settings(redis_url=url, storage_url=Path(folder).as_uri(), model="scripted")
        store, storage = Store.connect(url), open_storage(settings)
        engine = Scripted()
        rows = -(-options.batches * CAPACITY // 10)
        texts = ("\n\n".join(f"Sentence {row} of text {number}." for row in range(rows)) for number in range(10))
        fill(store, storage, engine.card, list(texts))
        Renderer(store, storage, engine, settings, "bench").drain()
    batches = engine.batches
    span = batches[-1][1] - batches[0][0]
    idle = 1 - sum(end - start for start, end, _ in batches) / span
    full = batches[:-1]  # the last one is the rest
    mean = sum(size for _, _, size in full) / len(full)
    print(f"{len(batches)} batches, mean {mean:.2f} of {CAPACITY} = {mean / CAPACITY:.3f} (goal >= 0.95)")
    print(f"engine idle {idle:.2%} of {span:.1f} s (goal <= 3 %)")


if __name__ == "__main__":
    main()
