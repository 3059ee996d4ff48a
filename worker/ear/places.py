"""When each word of a text is said in a clip, by what Whisper attends to while it is made to write that text.

What it hears and what it writes by itself are not the same: it leaves out what is said twice, and makes up for a word
that is missing. But a missing word gets no time of the clip, and what is said twice is passed over within one of its
words, which then lasts too long. Both are figures of one clip alone. All of this is pure.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

FRAME_S = 0.02  # of Whisper's attention
_LETTER_S, _MARK_S = 0.09, 0.4  # that a letter may last, and a rest at a mark
_MARKS = frozenset(",.;:!?…—")
_SIGNS = frozenset("%$€£&@#+=/°")


@dataclass(frozen=True, slots=True)
class Place:
    word: str
    seconds: float

    @property
    def letters(self) -> int:
        return sum(sign.isalnum() for sign in self.word)

    @property
    def is_plain(self) -> bool:
        """Whether its letters tell how long it may last: those of a number, a sign or an abbreviation do not."""
        capitals = sum(sign.isupper() for sign in self.word)
        return self.letters > 0 and capitals < 2 and not any(s.isnumeric() or s in _SIGNS for s in self.word)


def places(tokens: Sequence[str], path: Sequence[tuple[int, int]]) -> list[Place]:
    """Of the words of a text. A token that begins with a blank begins a word. `path` has pairs of the number of a token
    and of a frame, neither of which ever falls; the frame behind the last token ends the last word."""
    starts: dict[int, int] = {}
    for token, frame in path:
        starts.setdefault(token, frame)
    end = max((frame for _, frame in path), default=0)
    words = [number for number, token in enumerate(tokens) if number == 0 or token.startswith(" ")]
    bounds = [(number, starts.get(number, end)) for number in (*words, len(tokens))]
    return [
        Place("".join(tokens[first:after]).strip(), FRAME_S * (until - since))
        for (first, since), (after, until) in pairwise(bounds)
    ]


def lost(found: Sequence[Place]) -> str:
    """The first word that gets no time; "" where there is none."""
    return next((place.word for place in found if place.letters and place.seconds <= 0), "")


def held(found: Sequence[Place]) -> tuple[str, float]:
    """The word that lasts the longest beyond what its letters explain, and by how many seconds. A clip that is slow as
    a whole may take longer for each, and its seconds are counted as those of a usual one."""
    plain = [place for place in found if place.is_plain]
    if not plain:
        return "", 0.0
    slow = max(1.0, statistics.median(place.seconds / place.letters for place in plain) / _LETTER_S)
    over = {place: place.seconds / slow - _explained_s(place) for place in plain}
    longest = max(over, key=lambda place: over[place])
    return longest.word, max(0.0, over[longest])


def _explained_s(place: Place) -> float:
    return _LETTER_S * place.letters + (_MARK_S if _MARKS & set(place.word) else 0.0)
