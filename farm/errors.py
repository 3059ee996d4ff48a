"""Every error that the farm raises on purpose, as one tree.

FarmError                      what callers may catch
├── BadInput             422   the request is wrong; `pointer` names the field
│   └── TooLarge         413   it is larger than a stated limit
├── Unauthorized         401   no key, or one that is not known
├── Forbidden            403   not with this key; or a web page of another site, or a proxy, sent it
├── NotFound             404   no such thing for this tenant
├── Conflict             409   it exists, but its state does not allow this
├── Outdated             412   it was changed since its caller looked at it
├── TooOften             429   the same was asked for a moment ago, or too much of it is asked for at once
├── Unavailable          503   try again: nothing was accepted, nothing is lost
│   ├── StoreUnavailable       Redis can't be reached, or can't take a write
│   ├── StoreReplaced          Redis holds another farm, or none: somebody has to decide what happens now
│   └── StorageUnavailable     the bucket or folder can't be reached, or can't take a write
│       └── StorageRefused     it refuses these keys or rights, or is not there at all: its operator has to act
├── ObjectMissing              storage has no object under this key
├── ClipCorrupt                an object in storage is not the audio it should be
└── Misconfigured              a setting or an installation is wrong; the message says how to mend it

Each carries what problem+json (RFC 9457) shows: a stable `code`, the HTTP `status`, whether a retry makes sense,
and a message that says what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# How a worker ends that whoever supervises should start again, however often: EX_SOFTWARE, EX_OSERR.
EXIT_HUNG = 70  # the engine made no progress
EXIT_FAULT = 71  # the engine raised, a clip could not be kept, what it needs to start is away
EXIT_MISCONFIGURED = 78  # EX_CONFIG: how a program ends that Misconfigured stopped; starting it again can't help


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: a JSON pointer into the request (`/chapters/3/input`) and what is wrong with it."""

    pointer: str
    message: str
    position: int | None = None  # in the text of the field, in characters


class FarmError(Exception):
    status = 500
    code = "internal"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class BadInput(FarmError):
    status = 422
    code = "invalid_request"

    def __init__(
        self, message: str, *, code: str | None = None, pointer: str | None = None, fields: Sequence[FieldError] = ()
    ) -> None:
        super().__init__(message, code=code)
        self.fields = (FieldError(pointer, message), *fields) if pointer is not None else tuple(fields)


class TooLarge(BadInput):
    status = 413
    code = "too_large"


class Unauthorized(FarmError):
    status = 401
    code = "unauthorized"


class Forbidden(FarmError):
    status = 403
    code = "forbidden"


class NotFound(FarmError):
    status = 404
    code = "not_found"


class Conflict(FarmError):
    status = 409
    code = "conflict"


class Outdated(FarmError):
    status = 412
    code = "revision_changed"


class TooOften(FarmError):
    status = 429
    code = "too_often"
    retryable = True


class Unavailable(FarmError):
    status = 503
    code = "unavailable"
    retryable = True


class StoreUnavailable(Unavailable):
    code = "store_unavailable"


class StoreReplaced(Unavailable):
    code = "store_replaced"
    retryable = False


class StorageUnavailable(Unavailable):
    code = "storage_unavailable"


class StorageRefused(StorageUnavailable):
    code = "storage_refused"


class ObjectMissing(FarmError):
    code = "object_missing"


class ClipCorrupt(FarmError):
    code = "clip_corrupt"


class Misconfigured(FarmError):
    code = "misconfigured"
