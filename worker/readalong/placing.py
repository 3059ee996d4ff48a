"""Where sentences stand in a book: both are compared without white space, in the order of reading.

A rule takes whole blocks of a book away, so what is spoken stands in it letter by letter, with stretches between that
are not. A sentence belongs to its next occurrence behind the one before. Of several that one counts which the next
sentence follows most closely: the title of a chapter stands in the table of contents too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

PAGE_END = "\n"  # between the letters of two pages; no sentence holds it
_NEAR = 2_000  # letters within which the next sentence is looked for
_TELLING = 30  # letters that nothing else says by chance
_TRIED = 1_000  # occurrences of a short sentence
_NUMBER = re.compile(r"(?:\d{1,9}|[A-Za-z])\.")  # of an item of a list, which its page does not say

Place = tuple[int, int]  # start and end among the letters


def letters_of(text: str) -> str:
    return "".join(text.split())


def places_of(
    sentences: Sequence[str], letters: str, is_joint: Callable[[int], bool] = lambda at: True
) -> list[Place | None]:
    """Of each sentence among the letters of the pages, in rising order; None for one that is not there. `is_joint`
    says whether a sentence can begin or end at a place, which is not so within a word."""
    keys = [letters_of(sentence) for sentence in sentences]
    places: list[Place | None] = []
    at = 0
    for number, key in enumerate(keys):
        following = keys[number + 1] if number + 1 < len(keys) else ""
        place = _place(key, following, letters, at, is_joint)
        if place is None and (numbered := _NUMBER.match(key)):
            place = _place(key[numbered.end() :], following, letters, at, is_joint)
        places.append(place)
        at = place[1] if place is not None else at
    return places


def _place(key: str, following: str, letters: str, at: int, is_joint: Callable[[int], bool]) -> Place | None:
    if not key:
        return None
    best: Place | None = None
    nearest = _NEAR + 1
    found = letters.find(key, at)
    for _ in range(_TRIED):
        if found < 0:
            break
        end = found + len(key)
        if is_joint(found) and is_joint(end):
            if found - at <= letters.startswith(PAGE_END, at):  # right behind the sentence before
                return found, end
            gap = letters.find(following, end, end + _NEAR + len(following)) - end if following else -1
            is_likely = best is None and (len(key) >= _TELLING or found - at <= _NEAR)
            if 0 <= gap < nearest:
                best, nearest = (found, end), gap
            elif is_likely:
                best = found, end
            if nearest <= len(PAGE_END):
                break
        found = letters.find(key, found + 1)
    return best
