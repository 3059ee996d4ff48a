"""Names of files that every system takes: Windows, macOS, Linux, and the programs that unpack archives."""

from __future__ import annotations

import re
import unicodedata

_FORBIDDEN = frozenset('<>:"/\\|?*')  # by Windows; the two slashes also lead to other folders
_UNSEEN = ("C", "Zl", "Zp")  # categories: controls, marks of direction, halves of surrogate pairs, line separators
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\.|$)", re.IGNORECASE)
_EDGES = " ."  # Windows drops them at the end; a dot at the start hides a file


def portable_name(text: str, most_bytes: int) -> str:
    """The text as a name of at most so many bytes of UTF-8, in NFC. What no name may hold becomes "_". Empty where
    nothing is left. A suffix may follow the name."""
    clean = "".join(" " if c.isspace() else "_" if _is_forbidden(c) else c for c in unicodedata.normalize("NFC", text))
    name = _cut(clean.strip(_EDGES), most_bytes)
    return _cut("_" + name, most_bytes) if _DEVICE.match(name) else name


def chapter_name(place: int, total: int, title: str, most_bytes: int) -> str:
    """Of the file of a chapter, without a suffix: "07 The Storm". Such names sort by the place, which begins at 1."""
    number = f"{place:0{max(2, len(str(total)))}}"
    return f"{number} {portable_name(title, most_bytes - len(number) - 1)}".rstrip()


def number_in_name(place: int, total: int) -> str:
    """What the names of a batch begin with, so that they sort by their place: "007-"."""
    return f"{place:0{max(3, len(str(total)))}}-"


def _cut(name: str, most_bytes: int) -> str:
    return name.encode()[:most_bytes].decode(errors="ignore").rstrip(_EDGES)


def _is_forbidden(character: str) -> bool:
    return character in _FORBIDDEN or unicodedata.category(character).startswith(_UNSEEN)
