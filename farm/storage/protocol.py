"""The promises of every storage: the protocol, the rules for keys, and the probe behind `check`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from farm.errors import Misconfigured, StorageRefused

# A key of S3 has at most 1024 bytes with the prefix in the bucket; a name in a file system has at most 255.
_MAX_KEY_BYTES = 900
_MAX_NAME_BYTES = 255


@dataclass(frozen=True, slots=True)
class Object:
    key: str
    size: int
    modified: datetime


class Storage(Protocol):
    """Safe for use from many threads and after a fork.

    Every method raises StorageUnavailable when the storage can't be reached or is full. StorageRefused, a subclass,
    means wrong credentials, missing rights or a missing bucket. ObjectMissing means that a key to read has no object,
    and ValueError that a key breaks the rules."""

    def put(
        self, key: str, data: bytes, content_type: str = "application/octet-stream", *, synced: bool = True
    ) -> None:
        """Without `synced`, a folder may lose the object in a power cut, which takes its writer along too."""
        ...

    def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        """A large file goes in parts."""
        ...

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Up to `length` bytes from `start`; fewer, or none, when the object ends before."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A stream from the beginning; the caller closes it."""
        ...

    def head(self, key: str) -> Object | None: ...
    def list(self, prefix: str) -> Iterator[Object]:
        """Every object whose key starts with `prefix`, sorted by the UTF-8 bytes of the keys."""
        ...

    def delete(self, *keys: str) -> None:
        """A key without an object is no error."""
        ...

    def abandon(self, prefix: str) -> None:
        """Removes unfinished uploads below this prefix, such as those of a killed process. An upload that is still
        under way fails."""
        ...

    def path(self, key: str) -> Path | None:
        """The file of an object, for the API to serve. None when there is none, or when objects are not files."""
        ...

    def url(self, key: str, *, seconds: int = 900, filename: str | None = None) -> str | None:
        """A presigned URL for a GET, which a browser saves as `filename`. None when objects are files."""
        ...

    def check(self) -> None:
        """Writes, reads and removes a probe object. Raises Misconfigured when the storage refuses that."""
        ...


def checked_key(key: str) -> str:
    """Returns a valid key: relative, printable, not too long, without an empty or hidden part (so without `..`). Raises
    ValueError for another."""
    parts = key.split("/")
    if not key.isprintable() or "\\" in key or any(part == "" or part.startswith(".") for part in parts):
        raise ValueError(f"{key!r} is no key: use printable names without a leading dot, joined by single slashes")
    if len(key.encode()) > _MAX_KEY_BYTES or any(len(part.encode()) > _MAX_NAME_BYTES for part in parts):
        raise ValueError(f"{key!r} is too long: at most {_MAX_KEY_BYTES} bytes, and {_MAX_NAME_BYTES} between slashes")
    return key


def checked_prefix(prefix: str) -> str:
    """Returns a valid beginning of a key, which may be empty. Raises ValueError for another."""
    if prefix:
        checked_key(prefix.removesuffix("/"))
    return prefix


def checked_range(start: int, length: int | None) -> None:
    if start < 0 or (length is not None and length < 0):
        raise ValueError(f"start {start} and length {length} must not be negative")


@contextmanager
def fatal_at_start() -> Iterator[None]:
    """Turns StorageRefused into Misconfigured. At the start of a program a refusal means a wrong setting, which should
    be told at once. In a running farm it is an outage: somebody has changed keys or rights by mistake, and no work may
    be given up for that."""
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
