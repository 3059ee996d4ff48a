"""A render worker whose test says when it renders: each clip is a tone, in the real store and storage."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

import numpy as np

from farm.layout import clip_key
from farm.plan_reader import PlanReader
from farm.sound.flac import Samples, encode
from farm.store import segments
from tests.api.backstage import LEASE_MS, Backstage
from tests.meanwhile import LOOK_S, meanwhile
from tests.patience import patient

RATE = 22_050  # Hz, as the cards of backstage say
FRAMES = 11_025  # of every clip


def tone(index: int) -> Samples:
    """Half a second, of another pitch for each segment, which begins and ends in silence."""
    time = np.arange(FRAMES, dtype=np.float32) / RATE
    samples: Samples = (0.4 * np.sin(2 * np.pi * (200 + 20 * index) * time) * np.hanning(FRAMES)).astype(np.float32)
    return samples


class Stage:
    def __init__(self, backstage: Backstage) -> None:
        self._store, self._storage = backstage.store, backstage.storage

    def claim(self, count: int = 1, model: str = "espeak") -> segments.Grant:
        """Waits for work."""
        deadline = time.monotonic() + patient(10)
        while time.monotonic() < deadline:
            grant = self._store.run(segments.claim(model, want=count, worker="w", lease_ms=LEASE_MS))
            if grant is not None:
                self._store.run(segments.begin(grant.token, grant.segments))
                return grant
            time.sleep(LOOK_S)  # the store tells workers of ready segments by Celery, which this test does not run
        raise AssertionError("nothing became ready")

    def render(self, count: int = 1) -> str:
        """So many segments of the next job; the job."""
        grant = self.claim(count)
        for job, indices in grant.segments.items():
            self.settle(grant, job, *indices)
        return next(iter(grant.segments))

    def settle(self, grant: segments.Grant, job: str, *indices: int, damaged: bool = False) -> None:
        reader = PlanReader(self._storage, job)
        for index in indices:
            clip = encode(tone(index), RATE)
            self._storage.put(clip_key(reader.row(index).digest), clip[:-100] if damaged else clip)
        self._store.run(segments.settle(grant.token, [segments.Settled(job, index, 500) for index in indices]))

    def fail(self, grant: segments.Grant, job: str, index: int, error: str) -> None:
        """For good."""
        while self._store.run(segments.fail(grant.token, job, index, error)):
            found = self._store.run(segments.claim("espeak", want=1, worker="w", lease_ms=LEASE_MS))
            if found is None:
                return
            grant = found
            self._store.run(segments.begin(grant.token, grant.segments))

    def rendering(self) -> AbstractContextManager[None]:
        """Renders whatever comes."""
        return meanwhile(self._render_what_waits)

    def _render_what_waits(self) -> None:
        grant = self._store.run(segments.claim("espeak", want=64, worker="w", lease_ms=LEASE_MS))
        if grant is not None:
            for job, indices in grant.segments.items():
                self.settle(grant, job, *indices)
