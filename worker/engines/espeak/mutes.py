"""The characters for which a voice has no word: eSpeak NG leaves them out in silence, amid a text that it speaks.

No buffer is full then, so the proof does not see it: of 137 voices 129 say nothing for ‰, 86 for €, 3 for a digit. So
each voice is asked once for each character that a listener would miss. It has no word for one that it leaves silent
alone: in 24 languages such a sign was silent also amid words and beside digits, before them and behind them.

    asked        letters, digits, signs of currency and mathematics, symbols, emoji; of punctuation # % & @ § ‰
    not asked    what is seen and not said: commas, quotes, brackets, dashes, bullets, boxes, footnote marks, slashes
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

# Asks a voice, which is all that the answer depends on, for a text, and says whether there is anything to hear.
IsHeard = Callable[[str], bool]

_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"  # two halves, which say nothing apart
_SIGN = re.compile(rf"{_FLAG}|[^\s]")
_SAID = frozenset("#%&@§‰‱٪")
_SEEN = frozenset("|¦") | frozenset(map(chr, range(0x2500, 0x2600)))  # boxes and bullets
# Too many to ask for each: of 1,000 taken by chance none was silent in Chinese, Japanese, Korean or English.
_ALIKE = re.compile("[\u3400-\u9fff\uac00-\ud7a3\U00020000-\U0002ebef]")
_NEAR = 6  # letters on either side of one in its script
_AROUND = 12  # characters that a warning quotes before and behind


class Place(NamedTuple):
    start: int
    sign: str


class Mutes:
    """What is known of each voice. One for all utterances of an engine."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, str], bool] = {}

    def respelled(self, text: str, voice: str, is_heard: IsHeard) -> str:
        """With ASCII digits for those of another script that the voice has no words for; of the same length."""
        if text.isascii():
            return text
        return "".join(
            str(unicodedata.decimal(character))
            if character > "\x7f" and character.isdecimal() and self._is_mute(character, voice, is_heard)
            else character
            for character in text
        )

    def places(self, text: str, voice: str, is_heard: IsHeard) -> list[Place]:
        """Where the text has a character that this voice leaves out."""
        return [place for place in _asked(text) if self._is_mute(place.sign, voice, is_heard)]

    def _is_mute(self, sign: str, voice: str, is_heard: IsHeard) -> bool:
        key = (voice, f"{ord(sign) >> 8:x}" if _ALIKE.match(sign) else sign)
        if key not in self._heard:
            # A single letter may be silent where the word has it (é in Luxembourgish), and two of them are not.
            heard = is_heard(sign * 2 if sign.isalnum() else sign)
            # And one may be silent by the rules of its language (א and ע in Hebrew), where its script is spoken.
            self._heard[key] = heard or (sign.isalpha() and is_heard(_neighbours(sign)))
        return not self._heard[key]


def _neighbours(letter: str) -> str:
    """The letters beside it in Unicode, which are of its script."""
    around = range(max(0, ord(letter) - _NEAR), ord(letter) + _NEAR + 1)
    return "".join(other for other in map(chr, around) if other.isalpha() and other != letter)


def _asked(text: str) -> Iterator[Place]:
    for found in _SIGN.finditer(text):
        sign = found[0]
        if len(sign) > 1 or _would_be_missed(sign):
            yield Place(found.start(), sign)


def _would_be_missed(character: str) -> bool:
    if character in _SEEN:
        return False
    category = unicodedata.category(character)
    return (
        category[0] == "N"
        or category in ("Lu", "Ll", "Lt", "Lo", "Sc", "Sm", "So", "Co", "Cn")
        or (category == "Po" and character in _SAID)
    )


def described(text: str, places: list[Place]) -> str:
    """The characters, each once, and where the first of them stands."""
    signs = " ".join(dict.fromkeys(place.sign for place in places))
    first = places[0]
    start, end = max(0, first.start - _AROUND), first.start + len(first.sign) + _AROUND
    before, behind = "…" if start else "", "…" if end < len(text) else ""
    return f"{signs if len(signs) <= 60 else signs[:59] + '…'}, first in “{before}{text[start:end]}{behind}”"
