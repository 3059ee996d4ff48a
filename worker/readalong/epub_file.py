"""The archive of an EPUB: `mimetype` stands first and unpacked, as readers look for it there. Audio and pictures are
packed already. All entries have one date, so that the same book has the same bytes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Self
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

_DATE = (1980, 1, 1, 0, 0, 0)


class EpubFile:
    def __init__(self, target: Path) -> None:
        self._zip = ZipFile(target, "w")
        self._zip.writestr(_entry("mimetype", ZIP_STORED), b"application/epub+zip")

    def put(self, name: str, content: bytes) -> None:
        self._zip.writestr(_entry(name, ZIP_DEFLATED), content)

    def put_file(self, name: str, path: Path) -> None:
        entry = _entry(name, ZIP_STORED)
        entry.file_size = path.stat().st_size
        with path.open("rb") as source, self._zip.open(entry, "w") as target:
            shutil.copyfileobj(source, target, 1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()


def _entry(name: str, compression: int) -> ZipInfo:
    entry = ZipInfo(name, _DATE)
    entry.compress_type = compression
    entry.external_attr = 0o644 << 16
    return entry
