"""Plans of the jobs in hand, kept in memory: a render worker asks for one row after another of the same pages.

The cache is bounded in plans and in pages. A plan is kept for a few minutes only, because a retry may plan a job anew.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TypeVar

from farm.plan import Plan
from farm.plan_reader import PlanReader
from farm.segment import Segment
from farm.storage import Storage

K = TypeVar("K")
V = TypeVar("V")

_PLAN_SECONDS = 300.0
_PLANS = 256
_PAGES = 512  # of 512 rows each: about 100 MB of text at the very most


class PlanCache:
    """Raises ObjectMissing when the job's plan is gone."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._readers: OrderedDict[_Edition, tuple[float, PlanReader]] = OrderedDict()
        self._pages: _Pages = OrderedDict()

    def plan(self, job: str, revision: int) -> Plan:
        return self._reader((job, revision)).plan

    def segment(self, job: str, revision: int, index: int) -> Segment:
        return self._reader((job, revision)).row(index)

    def _reader(self, edition: _Edition) -> PlanReader:
        kept = self._readers.get(edition)
        if kept is None or time.monotonic() - kept[0] > _PLAN_SECONDS:
            self._readers[edition] = (time.monotonic(), _CachedReader(self._storage, edition, self._pages))
        return _touch(self._readers, edition, _PLANS)[1]


class _CachedReader(PlanReader):
    """Takes pages from the cache. A page that another reader of the job left there may be of an older plan."""

    def __init__(self, storage: Storage, edition: _Edition, pages: _Pages) -> None:
        super().__init__(storage, *edition)
        self._edition, self._pages = edition, pages

    def page(self, number: int) -> list[Segment]:
        key = (self._edition, number)
        kept = self._pages.get(key)
        if kept is None or kept[0] is not self:
            self._pages[key] = (self, super().page(number))
        return _touch(self._pages, key, _PAGES)[1]


_Edition = tuple[str, int]  # a job, and the number of its revision
_Pages = OrderedDict[tuple[_Edition, int], tuple[PlanReader, list[Segment]]]


def _touch(cache: OrderedDict[K, V], key: K, limit: int) -> V:
    cache.move_to_end(key)
    while len(cache) > limit:
        cache.popitem(last=False)
    return cache[key]
