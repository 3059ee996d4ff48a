"""Notes that say nothing of themselves: older books link raised numbers to plain paragraphs.

Such a paragraph is a note where a reference points at it, and it begins with its number or with a link back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from farm.documents.html import Placed
from farm.documents.tree import Block, Kind

_LABEL = re.compile(r"[\[(]?(?:\d{1,4}|[*†‡§¶]{1,3})[\])]?[.:]?(?:\s+|$)")


def with_notes(placed: Sequence[Placed], places: Mapping[str, int]) -> list[Placed]:
    """The blocks, with these paragraphs as notes. `places`: name -> the block that begins there."""
    blocks = [block for one in placed for block in one.block.within()]
    known = {block.name for block in blocks if block.kind is Kind.NOTE}
    wanted = {mark.value for block in blocks for mark in block.marks if mark.kind == "note"} - known
    found = list(placed)
    for name in sorted(wanted):
        place = places.get(name)
        if place is None or found[place].block.kind not in (Kind.PARAGRAPH, Kind.ITEM):
            continue
        note = _as_note(found[place].block, name)
        if note is not None:
            found[place] = replace(found[place], block=note)
    return found


def _as_note(block: Block, name: str) -> Block | None:
    label = _LABEL.match(block.text)
    cut = label.end() if label is not None else 0
    back = [mark for mark in block.marks if mark.kind == "note" and mark.at <= cut]
    if label is None and not back and not (block.kind is Kind.ITEM and block.name):
        return None
    rest = tuple(replace(mark, at=mark.at - cut) for mark in block.marks if mark not in back)
    return replace(block, kind=Kind.NOTE, name=name, text=block.text[cut:], marks=rest)
