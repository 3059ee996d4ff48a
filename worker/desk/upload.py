"""What one run of an assembly writes to storage: all of it stays with the job that ends by it, or goes again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

from farm.errors import StorageUnavailable
from farm.storage import Storage

_AT_ONCE = 4  # a bucket answers slowly, and a book has up to 2,000 chapters


class Upload:
    """`bytes` counts what was written. Within `with`, an exception takes all of it back."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._keys: list[str] = []
        self.bytes = 0

    def put(self, key: str, content: bytes | Path, media_type: str) -> None:
        self._keys.append(key)
        self.bytes += self._write(key, content, media_type)

    def put_all(self, objects: Iterable[tuple[str, bytes | Path, str]], check: Callable[[], None]) -> None:
        """Several at once: key, content, media type. `check` is called after each; an exception from it ends the
        work."""
        every = list(objects)
        self._keys += (key for key, *_ in every)
        with ThreadPoolExecutor(_AT_ONCE, "upload") as pool:
            try:
                for written in [pool.submit(self._write, *each) for each in every]:
                    self.bytes += written.result()
                    check()
            finally:
                pool.shutdown(cancel_futures=True)

    def withdraw(self) -> None:
        self._storage.delete(*self._keys)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            with suppress(StorageUnavailable):  # the next run of the assembly, or the expiry of the job, deletes it
                self.withdraw()

    def _write(self, key: str, content: bytes | Path, media_type: str) -> int:
        if isinstance(content, Path):
            self._storage.put_file(key, content, media_type)
            return content.stat().st_size
        self._storage.put(key, content, media_type)
        return len(content)
