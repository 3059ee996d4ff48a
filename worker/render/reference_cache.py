"""Reference audio of uploaded voices, kept as local files: engines read references from files, and voices repeat."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path

from farm.layout import voice_key
from farm.scratch import Scratch
from farm.storage import Storage

_VOICES = 512


class ReferenceCache:
    """At most 512 files; the one that was not asked for the longest goes first."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._folder = Scratch("voices")
        self._kept: OrderedDict[Path, None] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        self._folder.close()

    def path(self, tenant: str, digest: str) -> Path:
        """A file with the voice's FLAC. Raises ObjectMissing where the voice is gone from storage."""
        path = self._folder.path / f"{tenant}-{digest}.flac"
        with self._lock:
            if path not in self._kept:
                partial = path.with_suffix(".partial")
                partial.write_bytes(self._storage.get(voice_key(tenant, digest)))
                os.replace(partial, path)
                self._kept[path] = None
                if len(self._kept) > _VOICES:
                    self._kept.popitem(last=False)[0].unlink(missing_ok=True)
            self._kept.move_to_end(path)
        return path
