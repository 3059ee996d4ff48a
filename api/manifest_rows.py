"""Single rows of a stored manifest, without the rest of it: that of a long book has megabytes, and reading all of it
for one page took a second.

Rows stand in the order of their index, and begin with it. Within a string of JSON every quote has a backslash before
it, so the bytes of a beginning are found nowhere else, and the row that is wanted is found by halving the file.
"""

from __future__ import annotations

import json
import re
from typing import Any

from farm.errors import ObjectMissing
from farm.storage import Storage

_BEGINS = re.compile(rb'\{\s*"index":\s*(\d+),')
_WINDOW = 1 << 16  # bytes that are read at once; a row has some hundred, and a few thousand at most


def manifest_rows(storage: Storage, key: str, first: int, limit: int) -> list[dict[str, Any]]:
    """Up to `limit` rows from number `first` on. Raises ObjectMissing."""
    found = storage.head(key)
    if found is None:
        raise ObjectMissing(f"{key} is not in storage")
    at = _before(storage, key, found.size, first)
    rows: list[dict[str, Any]] = []
    rest = b""
    while len(rows) < limit:
        piece = storage.get(key, at, _WINDOW)
        at += len(piece)
        rest += piece
        ended = len(piece) < _WINDOW
        whole, rest = _rows(rest, ended)
        rows += [row for row in whole if row["index"] >= first]
        if ended:
            break
    return rows[:limit]


def _before(storage: Storage, key: str, size: int, first: int) -> int:
    """A place at most a window before the row of that number."""
    low, high = 0, size
    while high - low > _WINDOW:
        middle = (low + high) // 2
        begin = _BEGINS.search(storage.get(key, middle, _WINDOW))
        if begin is None and middle + _WINDOW < size:  # the head of the manifest, which has the chapters
            low = middle + 1
        elif begin is None or int(begin[1]) > first:
            high = middle
        else:
            low = middle + begin.start()
    return low


def _rows(text: bytes, ended: bool) -> tuple[list[dict[str, Any]], bytes]:
    """The rows that are whole in the text, and what is left of it."""
    begins = [begin.start() for begin in _BEGINS.finditer(text)]
    if not begins:
        return [], text[-100:]  # perhaps the half of a beginning
    decoder = json.JSONDecoder()
    ends = [*begins[1:], len(text)] if ended else begins[1:]
    rows = [decoder.raw_decode(text[begin:end].decode())[0] for begin, end in zip(begins, ends, strict=False)]
    return rows, b"" if ended else text[begins[-1] :]
