"""Numbers in words, for the languages that have a reader here. Plain functions on digits; they know no text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from farm.numerals import chinese, english, german

LONGEST = 15  # digits of a number that is read as one


@dataclass(frozen=True, slots=True)
class Numerals:
    """Of a language. What is None, the language can't say by the digits alone."""

    digits: tuple[str, ...]  # from zero to nine
    cardinal: Callable[[str], str]
    ordinal: Callable[[str], str] | None
    date: Callable[[str, int | None, int | None], str] | None  # of the digits of the year, month and day
    joint: str  # between words
    plus: str
    minus: str


_CHINESE = Numerals(chinese.DIGITS, chinese.cardinal, chinese.ordinal, chinese.date, "", "加", "负")

NUMERALS: Mapping[str, Numerals] = MappingProxyType(
    {
        "en": Numerals(english.DIGITS, english.cardinal, english.ordinal, english.date, " ", "plus", "minus"),
        "de": Numerals(german.DIGITS, german.cardinal, None, None, " ", "plus", "minus"),
        "zh": _CHINESE,
        "cmn": _CHINESE,  # as eSpeak calls it
    }
)
