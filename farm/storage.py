"""Where the bytes lie: plans, clips, results, voices. One protocol, two keepers: a folder and an S3 bucket.

    jobs/<id>/…               texts and plans            segments/<aa>/<digest>.flac   clips, named by content
    results/<id>/…            audio, manifest, subtitles voices/<tenant>/<digest>.flac uploaded reference audio
    batches/<id>/…            the lines of a batch

Objects appear whole or not at all. Keys are never used as locks: work is arbitrated in the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from farm.settings import Settings


@dataclass(frozen=True, slots=True)
class Object:
    key: str
    size: int
    modified: datetime


class Storage(Protocol):
    """Every method raises StorageUnavailable when the keeper can't be reached, ObjectMissing where a key is read that
    is not there, Misconfigured on wrong credentials or a bucket that does not exist."""

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None: ...
    def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        """In parts when large."""
        ...
    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes: ...
    def open(self, key: str) -> BinaryIO:
        """A stream from the beginning; the caller closes it."""
        ...
    def head(self, key: str) -> Object | None: ...
    def list(self, prefix: str) -> Iterator[Object]: ...
    def delete(self, *keys: str) -> None:
        """Keys that are not there are no error."""
        ...
    def path(self, key: str) -> Path | None:
        """The file itself where objects are files (the API serves it), else None."""
        ...
    def url(self, key: str, *, seconds: int = 900, filename: str | None = None) -> str | None:
        """A presigned GET; None where objects are files."""
        ...
    def check(self) -> None:
        """Writes, reads and removes a probe object."""
        ...


def open_storage(settings: Settings) -> Storage:
    """By FARM_STORAGE_URL: file:///folder or s3://bucket/prefix."""
    raise NotImplementedError
