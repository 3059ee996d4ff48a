"""A ZIP archive as a stream whose length is known before its first byte, by the standard library's zipfile.

Files are stored as they are: audio does not get smaller. Sizes and checksums stand behind each file and in the
directory at the end, so nothing is read twice. Records of 64 bits appear where a file, a place or the number of files
needs them.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from farm.errors import StorageUnavailable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Bytes of the records, by PKWARE's APPNOTE 4.3: of a file, behind its data, of its entry in the directory, of the end.
_LOCAL, _BEHIND, _ENTRY, _END = 30, 16, 46, 22
_LOCAL_64, _BEHIND_64, _END_64 = 20, 8, 56 + 20  # more, in archives of 64 bits
_EXTRA, _NUMBER = 4, 8  # the field of an entry for numbers of 64 bits, and each number in it
_MODE = 0o644 << 16  # of a regular file; its owner may write


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the archive."""

    name: str  # with slashes between folders
    size: int  # bytes
    modified: datetime
    content: str | bytes  # the key of an object, or the bytes themselves


def zip_length(entries: Iterable[Entry]) -> int:
    """Bytes of the archive of these files."""
    place = directory = count = 0
    for entry in entries:
        count += 1
        name = len(entry.name.encode())
        large = entry.size > zipfile.ZIP64_LIMIT
        numbers = 2 * large + (place > zipfile.ZIP64_LIMIT)
        directory += _ENTRY + name + (_EXTRA + _NUMBER * numbers if numbers else 0)
        place += _LOCAL + name + entry.size + _BEHIND + (_LOCAL_64 + _BEHIND_64 if large else 0)
    long = count > zipfile.ZIP_FILECOUNT_LIMIT or max(place, directory) > zipfile.ZIP64_LIMIT
    return place + directory + _END + (_END_64 if long else 0)


def zip_stream(entries: Iterable[Entry], read: Callable[[str], Iterator[bytes]]) -> Iterator[bytes]:
    """The archive, a chunk at a time: what `read` yields for a key is passed on before more is read. Raises what `read`
    raises, and StorageUnavailable for an object of another size; the end of the archive never comes then."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            at = entry.modified
            info = zipfile.ZipInfo(entry.name, (at.year, at.month, at.day, at.hour, at.minute, at.second))
            info.external_attr = _MODE
            with archive.open(info, "w", force_zip64=entry.size > zipfile.ZIP64_LIMIT) as file:
                left = entry.size
                for chunk in (entry.content,) if isinstance(entry.content, bytes) else read(entry.content):
                    left -= len(chunk)
                    if left < 0:
                        break
                    file.write(chunk)
                    yield sink.taken()
                if left:
                    raise StorageUnavailable(
                        f"{entry.content!r} has another size than it had; ask for the archive again"
                    )
    yield sink.taken()


class _Sink(io.RawIOBase):
    """What zipfile has written and nobody has taken yet. It can't seek, so zipfile never goes back."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        return len(piece)

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
