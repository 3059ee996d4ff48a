"""Chapters that have a number for a heading: lines of "I", "II", "III", of 一, 二, 三, or of "1", "2", "3" alone.

Such a line says little of itself: "I" is a word, 5 may be the number of a page. So only a row of them counts, which
begins at one, leaves none out, and has text behind each number. A number may have its title behind it, "II. The Storm",
but for 1 and 2, which are items of a list then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_ROMAN = re.compile(r"(?=[IVXL])(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
_TENS = {"": 0, "X": 1, "XX": 2, "XXX": 3, "XL": 4, "L": 5, "LX": 6, "LXX": 7, "LXXX": 8, "XC": 9}
_ONES = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
_HAN = "一二三四五六七八九"
_HAN_NUMBER = re.compile(f"(?:([{_HAN}]?)(十))?([{_HAN}]?)")
_ALONE = re.compile(
    r"[—–\-*•·§\s\[(（【]*([IVXL]{1,9}|[一二三四五六七八九十]{1,3}|\d{1,2})[.．、。:：)）\]】]?[—–\-*•·\s]*"
)
_TITLED = re.compile(r"(?:([IVXL]{1,9})[.:]?\s+(?:[—–-]\s*)?|([一二三四五六七八九十]{1,3})[、．.\s]\s*)(\S.*)")
_LONGEST, _LONGEST_HAN = 60, 24  # characters of a title
_ENDED = re.compile(r"[.!?…。！？][\"'”’»」』)）]*$")
_LEAD = 300  # characters before a "1" that begins the first chapter: a title, a motto; the text of a page is longer


class First(NamedTuple):
    """The first line of a paragraph, folded, and what the paragraph before ends in. A heading is one of its own."""

    text: str
    is_alone: bool  # the paragraph has no other line
    is_heading: bool
    before: str


def lone_numbers(firsts: Sequence[First]) -> frozenset[int]:
    """The places in `firsts` of those that are headings."""
    kept: set[int] = set()
    row: list[int] = []
    kind, lead = "", 0
    for place, first in enumerate(firsts):
        lead = 0 if first.is_heading else lead + len(first.text)
        found = _number(first) if first.is_alone and not first.is_heading else None
        if found is None:
            continue
        number, sort = found
        if sort == "digits" and first.before and not _ENDED.search(first.before):
            continue
        if number == 1 and (sort != "digits" or lead <= _LEAD):
            kept.update(_whole(row, len(firsts)))
            row, kind = [place], sort
        elif row and sort == kind and number == len(row) + 1:
            row.append(place)
    kept.update(_whole(row, len(firsts)))
    return frozenset(kept)


def _whole(row: Sequence[int], count: int) -> Sequence[int]:
    """The row, where there is text behind each of its numbers: entries of a table of contents have none."""
    ends = [*row[1:], count]
    return row if len(row) > 1 and all(end - place > 1 for place, end in zip(row, ends, strict=True)) else ()


def _number(first: First) -> tuple[int, str] | None:
    """Its value, and how it is written."""
    if alone := _ALONE.fullmatch(first.text):
        return _value(alone[1])
    titled = _TITLED.fullmatch(first.text)
    if titled is None or titled[3][0].islower() or _ENDED.search(first.text):
        return None
    is_short = len(titled[3]) <= (_LONGEST if titled[1] else _LONGEST_HAN)
    return _value(titled[1] or titled[2]) if is_short else None


def _value(sign: str) -> tuple[int, str] | None:
    if sign.isascii() and sign.isdigit():
        return int(sign), "digits"
    if roman := _ROMAN.fullmatch(sign):
        return 10 * _TENS[roman[1]] + _ONES.index(roman[2]), "roman"
    if han := _HAN_NUMBER.fullmatch(sign):
        return 10 * ((_HAN.find(han[1]) + 1 if han[1] else 1) if han[2] else 0) + _HAN.find(han[3] or "x") + 1, "han"
    return None
