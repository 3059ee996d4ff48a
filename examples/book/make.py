"""Makes lighthouse.epub: a small book of this project's own, with a cover that is drawn by code.

    python examples/book/make.py [FILE]

It has what the rules for documents are about: a title page, a contents, two chapters in one file, a chapter over two
files, notes, a table, a scene break and a copyright page.
"""

from __future__ import annotations

import struct
import sys
import zipfile
import zlib
from pathlib import Path

HERE = Path(__file__).parent
SIDE = 600  # of the cover, in pixels
MOMENT = (2026, 1, 1, 0, 0, 0)  # of every entry, so that the book has the same bytes each time


def write(target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        _add(archive, "mimetype", b"application/epub+zip", zipfile.ZIP_STORED)
        for path in sorted((HERE / "source").rglob("*")):
            if path.is_file():
                _add(archive, path.relative_to(HERE / "source").as_posix(), path.read_bytes())
        _add(archive, "OEBPS/cover.png", cover())


def cover() -> bytes:
    """A lighthouse at night, as a PNG: a square of SIDE pixels."""
    rows = b"".join(b"\0" + b"".join(bytes(_colour(x, y)) for x in range(SIDE)) for y in range(SIDE))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")
    )


def _colour(x: int, y: int) -> tuple[int, int, int]:
    across, down = x / SIDE, y / SIDE
    if down > 0.82:
        return 10, 30, 60  # the sea
    half = 0.05 + 0.05 * (down - 0.3)
    if down > 0.3 and abs(across - 0.5) < half:
        return (220, 220, 210) if int(down * 12) % 2 else (170, 30, 30)
    if 0.22 < down <= 0.3 and abs(across - 0.5) < 0.04:
        return 255, 230, 120  # the lamp
    if abs(down - 0.26) < 0.25 * abs(across - 0.5) and across > 0.5:
        return 90, 85, 60  # its beam
    return 15, 18, 40


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _add(archive: zipfile.ZipFile, name: str, data: bytes, way: int = zipfile.ZIP_DEFLATED) -> None:
    archive.writestr(zipfile.ZipInfo(name, MOMENT), data, way)


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "lighthouse.epub"
    write(chosen)
    print(chosen)
