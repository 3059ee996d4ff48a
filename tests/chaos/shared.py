"""One farm for many tests: started by the first that wants it, and started anew after a test that failed.

A test mends all that it breaks and leaves no work behind; `check` looks for both. So every test finds a farm that is
well, and a failure stays with the test that caused it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.chaos.ledger import check_leftovers
from tests.chaos.progress import until
from tests.chaos.rig import Rig

MENDED_S = 10.0  # a killed process is replaced within this


class SharedFarm:
    """`make` starts a farm. Leaving the context stops the present one, and checks that no process or folder of it is
    left."""

    def __init__(self, make: Callable[[], Rig]) -> None:
        self._make = make
        self._rig: Rig | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (rig := self._rig) is None:
            return
        processes = rig.processes()
        self.discard()
        left = [process for process in processes if process.is_running() and process.status() != "zombie"]
        assert not left, f"still there after the farm was stopped: {left}"
        assert not list(rig.scratch.glob("tts-farm-*"))

    def rig(self) -> Rig:
        if self._rig is None:
            self._rig = self._make()
        return self._rig

    def check(self) -> None:
        """Raises AssertionError, with the farm discarded, when a fault or some work is left."""
        rig = self.rig()
        try:
            until(lambda: not rig.unmended(), MENDED_S, "the last test's faults to be mended")
            check_leftovers(rig)
        except AssertionError as error:
            faults = rig.unmended()
            self.discard()
            raise AssertionError(f"{error}; faults that are left: {faults}") from None

    def discard(self) -> None:
        """Stops the farm, however broken it is."""
        rig, self._rig = self._rig, None
        if rig is not None:
            rig.__exit__()
