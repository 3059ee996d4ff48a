"""How long a clip lasts beside what the same voice took for other texts of the same job that the ear found good.

A repetition that the ear leaves out of its text, or a word that it makes up for, changes the length. Seconds are fitted
as base + a x letters + b x marks; of 304 good clips of Kokoro none is odd then. pace.py judges every clip by a median
and has it made again in pieces; a tempo is finer, needs the ear, and is only told of, because it depends on the clips
before.
"""

from __future__ import annotations

from collections import OrderedDict, deque

import numpy as np

_ENOUGH = 20  # clips of a voice before one is judged
_REMEMBERED, _VOICES = 200, 256
_ODD = 1.2  # times the expected length, or the part of it
_SPREADS = 3.5  # and so many times the usual distance, which a voice that draws its speech has more of
_MARKS = frozenset(",.;:!?…—、。，；：！？")

Voice = tuple[str, ...]


class Tempo:
    """Not for several threads at once."""

    def __init__(self) -> None:
        self._clips: OrderedDict[Voice, deque[tuple[float, float, float, float]]] = OrderedDict()

    def remember(self, voice: Voice, text: str, seconds: float) -> None:
        size = _size(text)
        if size is None or seconds <= 0:
            return
        clips = self._clips.setdefault(voice, deque(maxlen=_REMEMBERED))
        self._clips.move_to_end(voice)
        if len(self._clips) > _VOICES:
            self._clips.popitem(last=False)
        clips.append((*size, seconds))

    def odd(self, voice: Voice, text: str, seconds: float) -> float | None:
        """How many times the expected length a clip lasts that is oddly short or long; else None."""
        size, clips = _size(text), self._clips.get(voice, ())
        if size is None or seconds <= 0 or len(clips) < _ENOUGH:
            return None
        rows = np.array(clips)
        terms, lengths = rows[:, :3], rows[:, 3]
        fit = np.linalg.lstsq(terms / lengths[:, None], np.ones(len(rows)), rcond=None)[0]
        expected = float(np.array(size) @ fit)
        if expected <= 0:
            return None
        off = np.log(lengths / np.maximum(1e-3, terms @ fit))
        usual = 1.4826 * float(np.median(np.abs(off - np.median(off))))  # a standard deviation, by the median
        ratio = seconds / expected
        return ratio if abs(np.log(ratio)) > max(np.log(_ODD), _SPREADS * usual) else None


def _size(text: str) -> tuple[float, float, float] | None:
    """None for a text with digits or signs, of which nobody knows how many letters they are worth."""
    spoken = [sign for sign in text if not sign.isspace()]
    if any(sign.isnumeric() or sign in "%$€£&@#+=/°" for sign in spoken):
        return None
    return 1.0, float(sum(sign.isalpha() for sign in spoken)), float(sum(sign in _MARKS for sign in spoken))
