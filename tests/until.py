"""Waiting for what announces nothing: it is asked for, with pauses in which others have the processor."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.patience import patient

PAUSE_S = 0.02


def until(met: Callable[[], Any], seconds: float = 20.0) -> bool:
    """True once it is met. Fails the test after `seconds`, which a quiet machine needs at most."""
    deadline = time.monotonic() + patient(seconds)
    while not met():
        assert time.monotonic() < deadline, f"waited {seconds:g} s, times the patience, in vain"
        time.sleep(PAUSE_S)  # whatever is met tells nobody, so it is asked for again
    return True
