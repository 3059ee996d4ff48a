"""The lease on one task of the desk, renewed by a thread while the task is worked on.

A dead desk's lease runs out, and another desk gets the task. Long work calls `check` now and then: it raises TaskLost
or Interrupted, either of which ends the work.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType

from farm.store import Store, tasks
from worker.process.ticker import Ticker

log = logging.getLogger(__name__)


class TaskLost(Exception):
    """Another desk has the task by now, or its job was canceled."""


class Interrupted(Exception):
    """The worker must go; the task is for another desk."""


class TaskLease:
    def __init__(self, store: Store, task: tasks.Task, lease_ms: int, stopping: Callable[[], bool]) -> None:
        self._store, self._task, self._lease_ms, self._stopping = store, task, lease_ms, stopping
        self._lost = threading.Event()
        outage = partial(log.warning, "lease of %s not renewed: %s", task.id)
        self._ticker = Ticker("task-lease", lease_ms / 3000, self._renew, on_outage=outage)

    def __enter__(self) -> TaskLease:
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ticker.stop()
        self._ticker.join()

    def check(self) -> None:
        """Raises TaskLost, or Interrupted."""
        if self._lost.is_set():
            raise TaskLost
        if self._stopping():
            raise Interrupted

    def _renew(self) -> None:
        if not self._store.run(tasks.extend(self._task, self._lease_ms)):
            self._lost.set()
            self._ticker.stop()
