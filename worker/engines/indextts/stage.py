"""A stage beside the decode: a thread with a CUDA stream of its own, which lives as long as the engine.

Voices, emotions, prompts and finishing (acoustics) run so, while the decode goes on in the engine's thread. A stream
keeps the memory that it once used, and a new thread gets new workspaces of cuBLAS: so neither is made anew for each
drain.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar

import torch

Task = TypeVar("Task")


class Stage(Generic[Task]):
    """`work` gets the tasks that have gathered: all that wait, as soon as there are `enough`, or the first has waited
    for `patience` seconds, or `hurry` says that no more will come. `work` raises nothing: it tells its own errors."""

    def __init__(
        self, name: str, device: torch.device, work: Callable[[Sequence[Task]], None],
        *, enough: int, patience: float = 0.0, hurry: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._name, self._device, self._work = name, device, work
        self._enough, self._patience, self._hurry = enough, patience, hurry
        self._inbox: queue.Queue[Task | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def put(self, task: Task) -> None:
        """Starts the thread at the first task. Thread-safe."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        self._inbox.put(task)

    def clear(self) -> None:
        """Drops the tasks that wait, and returns once the one under way is done."""
        try:
            while True:
                self._inbox.get_nowait()
                self._inbox.task_done()
        except queue.Empty:
            self._inbox.join()

    def close(self) -> None:
        if self._thread is not None:
            self._inbox.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        with torch.inference_mode(), self._stream():
            over = False
            while not over:
                tasks, over = self._gather()
                if tasks:
                    self._work(tasks)
                for _ in range(len(tasks) + over):
                    self._inbox.task_done()
                del tasks  # and the tensors that they hold, while the next ones are waited for

    def _gather(self) -> tuple[list[Task], bool]:
        """The next tasks, and whether the stage is over after them."""
        tasks: list[Task] = []
        deadline = 0.0
        while len(tasks) < self._enough:
            try:
                task = self._inbox.get(timeout=None if not tasks else max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if task is None:
                return tasks, True
            tasks.append(task)
            if len(tasks) == 1:
                deadline = time.monotonic() + self._patience
            if self._hurry():
                deadline = 0.0
        return tasks, False

    def _stream(self) -> AbstractContextManager[object]:
        if self._device.type != "cuda":
            return nullcontext()
        return torch.cuda.stream(torch.cuda.Stream(self._device))
