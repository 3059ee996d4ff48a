"""Errors of Redis as errors of the farm, whose messages say what to do."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)

from farm.errors import FarmError, Misconfigured, StoreReplaced, StoreUnavailable

_CONDITIONS = {
    "OOM": "Redis has reached maxmemory; let the farm drain or raise maxmemory, then try again",
    "MISCONF": "Redis can't write its data to disk; free disk space or mend its folder, then try again",
    "READONLY": "this Redis is a read-only replica; point FARM_REDIS_URL at the primary",
    "LOADING": "Redis is still loading its data; try again in a moment",
    "BUSY": "Redis is busy with a script of someone else; try again in a moment",
    "MASTERDOWN": "this Redis is a replica without its primary; point FARM_REDIS_URL at the primary",
    "NOREPLICAS": "Redis has fewer replicas than it was told to insist on; start them or lower min-replicas-to-write",
}
_REPLACED = (
    "Redis holds none of what this farm accepted (it was emptied, or failed over to an empty replica); bring the old "
    "data back, or restart the API and the workers to go on with an empty farm"
)
# The error of a script has the code of the command that failed somewhere in its text.
_CODE = re.compile(r"\b(" + "|".join(_CONDITIONS) + r")\b")
# redis-py removes the code from an error that it has a class for.
_CODE_BY_TYPE: Mapping[type[Exception], str] = {
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    BusyLoadingError: "LOADING",
    MasterDownError: "MASTERDOWN",
}


def farm_error(error: Exception, setting: str = "FARM_REDIS_URL") -> FarmError | None:
    """The error to raise in place of redis-py's. None for a bug of the farm, whose own error should be seen."""
    if isinstance(error, (AuthenticationError, NoPermissionError)):
        return Misconfigured(f"Redis refuses these credentials ({error}); correct {setting}")
    if isinstance(error, ResponseError) and "DB index is out of range" in str(error):
        return Misconfigured(f"this Redis has no database of this number; correct the number in {setting}")
    if isinstance(error, ResponseError) and str(error).startswith("REPLACED"):
        return StoreReplaced(_REPLACED)
    code = _CODE_BY_TYPE.get(type(error))
    if code is None and isinstance(error, ResponseError) and (found := _CODE.search(str(error))):
        code = found[1]
    if code is not None:
        return StoreUnavailable(_CONDITIONS[code].replace("FARM_REDIS_URL", setting))
    if isinstance(error, TimeoutError):
        return StoreUnavailable("Redis does not answer; see whether it is overloaded, then try again")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return StoreUnavailable(
            "this process has no file descriptors left; wait until some of its connections end, or raise `ulimit -n`"
        )
    # uvloop raises this when the connection was lost just before a write, and redis-py passes it on.
    lost = isinstance(error, RuntimeError) and "handler is closed" in str(error)
    if lost or isinstance(error, ConnectionError):
        return StoreUnavailable(f"Redis can't be reached ({error}); start it or correct {setting}")
    return None
