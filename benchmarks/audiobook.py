"""How long an audiobook takes behind a GPU: an engine that sleeps, 150 times faster than its speech, and real desks
that join and encode. Prints the wall clock over the engine's own time, and how long the end took.

    python -m benchmarks.audiobook [--format m4b] [--hours 3] [--desks 2]        goals: <= 1.10, and the end <= 0.10
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.tax import book
from farm.client import Farm
from farm.embedded.supervisor import Local
from farm.layout import clip_key
from farm.plan_reader import PlanReader
from farm.settings import Settings
from farm.sound.flac import duration_ms, encode
from farm.storage import LocalStorage
from farm.store import Store, registry, segments
from farm.wake import DESK_QUEUE, Waker
from farm.wire import JobRequest, Language, Model, Output
from worker.engine import Clip, Speech, Utterance
from worker.engines.espeak.engine import Espeak

SPEED = 150  # times real time
BATCH = 32
CHARACTERS_A_SECOND = 15
SENTENCE = "The keeper counted the steps to the lamp, and slept until the ships were home again."


class Sleeper:
    """Plays a render worker: claims a batch, sleeps for as long as a GPU would speak it, settles one clip for all. It
    speaks `speed` times faster than real time."""

    def __init__(self, local: Local, clip: bytes, sample_rate: int, speed: float = SPEED) -> None:
        settings = Settings(redis_url=local.redis_url, storage_url=local.storage_url)
        self._store, self._waker = Store.connect(settings.redis_url), Waker(settings.broker)
        self._storage = LocalStorage(local.data / "storage")
        self._clip, self._speed = clip, speed
        self.slept, self.done = 0.0, threading.Event()
        card = Model(
            name="sleeper", revision="1", sample_rate=sample_rate,
            languages={"en": Language(max_characters=120, voice="v")}, voices={"v": "en"},
            uploaded_voices=False, parameters=[],
        )  # fmt: skip
        self._store.run(registry.announce(card.name, card.model_dump_json()))

    def run(self) -> None:
        milliseconds, plans = duration_ms(self._clip), {}
        while not self.done.is_set():
            grant = self._store.run(segments.claim("sleeper", want=BATCH, worker="sleeper", lease_ms=60_000))
            if grant is None:
                self.done.wait(0.02)  # until the job is planned, or ended
                continue
            seconds = len(grant) * milliseconds / 1000 / self._speed
            time.sleep(seconds)  # the engine
            self.slept += seconds
            clips = []
            for job, indices in grant.segments.items():
                if job not in plans:
                    plans[job] = [row.digest for row in PlanReader(self._storage, job).rows()]
                for index in indices:
                    self._storage.put(clip_key(plans[job][index]), self._clip, synced=False)
                    clips.append(segments.Settled(job, index, milliseconds))
            if self._store.run(segments.settle(grant.token, clips)).became_due:
                self._waker.wake(DESK_QUEUE)


def spoken() -> tuple[bytes, int]:
    """A clip of real speech, and its sample rate."""
    engine = Espeak()
    voice = engine.card.languages["en"].voice or ""
    todo = [Utterance("a", SENTENCE, Speech(language="en", voice=voice))]

    class One:
        def take(self, count: int, *, wait: bool) -> list[Utterance]:
            taken, todo[:] = todo[:], []
            return taken

    (clip,) = engine.render(One())
    engine.close()
    assert isinstance(clip, Clip)
    return encode(clip.samples, engine.card.sample_rate), engine.card.sample_rate


@contextlib.contextmanager
def desks(local: Local, count: int) -> Iterator[None]:
    """As many processes of the desk; the farm has two itself."""
    if count <= 2:
        yield
        return
    environment = {**os.environ, "FARM_REDIS_URL": local.redis_url, "FARM_STORAGE_URL": local.storage_url}
    command = [sys.executable, "-m", "worker", "desk", "--processes", str(count - 2)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as more:
        yield
        more.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=("wav", "flac", "mp3", "opus", "m4b"), default="m4b")
    parser.add_argument("--hours", type=float, default=3)
    parser.add_argument("--desks", type=int, default=2)
    options = parser.parse_args()
    text = book(round(options.hours * 3600 * CHARACTERS_A_SECOND))
    clip, rate = spoken()
    with tempfile.TemporaryDirectory() as folder, Local(Path(folder)) as local, Farm(local.url) as client:
        with desks(local, options.desks):
            engine = Sleeper(local, clip, rate)
            thread = threading.Thread(target=engine.run)
            thread.start()
            started, settled = time.perf_counter(), None
            wanted = JobRequest(input=text, model="sleeper", output=Output(format=options.format))
            for job in client.watch(client.submit(wanted).id, every=0.2):
                if settled is None and job.status not in ("queued", "running"):
                    settled = time.perf_counter()
            ended = time.perf_counter()
            engine.done.set()
            thread.join()
    if job.result is None or settled is None:
        raise SystemExit(f"the job ended as {job.status}: {job.error}")
    wall, end = ended - started, ended - settled
    print(f"{job.result.duration_seconds / 3600:.2f} h of {options.format}, {options.desks} processes of the desk on "
          f"{os.cpu_count()} cores")  # fmt: skip
    print(f"the engine alone {engine.slept:.1f} s, the farm {wall:.1f} s: {wall / engine.slept:.2f} (goal <= 1.10)")
    print(f"from the last settled segment to the result {end:.1f} s: {end / wall:.3f} of that (goal <= 0.10)")


if __name__ == "__main__":
    main()
