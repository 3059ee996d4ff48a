"""The threads of the desk for one kind of task, and the number of them that are free."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from farm.job import Due
from farm.store import tasks
from worker.desk import crew as module
from worker.desk.crew import Crew

TASK = tasks.Task(Due.DELIVER, "job_1.1", "1")
SOON_S = 10.0


@contextmanager
def held(size: int, reserve: int = 0) -> Iterator[tuple[Crew, threading.Event]]:
    """A crew, and an event that its tasks wait for."""
    release = threading.Event()
    with Crew(size, "test", reserve) as held:
        try:
            yield held, release
        finally:
            release.set()


def wait(release: threading.Event) -> None:
    assert release.wait(SOON_S)


def test_tasks_under_way_take_up_threads() -> None:
    with held(3) as (crew, release):
        assert crew.free == 3
        crew.start(lambda _: wait(release), [TASK, TASK])
        assert crew.free == 1
        assert len(crew.under_way) == 2


def test_a_finished_task_frees_its_thread() -> None:
    with held(1) as (crew, _):
        crew.start(lambda _: None, [TASK])
        for future in crew.under_way:
            future.result(SOON_S)
        assert crew.free == 1
        assert not crew.under_way


def test_a_fresh_task_does_not_use_the_reserve() -> None:
    with held(1, reserve=5) as (crew, release):
        crew.start(lambda _: wait(release), [TASK])
        assert crew.free == 0


def test_slow_tasks_make_place_until_the_reserve_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_S", -1.0)  # every task is slow
    with held(2, reserve=3) as (crew, release):
        crew.start(lambda _: wait(release), [TASK] * 2)
        assert crew.free == 2
        crew.start(lambda _: wait(release), [TASK] * 2)
        assert crew.free == 1
        crew.start(lambda _: wait(release), [TASK])
        assert crew.free == 0


def test_the_end_of_a_crew_waits_for_its_tasks() -> None:
    done: list[tasks.Task] = []
    with Crew(2, "test") as crew:
        crew.start(done.append, [TASK, TASK])
    assert done == [TASK, TASK]
