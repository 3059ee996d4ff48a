"""A dictionary that stays the text that it came in: a word is looked up in the file's own lines.

misaki's dictionaries are JSON of one entry a line. As objects of Python they take 70 MB in each worker, as bytes and a
table of the places of their lines 8 MB.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_ENTRY = re.compile(rb'\n  "([^"\\]+)": ')
_SLOTS = 1 << 18  # of each table: about three times the words, and a power of two
_MASK = _SLOTS - 1


class Dictionary(Mapping[str, Any]):
    """Words to phonemes, or to phonemes by part of speech. A word is also found as it begins a sentence, and a name
    without its capital, as misaki does it."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError where the file is no such JSON: another version of its package writes it otherwise."""
        self._text = path.read_bytes()
        self._places = array("I", bytes(4 * _SLOTS))  # of each entry's word in the text; 0 where a slot is free
        self._count = 0
        for entry in _ENTRY.finditer(self._text):
            slot = hash(entry[1].decode()) & _MASK
            while self._places[slot]:
                slot = (slot + 1) & _MASK
            self._places[slot] = entry.start(1)
            self._count += 1
        if not self._count:
            raise ValueError(f"{path} has no entries of one line each")

    def __getitem__(self, word: str) -> Any:
        place = self._find(word)
        if not place:
            raise KeyError(word)
        end = self._text.find(b'\n  "', place)
        entry = self._text[place - 1 : end if end >= 0 else self._text.rindex(b"}")]
        (said,) = json.loads(b"{%b}" % entry.rstrip(b",\n")).values()
        return said

    def get(self, word: str, default: Any = None) -> Any:
        return self[word] if self._find(word) else default

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and bool(self._find(word))

    def __iter__(self) -> Iterator[str]:
        """The words as they are written in the file."""
        return (self._text[place : self._text.index(b'"', place)].decode() for place in self._places if place)

    def __len__(self) -> int:
        return self._count

    def _find(self, word: str) -> int:
        """Where it stands, 0 where it does not. A long word that nobody knows asks for each of its pieces: a miss
        takes a microsecond."""
        if place := self._written(word):
            return place
        lower = word.lower()
        if len(word) < 2:
            return 0
        if word == lower:
            return self._written(lower.capitalize())
        return self._written(lower) if word == lower.capitalize() else 0

    def _written(self, word: str) -> int:
        slot = hash(word) & _MASK
        while place := self._places[slot]:
            if self._text.startswith(f'{word}":'.encode("utf-8", "replace"), place):
                return place
            slot = (slot + 1) & _MASK
        return 0
