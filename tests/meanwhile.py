"""Work that goes on beside a test, as workers and wake-ups would do it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.patience import patient

LOOK_S = 0.01  # between two calls: nothing tells a test that there is something to do


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Calls `act` again and again in a thread, as long as the block lasts. What it raises is raised after the block."""
    over, faults = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            while not over.wait(LOOK_S):
                act()
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(patient(20))
    for fault in faults:
        raise fault
