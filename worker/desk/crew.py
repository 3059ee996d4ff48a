"""Threads for one kind of task, which know how many of them are free."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from farm.store import tasks

FRESH_S = 1.0


class Crew:
    """`size` tasks at once. A task that lasts longer than FRESH_S moves into the reserve, as long as that has room, and
    makes place for the next."""

    def __init__(self, size: int, name: str, reserve: int = 0) -> None:
        self._size, self._reserve = size, reserve
        self._pool = ThreadPoolExecutor(size + reserve, name)
        self._began: dict[Future[None], tuple[float, tasks.Task]] = {}

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        """Waits for every task."""
        self._pool.shutdown()

    @property
    def under_way(self) -> set[Future[None]]:
        return set(self._began)

    @property
    def at_work(self) -> list[tasks.Task]:
        """Those under way."""
        return [task for future, (_, task) in self._began.items() if not future.done()]

    @property
    def free(self) -> int:
        self._began = {future: began for future, began in self._began.items() if not future.done()}
        slow = sum(time.monotonic() - began > FRESH_S for began, _ in self._began.values())
        return self._size + min(slow, self._reserve) - len(self._began)

    def start(self, act: Callable[[tasks.Task], None], given: Iterable[tasks.Task]) -> None:
        for task in given:
            self._began[self._pool.submit(act, task)] = time.monotonic(), task
