"""Whether a clip lasts as long as its text lets expect: a check behind every engine, which needs no model.

A clip of which half is missing lasts half as long for each letter as the others of its voice and job, and one in which
the voice stammers or drones lasts longer. The median of the others decides, and their median distance from it, and not
a mean: a few bad clips move neither. Texts differ in what a character costs: a digit is a word, a sign may be one, and
a Chinese letter takes longer than a Latin one. So a text counts for the fewest letters that it can be worth before its
clip is too short, for the most before it is too long, and letters of the two widths are never compared.
"""

from __future__ import annotations

import math
import statistics
import unicodedata
from collections import OrderedDict, deque
from dataclasses import dataclass, field

_ENOUGH = 20  # clips of a voice before one is judged
_REMEMBERED = 200  # clips of a voice; the last ones
_VOICES = 256  # of jobs in work
_LETTERS = 20  # in a shorter text, the edges of the clip count for more than the letters
_SHORT, _LONG = 1.8, 3.0  # times the usual, at least: prose stays between 0.74 and 1.8 times its median
_SPREADS = 6.0  # and so many times the usual distance from the middle
_WORD = 8  # letters that a digit or a sign is worth at most


@dataclass(frozen=True, slots=True)
class Size:
    """What a text is worth: letters at least and at most, and whether they are wide, as those of Chinese are."""

    least: int
    most: int
    wide: bool

    @property
    def plain(self) -> bool:
        return self.most <= 1.5 * self.least


def measured(text: str) -> Size | None:
    """None for a text that is too short, or mixed too much, to be judged."""
    letters = wide = words = 0
    for character in text:
        category = unicodedata.category(character)
        if category[0] == "L":
            letters += 1
            wide += category == "Lo" and character > "\u3040"
        elif category[0] in "NS":
            words += 1
    if letters < _LETTERS or 0.1 < wide / letters < 0.9:
        return None
    return Size(letters, letters + _WORD * words, wide > letters / 2)


@dataclass(frozen=True, slots=True)
class Oddity:
    """Seconds for a letter, of the clip and of the others."""

    found: float
    usual: float

    def __str__(self) -> str:
        return f"{self.found:.3f} s for each letter, where this voice takes {self.usual:.3f} s"


@dataclass(slots=True)
class _Voice:
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))  # logarithms of seconds for a letter

    def judged(self, seconds: float, size: Size) -> Oddity | None:
        if len(self.rates) < _ENOUGH or seconds <= 0:
            return None
        middle = statistics.median(self.rates)
        spread = _SPREADS * statistics.median(abs(rate - middle) for rate in self.rates)
        shortest, longest = seconds / size.least, seconds / size.most
        if math.log(shortest) < middle - max(math.log(_SHORT), spread):
            return Oddity(shortest, math.exp(middle))
        if math.log(longest) > middle + max(math.log(_LONG), spread):
            return Oddity(longest, math.exp(middle))
        return None


class Pace:
    """Of the voices of the jobs in work; those that were not heard for the longest are forgotten."""

    def __init__(self) -> None:
        self._voices: OrderedDict[tuple[str, ...], _Voice] = OrderedDict()

    def judge(self, voice: tuple[str, ...], text: str, seconds: float) -> Oddity | None:
        """`voice` is whatever makes two clips comparable: job, language, voice. Remembers nothing."""
        size = measured(text)
        known = self._voices.get((*voice, str(size and size.wide)))
        return known.judged(seconds, size) if known and size else None

    def remember(self, voice: tuple[str, ...], text: str, seconds: float) -> None:
        size = measured(text)
        if size is None or not size.plain or seconds <= 0:
            return
        key = (*voice, str(size.wide))
        self._voices.setdefault(key, _Voice()).rates.append(math.log(seconds / size.least))
        self._voices.move_to_end(key)
        if len(self._voices) > _VOICES:
            self._voices.popitem(last=False)
