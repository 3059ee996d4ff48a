"""What a storage promises, whichever it is: the protocol, the rules for keys, and the probe behind `check`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from farm.errors import Misconfigured, StorageRefused

# S3 ends a key at 1024 bytes, the bucket's prefix included; file systems end a name at 255.
_MAX_KEY_BYTES = 900
_MAX_NAME_BYTES = 255


@dataclass(frozen=True, slots=True)
class Object:
    key: str
    size: int
    modified: datetime


class Storage(Protocol):
    """Every method raises StorageUnavailable when the storage can't be reached or is full, and StorageRefused, which is
    one of those, on wrong credentials, rights or a bucket that does not exist; ObjectMissing where a key is read that
    is not there, and ValueError on a key that breaks the rules. Safe for use from many threads and after a fork."""

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None: ...
    def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        """In parts when large."""
        ...

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Up to `length` bytes from `start`; fewer, or none, where the object ends before."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A stream from the beginning; the caller closes it."""
        ...

    def head(self, key: str) -> Object | None: ...
    def list(self, prefix: str) -> Iterator[Object]:
        """Every object whose key starts with `prefix`, in the order of the keys' UTF-8 bytes."""
        ...

    def delete(self, *keys: str) -> None:
        """Keys that are not there are no error."""
        ...

    def abandon(self, prefix: str) -> None:
        """Takes away uploads below this prefix that were begun and not finished, such as a killed process's. One that
        is still under way fails."""
        ...

    def path(self, key: str) -> Path | None:
        """Where objects are files, the file that holds this one if it is there (the API serves it); else None."""
        ...

    def url(self, key: str, *, seconds: int = 900, filename: str | None = None) -> str | None:
        """A presigned GET that saves as `filename`; None where objects are files."""
        ...

    def check(self) -> None:
        """Writes, reads and removes a probe object. Raises Misconfigured where the storage refuses it."""
        ...


def checked_key(key: str) -> str:
    """The key, or ValueError: relative, printable, no empty or hidden part (so no `..` either), not too long."""
    parts = key.split("/")
    if not key.isprintable() or "\\" in key or any(part == "" or part.startswith(".") for part in parts):
        raise ValueError(f"{key!r} is no key: use printable names without a leading dot, joined by single slashes")
    if len(key.encode()) > _MAX_KEY_BYTES or any(len(part.encode()) > _MAX_NAME_BYTES for part in parts):
        raise ValueError(f"{key!r} is too long: at most {_MAX_KEY_BYTES} bytes, and {_MAX_NAME_BYTES} between slashes")
    return key


def checked_prefix(prefix: str) -> str:
    """Any beginning of a key, the empty one included."""
    if prefix:
        checked_key(prefix.removesuffix("/"))
    return prefix


def checked_range(start: int, length: int | None) -> None:
    if start < 0 or (length is not None and length < 0):
        raise ValueError(f"start {start} and length {length} must not be negative")


@contextmanager
def fatal_at_start() -> Iterator[None]:
    """What is refused when a program starts is a wrong setting, and said at once. Of a farm that was at work it is an
    outage: keys are changed and rights taken away by mistake, and its work must not be given up for that."""
    try:
        yield
    except StorageRefused as error:
        raise Misconfigured(error.message) from error


def probe(storage: Storage, where: str) -> None:
    key = f"probe/{secrets.token_hex(8)}"
    written = secrets.token_bytes(64)
    with fatal_at_start():
        storage.put(key, written)
        try:
            read = storage.get(key)
        finally:
            storage.delete(key)
    if read != written:
        raise Misconfigured(f"{where} returned other bytes than were written to it; check what FARM_STORAGE_URL names")
