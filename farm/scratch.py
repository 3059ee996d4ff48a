"""Folders for temporary files, which go away with their process, even if it is killed.

A folder is locked while its process lives. A program of the farm removes its user's unlocked folders at its start, and
whenever it makes a folder of its own. Otherwise the 1.6 GB of a half-joined book would stay for ever after a desk was
killed. The folders lie in TMPDIR, else in /tmp.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Self

_PREFIX = "tts-farm-scratch-"


class Scratch:
    """A new, empty folder at `path`, until `close` or the end of the process."""

    def __init__(self, purpose: str) -> None:
        self.path, lock = _locked_folder(f"{_PREFIX}{purpose}-")
        self._remove = weakref.finalize(self, _remove, self.path, lock)
        sweep()

    def close(self) -> None:
        self._remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def sweep() -> None:
    """Removes the folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # its process lives, it belongs to another user, or it is gone by now
            lock = _open(folder)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid == os.getuid():
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _locked_folder(prefix: str) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix))
        with suppress(FileNotFoundError):  # another process swept before it was locked
            lock = _open(path)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
