"""The long texts that are planned at the same time, each in a thread that waits for a process of its own.

Few of them are of one tenant and lane, so that whoever sends a hundred books leaves places for the book of another. One
for which there is no place is put back, and comes up again among the tasks of its tenant.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType

from farm.errors import BadInput
from farm.job import Lane
from farm.plan_order import PlanFiles, PlanOrder
from farm.store import tasks
from worker.desk.plan_process import PlanProcess

AT_ONCE = 3
OF_ONE_OWNER = 2
SOON_S = 0.05  # a text of 30,000 characters is planned within this time, so its place is worth waiting for
_KEPT = 1  # processes that are kept for the next text

Owner = tuple[str, Lane]


class LongPlans:
    def __init__(self, processes: PlanProcesses) -> None:
        self._processes = processes
        self._pool = ThreadPoolExecutor(AT_ONCE, "plan")
        self._owners: dict[Future[None], Owner] = {}

    def __enter__(self) -> LongPlans:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for every plan."""
        self._pool.shutdown()
        self._processes.close()

    @property
    def under_way(self) -> set[Future[None]]:
        self._owners = {future: owner for future, owner in self._owners.items() if not future.done()}
        return set(self._owners)

    def start(self, act: Callable[[tasks.Task], None], task: tasks.Task, owner: Owner) -> bool:
        """False where there is no place for it, and none within SOON_S."""
        if not self._has_place(owner):
            wait(self.under_way, timeout=SOON_S, return_when=FIRST_COMPLETED)
        if not self._has_place(owner):
            return False
        self._owners[self._pool.submit(act, task)] = owner
        return True

    def _has_place(self, owner: Owner) -> bool:
        return len(self.under_way) < AT_ONCE and Counter(self._owners.values())[owner] < OF_ONE_OWNER


class PlanProcesses:
    """Processes that plan, as many as are asked for at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[PlanProcess] = []

    def plan(self, order: PlanOrder, check: Callable[[], None]) -> PlanFiles:
        """As PlanProcess.plan. A process that ends for no reason of its own gets one successor; a second end is the
        text's doing, and refuses it."""
        for _ in range(2):
            process = self._one()
            try:
                return process.plan(order, check)
            except EOFError as error:
                reason = str(error)
            finally:
                self._back(process)
        raise BadInput(
            f"input: this text could not be cut into segments ({reason}, twice); look for what is unlike prose in it, "
            "or split the job",
            code="plan_failed", pointer="/input",
        )  # fmt: skip

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.stop()

    def _one(self) -> PlanProcess:
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.alive:
                    return process
                process.kill()
        return PlanProcess()

    def _back(self, process: PlanProcess) -> None:
        with self._lock:
            if process.alive and len(self._idle) < _KEPT:
                self._idle.append(process)
                return
        process.stop()
