"""Objects as files in a folder: the storage of the embedded farm, or of machines that share a disk.

An object is written to `.part/` and renamed into place, so a reader sees the old object or the new one. `.part/` also
tells a mounted folder from an empty mount point: without it every object is unavailable, and none is "missing".

A clip is not synced to disk: after a power cut it can be rendered again, and it is checked before it is joined. On an
SSD syncing made its write twelve times as slow (0.85 ms instead of 0.07 ms; docs/decisions/0003-storage.md). Nor is the
plan of a speech request, whose client the power cut has taken along. Every other object is synced, file and folder,
before `put` returns.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from farm.errors import ObjectMissing, StorageRefused, StorageUnavailable
from farm.layout import is_rerenderable
from farm.storage.protocol import Object, checked_key, checked_prefix, checked_range, fatal_at_start, probe

_UNLOCKED_SECONDS = 1.0  # at most, from the creation of a part to its lock; an older part without a lock is abandoned
_ABANDONED_SECONDS = 3600.0  # without a write; only where the file system has no locks
_SPARED = (0.02, 256_000_000)  # of the disk: its share or so many bytes, whatever is less
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class LocalStorage:
    def __init__(self, root: str | Path) -> None:
        """Creates the folder when it is missing, and removes half-written parts of processes that were killed."""
        self.root = Path(root).absolute()
        self._parts = self.root / ".part"
        with fatal_at_start(), self._translated():
            self._parts.mkdir(parents=True, exist_ok=True)
            self._sweep()

    # --- write --------------------------------------------------------------------------------------------------------

    def put(
        self, key: str, data: bytes, content_type: str = "application/octet-stream", *, synced: bool = True
    ) -> None:
        self._write(key, io.BytesIO(data), len(data), synced=synced)

    def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        with path.open("rb") as source:
            self._write(key, source, os.fstat(source.fileno()).st_size)

    def delete(self, *keys: str) -> None:
        for file in [self._file(key) for key in keys]:
            with self._translated():
                try:
                    file.unlink()
                except _MISSING:
                    self._ensure_mounted()
                else:
                    self._prune(file.parent)

    # --- read ---------------------------------------------------------------------------------------------------------

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        checked_range(start, length)
        with self.open(key) as file, self._translated():
            file.seek(start)
            return file.read() if length is None else file.read(length)

    def open(self, key: str) -> BinaryIO:
        file = self._file(key)
        with self._translated():
            try:
                return file.open("rb")
            except _MISSING:
                self._ensure_mounted()
                raise ObjectMissing(f"storage has no object {key}") from None

    def head(self, key: str) -> Object | None:
        file = self._file(key)
        with self._translated():
            if found := _object(key, file):
                return found
            self._ensure_mounted()
            return None

    def list(self, prefix: str) -> Iterator[Object]:
        folder, slash, start = checked_prefix(prefix).rpartition("/")
        with self._translated():
            self._ensure_mounted()
            yield from self._walk(folder + slash, start)

    def abandon(self, prefix: str) -> None:
        checked_prefix(prefix)

    def path(self, key: str) -> Path | None:
        return self._file(key) if self.head(key) else None

    def url(self, key: str, *, seconds: int = 900, filename: str | None = None) -> str | None:
        return None

    def check(self) -> None:
        probe(self, str(self.root))

    # --- the file system ----------------------------------------------------------------------------------------------

    def _file(self, key: str) -> Path:
        return self.root / checked_key(key)

    def _write(self, key: str, source: BinaryIO, size: int, *, synced: bool = True) -> None:
        file = self._file(key)
        durable = synced and not is_rerenderable(key)
        part = self._parts / secrets.token_hex(16)
        with self._translated():
            self._check_room(size)
            try:
                with part.open("xb") as target:
                    with suppress(OSError):  # not every file system has locks
                        fcntl.flock(target, fcntl.LOCK_EX)
                    shutil.copyfileobj(source, target, 1 << 20)
                    target.flush()
                    if durable:
                        os.fsync(target.fileno())
                    _place(part, file)
            except BaseException:
                with suppress(OSError):
                    part.unlink()
                raise
            if durable:
                self._sync_folders(file.parent)

    def _check_room(self, wanted: int) -> None:
        """Room is left for Redis, whose file may lie on the same disk. Without any it refuses every change, also those
        that would free some: to cancel a job, or to delete it."""
        disk = os.statvfs(self.root)
        free = (disk.f_bavail if os.geteuid() else disk.f_bfree) * disk.f_frsize
        share, most = _SPARED
        if disk.f_blocks and free - wanted < min(share * disk.f_blocks * disk.f_frsize, most):
            raise OSError(errno.ENOSPC, "the rest of the disk is spared")

    def _sync_folders(self, folder: Path) -> None:
        """Syncs every folder up to the root, because any of them may be as new as the file."""
        while folder != self.root.parent:
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            folder = folder.parent

    def _walk(self, folder: str, start: str = "") -> Iterator[Object]:
        """`folder` is empty or ends with a slash. Names of folders end with one too, to sort as keys do."""
        try:
            with os.scandir(self.root / folder) as entries:
                names = sorted(
                    entry.name + "/" if entry.is_dir() else entry.name
                    for entry in entries
                    if entry.name.startswith(start) and not entry.name.startswith(".")
                )
        except _MISSING:
            return
        for name in names:
            if name.endswith("/"):
                yield from self._walk(folder + name)
            elif found := _object(folder + name, self.root / folder / name):
                yield found

    def _prune(self, folder: Path) -> None:
        """Removes folders that became empty, so that a million jobs do not leave a million folders."""
        with suppress(OSError):
            while folder != self.root:
                folder.rmdir()
                folder = folder.parent

    def _sweep(self) -> None:
        for part in self._parts.iterdir():
            with suppress(FileNotFoundError):
                if _is_abandoned(part):
                    part.unlink()

    def _ensure_mounted(self) -> None:
        if not self._parts.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._parts))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _verdict(error, self.root) from error


def _object(key: str, file: Path) -> Object | None:
    try:
        status = file.stat()
    except _MISSING:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Object(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _place(part: Path, file: Path) -> None:
    """Tries again when another process prunes the folder between its creation and the rename."""
    for attempts_left in reversed(range(100)):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            part.replace(file)
            return
        except (FileNotFoundError, FileExistsError):  # the latter when the folder is pruned during mkdir
            if not attempts_left:
                raise


def _is_abandoned(part: Path) -> bool:
    """Whether the writer of a part is dead: its death has released the lock."""
    with part.open("rb") as file:
        idle = time.time() - part.stat().st_mtime
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return idle > _ABANDONED_SECONDS
        return idle > _UNLOCKED_SECONDS


def _verdict(error: OSError, root: Path) -> StorageUnavailable:
    """StorageRefused when only the owner of the folder can help. The farm pauses after either error."""
    where = error.filename or root
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return StorageUnavailable(f"no space left in {root}: free some, and work goes on by itself")
        case errno.EROFS:
            return StorageUnavailable(f"{root} is mounted read-only: check its disk and mount it writable")
        case errno.ENOENT:
            return StorageUnavailable(
                f"{root} is gone: mount it again; or give its objects up with `farm adopt-storage`, and restart"
            )
        case errno.EACCES | errno.EPERM:
            return StorageRefused(f"no permission for {where}: as its owner, chown -R {os.getuid()} {root}")
        case errno.EEXIST | errno.ENOTDIR | errno.EISDIR:
            return StorageRefused(f"{where} is in the way: keep nothing but the farm's objects in {root}")
        case _:
            return StorageUnavailable(f"{root}: {error.strerror or error}; check its disk")
