"""Reads a job's plan from storage: its header once, its rows by the page."""

from __future__ import annotations

from collections.abc import Iterator

from farm.layout import pages_key, plan_key
from farm.plan import PAGE, Plan, decode_page
from farm.segment import Segment
from farm.storage import Storage


class PlanReader:
    """Each call raises ObjectMissing where the plan, or a page that it needs, is missing or damaged."""

    def __init__(self, storage: Storage, job: str, revision: int = 1) -> None:
        self.plan = Plan.from_json(storage.get(plan_key(job, revision)))
        self._storage, self._job, self._revision = storage, job, revision

    def rows(self, first: int = 0, count: int | None = None) -> Iterator[Segment]:
        """`count` rows from number `first` on, or as many as there are. A page is read when its first row is due."""
        end = self.plan.total if count is None else min(first + count, self.plan.total)
        if first >= end:
            return
        for number in range(first // PAGE, -(-end // PAGE)):
            start = number * PAGE
            yield from self.page(number)[max(0, first - start) : end - start]

    def row(self, index: int) -> Segment:
        """Raises IndexError for a row that the plan does not have."""
        return self.page(self.plan.page_of(index))[index % PAGE]

    def page(self, number: int) -> list[Segment]:
        start, length = self.plan.page_range(number)
        return decode_page(self._storage.get(pages_key(self._job, self._revision), start, length))
