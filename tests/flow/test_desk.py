"""The desk does many things at once: five books delay neither a one-sentence job nor a stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from farm.job import Due, Lane, Status
from farm.layout import BATCHES, JOBS, audio_key, clip_key, lines_key, pages_key, plan_key, result_prefix, text_key
from farm.outcome import Rendered
from farm.plan_reader import PlanReader
from farm.storage import Object, Storage
from farm.store import jobs, tasks
from tests.flow.house import House
from tests.patience import patient
from tests.until import until
from worker.desk.backoff import Backoff
from worker.desk.desk import Desk


class Gated:
    """Storage that holds some objects back until `open` is set. `asked` is set once one of them was wanted."""

    def __init__(self, real: Storage, keys: set[str]) -> None:
        self._real, self._keys = real, keys
        self.open, self.asked = threading.Event(), threading.Event()

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        if key in self._keys:
            self.asked.set()
            assert self.open.wait(patient(60))
        return self._real.get(key, start, length)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Interposed:
    """Storage that calls `happens` just before it writes one object."""

    def __init__(self, real: Storage, key: str, happens: Callable[[], object]) -> None:
        self._real, self._key, self._happens = real, key, happens

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        if key == self._key:
            self._happens()
        self._real.put(key, data, content_type)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def settled_books(house: House, count: int) -> tuple[list[str], set[str]]:
    """Jobs that are due for assembly, and their clips."""
    texts = [f"Book {number} begins. It goes on.\n\nAnd it ends." for number in range(count)]
    books = [house.submit(input=text, priority=Lane.BULK) for text in texts]
    house.desk.drain()
    house.renderer().drain()
    rows = [row for book in books for row in PlanReader(house.storage, book).rows()]
    return books, {clip_key(row.digest) for row in rows}


@contextmanager
def working(desk: Desk, stop: threading.Event) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=desk.drain, args=(stop.is_set,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(patient(60))


def test_a_one_sentence_job_is_assembled_while_five_books_are(house: House) -> None:
    books, clips = settled_books(house, 5)
    gated = Gated(house.storage, clips)
    desk = Desk(house.store, gated, house.waker, house.settings)
    stop, renderer = threading.Event(), house.renderer()

    def spoken() -> bool:
        renderer.drain()
        return house.record(line).status is Status.SUCCEEDED

    with working(desk, stop):
        try:
            assert gated.asked.wait(patient(10))
            line = house.submit(input="Just a line.", priority=Lane.INTERACTIVE)
            until(spoken)
            assert {house.record(book).status for book in books} == {Status.ASSEMBLING}
        finally:
            gated.open.set()
    house.finish()
    assert {house.record(book).status for book in books} == {Status.SUCCEEDED}


def test_a_job_that_is_deleted_while_it_is_planned_leaves_no_plan(house: House) -> None:
    job = house.submit(input="Nobody wants this any more.")
    storage = Interposed(house.storage, plan_key(job), lambda: house.store.run(jobs.forget(job)))
    Desk(house.store, storage, house.waker, house.settings).drain()
    assert [found.key for found in house.storage.list("")] == []


def test_a_stop_puts_a_book_back_for_another_desk(house: House) -> None:
    (book,), clips = settled_books(house, 1)
    gated = Gated(house.storage, clips)
    stop = threading.Event()
    with working(Desk(house.store, gated, house.waker, house.settings), stop) as thread:
        assert gated.asked.wait(patient(10))
        stop.set()
        gated.open.set()
        thread.join(patient(10))
        assert not thread.is_alive()
    assert house.record(book).status is Status.ASSEMBLING
    house.desk.drain()
    assert house.record(book).status is Status.SUCCEEDED


class Overtaken:
    """Storage that calls `meanwhile` while it first lists objects."""

    def __init__(self, real: Storage, meanwhile: Callable[[], None]) -> None:
        self._real, self._rest = real, [meanwhile]

    def list(self, prefix: str) -> Iterator[Object]:
        if self._rest:
            self._rest.pop()()
        return self._real.list(prefix)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def results(house: House, book: str) -> set[str]:
    return {found.key for found in house.storage.list(result_prefix(book))}


def test_uploads_of_a_dead_desk_are_deleted(house: House) -> None:
    (book,), _ = settled_books(house, 1)
    house.storage.put(audio_key(book, "0", ".wav"), b"of a desk that was killed before it could finish")
    house.desk.drain()
    outcome = house.outcome(book)
    assert isinstance(outcome, Rendered)
    assert results(house, book) == {outcome.audio_key, outcome.manifest_key}


def test_a_late_desk_deletes_nothing_of_a_faster_one(house: House) -> None:
    (book,), _ = settled_books(house, 1)

    def begun_anew() -> None:
        house.store.run(jobs.cancel(book, "default"))
        house.store.run(jobs.retry(book, "default"))
        deadline = time.monotonic() + patient(60)
        while house.record(book).status is not Status.SUCCEEDED:  # the late desk may take a step of it
            assert time.monotonic() < deadline
            house.finish()

    Desk(house.store, Overtaken(house.storage, begun_anew), house.waker, house.settings).drain()
    outcome = house.outcome(book)
    assert isinstance(outcome, Rendered)
    assert results(house, book) == {outcome.audio_key, outcome.manifest_key}


def test_texts_of_jobs_and_batches_that_were_never_accepted_are_deleted(house: House) -> None:
    job = house.submit(input="One that was accepted.")
    late, early = {"job_late": text_key, "batch_late": lines_key}, {"job_early": text_key}
    for after_ms, drafts in ((0, late), (60_000, early)):
        for id, key in drafts.items():
            house.store.run(jobs.draft(id, after_ms))
            house.storage.put(key(id), b"{}")
    house.desk.drain()
    left = {found.key for prefix in (JOBS, BATCHES) for found in house.storage.list(prefix)}
    assert left == {text_key("job_early"), text_key(job), plan_key(job), pages_key(job)}


class Broken:
    """Storage that fails as nobody foresaw, until `well` is set."""

    def __init__(self, real: Storage) -> None:
        self._real, self.well = real, threading.Event()

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        if not self.well.is_set():
            raise RuntimeError("nobody foresaw this")
        self._real.put(key, data, content_type)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_a_task_that_fails_for_an_unforeseen_reason_waits_longer_each_time(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Broken(house.storage)
    desk = Desk(house.store, storage, house.waker, house.settings)  # type: ignore[arg-type]
    job = house.submit(input="Just a line.")
    waits = []
    for _ in range(4):
        desk.drain()
        waits.append(house.store.run(tasks.next_due((Due.PLAN,)))[Due.PLAN])
        house.store.run(jobs.cancel(job, "default"))
        house.store.run(jobs.retry(job, "default"))  # makes it due at once
    assert [4_000 * 2**n < wait <= 5_000 * 2**n for n, wait in enumerate(waits)] == [True] * 4
    assert [bool(line.exc_info) for line in caplog.records if job in line.getMessage()] == [True, False, False, False]
    storage.well.set()
    desk.drain()
    assert house.record(job).status is Status.RUNNING


def test_the_wait_of_a_failing_task_ends_at_five_minutes_and_begins_anew_after_a_success() -> None:
    backoff, task = Backoff(), tasks.Task(Due.PLAN, "job_a", "7")
    waits = [backoff.failed(task)[1] for _ in range(30)]
    assert (waits[:3], max(waits), waits[-1]) == ([5_000, 10_000, 20_000], 300_000, 300_000)
    assert backoff.failed(tasks.Task(Due.PLAN, "job_b", "8")) == (1, 5_000)
    backoff.succeeded(task)
    assert backoff.failed(task) == (1, 5_000)
