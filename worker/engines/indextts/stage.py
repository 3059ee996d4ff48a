"""A stage beside the decode: a thread with a CUDA stream of its own, fed by one queue and answering into another.

Preparing (text, voices, emotions) and finishing (acoustics) run so, while the decode goes on in the engine's thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Generic, TypeVar

import torch

Task = TypeVar("Task")


class Stage(Generic[Task]):
    """`work` gets the tasks that have gathered: as soon as there are `enough`, or the first has waited for `patience`
    seconds, or `hurry` says that no more will come. An exception of `work` is kept in `fault` and ends the stage.
    """

    def __init__(
        self, name: str, device: torch.device, work: Callable[[Sequence[Task]], None],
        *, enough: int, patience: float = 0.0, hurry: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._device, self._work = device, work
        self._enough, self._patience, self._hurry = enough, patience, hurry
        self._inbox: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._dropped = False  # the engine is abandoned: the rest of the tasks is not wanted any more
        self.fault: BaseException | None = None

    def __enter__(self) -> Stage[Task]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dropped = kind is not None
        self._inbox.put(None)
        self._thread.join()

    def put(self, task: Task) -> None:
        self._inbox.put(task)

    def _run(self) -> None:
        try:
            with torch.inference_mode(), self._stream():
                while (tasks := self._gather()) and not self._dropped:
                    self._work(tasks)
        except BaseException as error:
            self.fault = error

    def _gather(self) -> list[Task]:
        """Empty when the stage is over."""
        tasks: list[Task] = []
        deadline = 0.0
        while len(tasks) < self._enough:
            try:
                task = self._inbox.get(timeout=None if not tasks else max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if task is None:
                self._inbox.put(None)  # read again after these tasks
                break
            tasks.append(task)
            if len(tasks) == 1:
                deadline = time.monotonic() + self._patience
            if self._hurry():
                deadline = 0.0
        return tasks

    def _stream(self) -> AbstractContextManager[object]:
        if self._device.type != "cuda":
            return nullcontext()
        return torch.cuda.stream(torch.cuda.Stream(self._device))  # type: ignore[no-untyped-call]
