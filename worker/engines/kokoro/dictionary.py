"""A dictionary that stays the text that it came in: a word is looked up in the file's own lines.

misaki's dictionaries are JSON of one entry a line, in order. As objects of Python they take 70 MB in each worker, as
bytes and the place of each line 7 MB.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_ENTRY = re.compile(rb'\n  "([^"\\]+)": ')


class Dictionary(Mapping[str, Any]):
    """Words to phonemes, or to phonemes by part of speech. A word is also found as it begins a sentence, and a name
    without its capital, as misaki does it."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError where the file is no such JSON: another version of its package writes it otherwise."""
        self._text = path.read_bytes()
        self._places = array("I", (entry.start() + 1 for entry in _ENTRY.finditer(self._text)))
        words = (self._word(number) for number in range(len(self._places)))
        before = b""
        for word in words:
            if word <= before:
                raise ValueError(f"{path} is not in order at {word.decode()!r}")
            before = word
        if not before:
            raise ValueError(f"{path} has no entries of one line each")

    def __getitem__(self, word: str) -> Any:
        for spelling in (word, *_other_capitals(word)):
            entry = self._entry(spelling.encode())
            if entry is not None:
                return entry
        raise KeyError(word)

    def __iter__(self) -> Iterator[str]:
        """The words as they are written in the file."""
        return (self._word(number).decode() for number in range(len(self._places)))

    def __len__(self) -> int:
        return len(self._places)

    def _entry(self, word: bytes) -> Any:
        number = bisect_left(range(len(self._places)), word, key=self._word)
        if number == len(self._places) or self._word(number) != word:
            return None
        end = self._places[number + 1] if number + 1 < len(self._places) else self._text.rindex(b"}")
        (entry,) = json.loads(b"{%b}" % self._text[self._places[number] : end].rstrip(b",\n")).values()
        return entry

    def _word(self, number: int) -> bytes:
        start = self._places[number] + len(b'  "')
        return self._text[start : self._text.index(b'"', start)]


def _other_capitals(word: str) -> tuple[str, ...]:
    lower = word.lower()
    if len(word) < 2 or word not in (lower, lower.capitalize()):
        return ()
    return (lower.capitalize() if word == lower else lower,)
