"""How long a task waits that has failed for a reason which nobody foresaw. Another try may succeed, on another desk or
after an upgrade; tried every few seconds for ever, it would keep a desk busy and fill the log."""

from __future__ import annotations

import threading
from collections import OrderedDict

from farm.store import tasks

FIRST_MS, LONGEST_MS = 5_000, 300_000
_REMEMBERED = 10_000  # tasks; one that is forgotten starts anew


class Backoff:
    """Counts failures by task, in this process. Any thread may call it."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._lock = threading.Lock()

    def failed(self, task: tasks.Task) -> tuple[int, int]:
        """How often it has failed in a row, and the milliseconds until the next try."""
        key = (task.kind.value, task.id)
        with self._lock:
            count = self._failures[key] = self._failures.pop(key, 0) + 1
            if len(self._failures) > _REMEMBERED:
                self._failures.popitem(last=False)
        return count, min(LONGEST_MS, FIRST_MS * 2 ** min(count - 1, 10))

    def succeeded(self, task: tasks.Task) -> None:
        with self._lock:
            self._failures.pop((task.kind.value, task.id), None)
