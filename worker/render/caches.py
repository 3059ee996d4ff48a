"""What rendering reads from storage, kept near: plan pages of the jobs in hand and the reference audio of voices.

Both are bounded. Plans are kept for a few minutes only, because a retry may plan a job anew.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TypeVar

from farm.layout import pages_key, plan_key, voice_key
from farm.plan import Plan, Segment, decode_page
from farm.scratch import Scratch
from farm.storage import Storage

K = TypeVar("K")
V = TypeVar("V")

_PLAN_SECONDS = 300.0
_PLANS = 256
_PAGES = 512  # of 512 rows each: about 100 MB of text at the very most
_VOICES = 512


class Plans:
    """job, segment -> what to render. Raises ObjectMissing when the job's plan is gone."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._plans: OrderedDict[str, tuple[float, Plan]] = OrderedDict()
        self._pages: OrderedDict[tuple[str, int], tuple[float, list[Segment]]] = OrderedDict()

    def plan(self, job: str) -> Plan:
        kept = self._plans.get(job)
        if kept is None or time.monotonic() - kept[0] > _PLAN_SECONDS:
            kept = (time.monotonic(), Plan.from_json(self._storage.get(plan_key(job))))
            self._plans[job] = kept
        return _touch(self._plans, job, _PLANS)[1]

    def segment(self, job: str, index: int) -> Segment:
        plan = self.plan(job)
        number = plan.page_of(index)
        kept = self._pages.get((job, number))
        if kept is None or kept[0] < self._plans[job][0]:
            start, length = plan.page_range(number)
            kept = (self._plans[job][0], decode_page(self._storage.get(pages_key(job), start, length)))
            self._pages[job, number] = kept
        page = _touch(self._pages, (job, number), _PAGES)[1]
        return page[index - page[0].index]


class References:
    """tenant, digest -> a local file with the voice's reference audio."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._folder = Scratch("voices")
        self._kept: OrderedDict[Path, None] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        self._folder.close()

    def path(self, tenant: str, digest: str) -> Path:
        path = self._folder.path / f"{tenant}-{digest}.flac"
        with self._lock:
            if path not in self._kept:
                partial = path.with_suffix(".partial")
                partial.write_bytes(self._storage.get(voice_key(tenant, digest)))
                os.replace(partial, path)
                self._kept[path] = None
                if len(self._kept) > _VOICES:
                    self._kept.popitem(last=False)[0].unlink(missing_ok=True)
            self._kept.move_to_end(path)
        return path


def _touch(cache: OrderedDict[K, V], key: K, limit: int) -> V:
    cache.move_to_end(key)
    while len(cache) > limit:
        cache.popitem(last=False)
    return cache[key]
