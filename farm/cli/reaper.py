"""What the first process of a container owes to all others there: it waits for those whose parents have ended.

A container without an init makes `farm up` its first process, and every process that outlives its parent becomes a
child of it. The supervisor waits for its own children alone, so each worker that was killed would leave zombies behind.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def is_needed() -> bool:
    return os.getpid() == 1


def stand_between() -> None:
    """Returns in a child of this process. The process itself passes signals on, waits for all that end, and exits as
    its child did."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)  # none is lost before there is somebody to pass it on to
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        return

    def pass_on(number: int, frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in _PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
