"""One command, from its arguments to its exit code: every error becomes a line on stderr."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from farm.cli import screen
from farm.cli.parser import parser
from farm.cli.screen import FAILED, INTERRUPTED, OK, REFUSED, TIMED_OUT, UNAVAILABLE, USAGE, remark
from farm.client import Refused
from farm.errors import BadInput, FarmError, Misconfigured, Unavailable
from farm.settings import misspelt

_STOPS = (signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """As Ctrl-C, by `kill` or by a terminal that was closed."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def run(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    screen.settle()
    given = parser().parse_args(arguments)
    for warning in misspelt(os.environ):
        remark(f"farm: {warning}")
    try:
        with _stoppable():
            code: int = given.act(given)
        screen.flush()
    except Stopped as stop:
        return 128 + stop.number
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `farm queue | head -1`
        screen.abandon()
        return OK
    except TimeoutError as error:
        remark(f"farm: {error}")
        return TIMED_OUT
    except UnicodeEncodeError:  # such as an id with a byte that the shell passed on as it was
        remark("farm: an argument is not UTF-8; only names of files may be in another encoding")
        return USAGE
    except OSError as error:
        screen.abandon()
        remark(f"farm: {error.filename or 'the file system'}: {error.strerror or error}")
        return USAGE
    except FarmError as error:
        remark(f"farm: {_reason(error)}")
        return _exit_code(error)
    return code


@contextmanager
def _stoppable() -> Iterator[None]:
    """The signals that end a program raise Stopped, unless they were ignored when it began."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _STOPS}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_code(error: FarmError) -> int:
    if error.retryable or isinstance(error, Unavailable):
        return UNAVAILABLE
    if isinstance(error, Refused):
        return REFUSED
    return USAGE if isinstance(error, BadInput | Misconfigured) else FAILED


def _reason(error: FarmError) -> str:
    request = f" (request {error.request_id})" if isinstance(error, Refused) and error.request_id else ""
    fields = error.fields if isinstance(error, BadInput | Refused) else ()
    named = [f"\n  {field.pointer}: {field.message}" for field in fields if field.message not in error.message]
    return error.message + request + "".join(named)
