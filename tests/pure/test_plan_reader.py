"""Reading a plan from storage: by rows, one row, and through the cache of a render worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.cutting import Part
from farm.errors import ObjectMissing
from farm.layout import pages_key, plan_key
from farm.plan import PAGE, encode_plan
from farm.plan_reader import PlanReader
from farm.planning import segments
from farm.segment import Recipe, Segment
from farm.storage import LocalStorage
from farm.wire import Pauses
from worker.render.plan_cache import PlanCache

JOB = "job_a"
RECIPE = Recipe("default", "espeak", "1", "en")


class Noted(LocalStorage):
    """Notes every read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[str] = []

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.reads.append(key)
        return super().get(key, start, length)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Noted]:
    return Noted(tmp_path)


def written(storage: LocalStorage, count: int, word: str = "Line") -> list[Segment]:
    """A plan of so many segments, in pages of 512."""
    parts = [Part("", "\n\n".join(f"{word} {number}." for number in range(count)), "en-us")]
    rows = list(segments(parts, RECIPE, 80, Pauses()))
    header, pages = encode_plan(iter(rows), parts, RECIPE, sample_rate=22_050)
    storage.put(pages_key(JOB), pages)
    storage.put(plan_key(JOB), header.to_json().encode())
    assert len(rows) == count
    return rows


@pytest.mark.parametrize("count", [1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_all_rows_come_in_order(storage: Noted, count: int) -> None:
    rows = written(storage, count)
    reader = PlanReader(storage, JOB)
    assert reader.plan.total == count
    assert list(reader.rows()) == rows


@pytest.mark.parametrize(
    ("first", "count", "pages"),
    [
        (0, 0, 0), (0, 1, 1), (5, 100, 1), (PAGE - 1, 1, 1), (PAGE - 1, 2, 2), (PAGE, PAGE, 1), (10, 2 * PAGE, 3),
        (2 * PAGE + 5, 100, 1), (2 * PAGE + 10, 1, 0), (10**9, 5, 0),
    ],
)  # fmt: skip
def test_a_part_of_the_rows_is_read_from_its_own_pages(storage: Noted, first: int, count: int, pages: int) -> None:
    rows = written(storage, 2 * PAGE + 10)
    reader = PlanReader(storage, JOB)
    storage.reads.clear()
    assert list(reader.rows(first, count)) == rows[first : first + count]
    assert storage.reads == [pages_key(JOB)] * pages


def test_one_row_is_found_by_its_number(storage: Noted) -> None:
    rows = written(storage, PAGE + 2)
    reader = PlanReader(storage, JOB)
    for index in (0, PAGE - 1, PAGE, PAGE + 1):
        assert reader.row(index) == rows[index]
    for index in (-1, PAGE + 2):
        with pytest.raises(IndexError, match="of a plan of 514"):
            reader.row(index)


def test_a_missing_plan_and_a_missing_page_are_told(storage: Noted) -> None:
    with pytest.raises(ObjectMissing):
        PlanReader(storage, JOB)
    written(storage, 3)
    reader = PlanReader(storage, JOB)
    storage.delete(pages_key(JOB))
    with pytest.raises(ObjectMissing):
        list(reader.rows())


# --- the cache of a render worker -------------------------------------------------------------------------------------


def test_the_cache_reads_a_plan_and_each_of_its_pages_once(storage: Noted) -> None:
    rows = written(storage, PAGE + 2)
    cache = PlanCache(storage)
    for index in (0, PAGE, 1, PAGE + 1, PAGE - 1, 0):
        assert cache.segment(JOB, 1, index) == rows[index]
    assert cache.plan(JOB, 1).total == PAGE + 2
    assert storage.reads == [plan_key(JOB), pages_key(JOB), pages_key(JOB)]


def test_the_cache_takes_no_page_of_a_plan_that_was_replaced(storage: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = PlanCache(storage)
    before = written(storage, 3)
    assert cache.segment(JOB, 1, 1) == before[1]
    after = written(storage, 4, "Verse")
    assert cache.segment(JOB, 1, 1) == before[1], "within minutes the plan is not read again"
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 301)
    assert cache.segment(JOB, 1, 1) == after[1] != before[1]
    assert cache.segment(JOB, 1, 3) == after[3]


def test_the_cache_takes_no_plan_of_another_revision(storage: Noted) -> None:
    cache = PlanCache(storage)
    before = written(storage, 2)
    assert cache.segment(JOB, 1, 0) == before[0]
    storage.put(pages_key(JOB, 2), storage.get(pages_key(JOB)))
    storage.put(plan_key(JOB, 2), storage.get(plan_key(JOB)).replace(b'"model":"espeak"', b'"model":"another"'))
    assert (cache.plan(JOB, 1).recipe.model, cache.plan(JOB, 2).recipe.model) == ("espeak", "another")


def test_the_cache_keeps_no_missing_plan(storage: Noted) -> None:
    cache = PlanCache(storage)
    with pytest.raises(ObjectMissing):
        cache.plan(JOB, 1)
    rows = written(storage, 1)
    assert cache.segment(JOB, 1, 0) == rows[0]
