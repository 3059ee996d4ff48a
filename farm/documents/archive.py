"""A zip archive of a stranger: names are keys and never paths, and no more is unpacked than its limits allow.

What counts is the bytes that are read, because an archive may say anything of itself.
"""

from __future__ import annotations

import io
import posixpath
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Mapping
from functools import cached_property
from urllib.parse import unquote, urlsplit

from farm.documents.refusals import refusal
from farm.errors import BadInput

MAX_ENTRIES = 10_000
MAX_ENTRY_BYTES = 64_000_000  # unpacked
MAX_READ_BYTES = 256_000_000  # of all entries that are read
_MAX_RATIO, _FREE_BYTES = 200, 10_000_000  # packed text is a fifth to a twentieth of itself
_PIECE = 1 << 16
_ENCRYPTED = 0x1


class Archive:
    def __init__(self, data: bytes) -> None:
        """Raises BadInput."""
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, NotImplementedError, EOFError, OSError):
            raise _broken() from None
        entries = [one for one in self._zip.infolist() if not one.is_dir()]
        if len(entries) > MAX_ENTRIES:
            raise refusal(
                "too_many_entries",
                f"the archive has {len(entries):,} entries, more than {MAX_ENTRIES:,}; is this a book?",
            )
        self._entries: Mapping[str, zipfile.ZipInfo] = {_key(one.filename): one for one in entries}
        self._packed = len(data)
        self._read = 0

    @property
    def names(self) -> Collection[str]:
        return self._entries.keys()

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def find(self, name: str) -> str | None:
        """The entry of this name, else one that differs in case, or in how its accents are written: some writers are
        careless, and archives of macOS have accents apart."""
        return name if name in self._entries else self._alike.get(_folded(name))

    @cached_property
    def _alike(self) -> Mapping[str, str]:
        return {_folded(name): name for name in reversed(list(self._entries))}

    def read(self, name: str) -> bytes:
        """Raises KeyError, or BadInput."""
        entry = self._entries[name]
        if entry.flag_bits & _ENCRYPTED:
            raise refusal(
                "encrypted", f"{name} in the archive is encrypted; save the document without a password and upload that"
            )
        pieces, size = [], 0
        try:
            with self._zip.open(entry) as file:
                while piece := file.read(_PIECE):
                    pieces.append(piece)
                    size += len(piece)
                    self._read += len(piece)
                    self._check(name, size, entry.compress_size)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError):
            raise _broken(name) from None
        return b"".join(pieces)

    def _check(self, name: str, size: int, packed: int) -> None:
        bomb = size > _FREE_BYTES and size > _MAX_RATIO * max(1, min(packed, self._packed))
        if bomb or size > MAX_ENTRY_BYTES or self._read > MAX_READ_BYTES:
            raise refusal(
                "zip_bomb",
                f"{name} in the archive unpacks to more than {size:,} bytes, far more than text packs; "
                "save the document anew with the program that made it",
            )


def resolve(base: str, href: str) -> tuple[str, str]:
    """(entry, fragment) that a link in `base` means. Both are inside the archive, whatever the link climbs: there is
    nothing above its root. The entry is "" for a link to somewhere else."""
    try:
        parts = urlsplit(href.strip())
    except ValueError:
        return "", ""
    if parts.scheme or parts.netloc:
        return "", ""
    path = unquote(parts.path)
    target = base if not path else posixpath.join("/", posixpath.dirname(base), path)
    return _key(target), unquote(parts.fragment)


def _key(name: str) -> str:
    return posixpath.normpath("/" + name.replace("\\", "/")).lstrip("/")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).lower()


def _broken(name: str = "") -> BadInput:
    where = f"{name} in the archive" if name else "the archive"
    return refusal(
        "broken_archive",
        f"{where} is broken or cut off, or is not what its directory says; download or save the document anew",
    )
