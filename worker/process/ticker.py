"""One thread that does the same small thing again and again: renew a lease, send a heartbeat, look for forgotten work.

An outage of the store is expected: it is reported, and the next tick tries again. Any other exception ends the thread,
with its traceback in the log, and `alive` says so from then on. A ticker that `survives` logs such an exception as well
and tries again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from farm.errors import StoreUnavailable

log = logging.getLogger(__name__)


class Ticker:
    """Calls `act` every `every_s` seconds, the first time after one such pause, or `at_once`."""

    def __init__(
        self, name: str, every_s: float, act: Callable[[], object],
        *, on_outage: Callable[[StoreUnavailable], object], at_once: bool = False, survives: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self._every_s, self._act, self._on_outage = every_s, act, on_outage
        self._at_once, self._survives = at_once, survives
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No further ticks. Any thread may call this, `act` too."""
        self._stopped.set()

    def join(self) -> None:
        """Waits for the tick that is running; call `stop` first. Returns at once if the ticker never started."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause = 0 if self._at_once else self._every_s
        while not self._stopped.wait(pause):
            pause = self._every_s
            try:
                self._act()
            except StoreUnavailable as error:
                self._on_outage(error)
            except Exception:
                if not self._survives:
                    raise
                log.exception("the %s failed and tries again", self.name)
