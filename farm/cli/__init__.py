"""The command `farm`, for terminals and scripts.

Data goes to stdout, as JSON with --json; progress and remarks go to stderr. Errors name what is wrong and what to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from farm.cli.parser import parser
from farm.cli.screen import FAILED, INTERRUPTED, OK, REFUSED, TIMED_OUT, UNAVAILABLE, USAGE, remark
from farm.client import Refused
from farm.errors import BadInput, FarmError, Misconfigured, Unavailable
from farm.settings import misspelt

__all__ = ["FAILED", "INTERRUPTED", "OK", "REFUSED", "TIMED_OUT", "UNAVAILABLE", "USAGE", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    given = parser().parse_args(arguments)
    for warning in misspelt(os.environ):
        remark(f"farm: {warning}")
    try:
        code: int = given.act(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `farm queue | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains at its exit
        return OK
    except TimeoutError as error:
        remark(f"farm: {error}")
        return TIMED_OUT
    except OSError as error:
        remark(f"farm: {error.filename or 'the file system'}: {error.strerror or error}")
        return USAGE
    except FarmError as error:
        remark(f"farm: {_reason(error)}")
        return _exit_code(error)
    return code


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
