"""Places for costly work, each a process of its own. No tenant has all of them: whoever asks a hundred times waits in a
row of its own, and leaves a place for the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

_Result = TypeVar("_Result")


class Places:
    def __init__(self, at_once: int) -> None:
        self._places = CapacityLimiter(at_once)
        self._of_one = max(1, at_once - 1)
        self._rows: dict[str, CapacityLimiter] = {}
        self._asking: Counter[str] = Counter()

    async def run(self, tenant: str, work: Callable[[], _Result]) -> _Result:
        """Does the work in a thread, when it is this tenant's turn."""
        row = self._rows.setdefault(tenant, CapacityLimiter(self._of_one))
        self._asking[tenant] += 1
        try:
            async with row:
                return await to_thread.run_sync(work, limiter=self._places)
        finally:
            self._asking[tenant] -= 1
            if not self._asking[tenant]:
                del self._asking[tenant], self._rows[tenant]
