"""A bound on how wide JSON may be, checked before it is parsed.

A body of 10 MB can hold 800,000 fields that no request has. Pydantic makes a record of each: 400 MB, and seconds to put
them into words. No object of a request has more than some twenty fields, so a wider one is refused unparsed.
"""

from __future__ import annotations

import re

from farm.errors import BadInput

MOST_FIELDS = 100  # of one object
MOST_ITEMS = 100_000  # of one list; the jobs of a batch are at most half as many
_FEW = 1_000  # commas in the whole text, in strings too, below which nothing needs a closer look
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)


def check_width(text: bytes) -> None:
    """Raises BadInput for an object or a list with too many members. Invalid JSON is left to the parser."""
    if text.count(b",") < _FEW:
        return
    commas: list[int] = []  # of each object or list that is open
    limits: list[int] = []
    for token in _TOKEN.finditer(text):
        char = token[0]
        if char == b",":
            if not commas:
                return
            commas[-1] += 1
            if commas[-1] >= limits[-1]:
                raise _too_wide(limits[-1])
        elif char in (b"{", b"["):
            commas.append(0)
            limits.append(MOST_FIELDS if char == b"{" else MOST_ITEMS)
        elif char in (b"}", b"]"):
            if not commas:
                return
            commas.pop()
            limits.pop()


def _too_wide(limit: int) -> BadInput:
    if limit == MOST_FIELDS:
        return BadInput(f"an object has more than {limit} fields; none of a request has as many", pointer="")
    return BadInput(f"a list has more than {limit:,} items; split the request", pointer="")
