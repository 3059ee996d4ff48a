"""How long a clip lasts beside what the same voice takes for other texts, of clips that the ear found good.

A repetition that the ear leaves out of its text, or a word that it makes up for, changes the length. Seconds are fitted
as base + a x letters + b x marks; of 304 good clips of Kokoro none is odd then. pace.py judges every clip by a median
and has it made again in pieces; a tempo is finer, needs the ear, and is only told of: it depends on the clips before.

A voice that speaks in its own manner is fitted once, and the fit lies in storage: a worker that starts later judges by
it from its first clip on. Speech at another speed, pitch or emotion is compared with that of its own job alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, field
from typing import NamedTuple, Self

import numpy as np

from farm.errors import ObjectMissing, StorageUnavailable
from farm.layout import tempo_key
from farm.storage import Storage

log = logging.getLogger(__name__)

_ENOUGH = 20  # clips of a voice before one is judged
_LASTING = 60  # and before their fit is stored
_REMEMBERED, _VOICES = 200, 256
_LOOK_S = 60.0  # between two looks for a fit that another worker may have stored
_ODD = 1.2  # times the expected length, or the part of it
_SPREADS = 3.5  # and so many times the usual distance, which a voice that draws its speech has more of
_MARKS = frozenset(",.;:!?…—、。，；：！？")
_VERSION = 1  # raised when a fit means something else


class Size(NamedTuple):
    """What a text is worth."""

    one: float
    letters: float
    marks: float


@dataclass(frozen=True, slots=True)
class Voice:
    """Whose clips are compared with each other."""

    tenant: str
    revision: str  # of the engine
    language: str
    name: str  # of a built-in voice, or the content digest of an uploaded one
    job: str | None = None  # None: in the voice's own manner, in which all jobs are alike

    @property
    def key(self) -> str:
        """Of its fit in storage."""
        said = json.dumps([_VERSION, self.revision, self.language, self.name])
        return tempo_key(self.tenant, hashlib.sha256(said.encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Fit:
    base_s: float
    letter_s: float
    mark_s: float
    spread: float  # the usual distance from the expected length: a standard deviation of logarithms

    @classmethod
    def of(cls, clips: Iterable[tuple[Size, float]]) -> Self:
        """Sizes of texts, and seconds of their clips."""
        sizes, seconds = zip(*clips, strict=True)
        terms, lengths = np.array(sizes), np.array(seconds)
        terms_s = np.linalg.lstsq(terms / lengths[:, None], np.ones(len(lengths)), rcond=None)[0]
        off = np.log(lengths / np.maximum(1e-3, terms @ terms_s))
        spread = 1.4826 * float(np.median(np.abs(off - np.median(off))))  # by the median, which few odd clips move
        base, letter, mark = (float(each) for each in terms_s)
        return cls(base, letter, mark, spread)

    @classmethod
    def read(cls, said: bytes) -> Self | None:
        """None of what is no fit."""
        try:
            return cls(*(float(each) for each in json.loads(said)))
        except (ValueError, TypeError, OverflowError):
            return None

    def written(self) -> bytes:
        return json.dumps(astuple(self)).encode()

    def odd(self, size: Size, seconds: float) -> float | None:
        """How many times the expected length a clip lasts that is oddly short or long; else None."""
        expected = self.base_s * size.one + self.letter_s * size.letters + self.mark_s * size.marks
        if expected <= 0:
            return None
        ratio = seconds / expected
        return ratio if abs(np.log(ratio)) > max(np.log(_ODD), _SPREADS * self.spread) else None


@dataclass(slots=True)
class _Known:
    clips: deque[tuple[Size, float]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    stored: Fit | None = None
    look_at: float = 0.0  # by the clock


class Tempo:
    """Not for several threads at once. An outage of storage costs it the fits that it has not read, and no clip."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage, self._clock = storage, clock
        self._voices: OrderedDict[Voice, _Known] = OrderedDict()

    def remember(self, voice: Voice, text: str, seconds: float) -> None:
        """Of a clip that is good."""
        size = _size(text)
        if size is None or seconds <= 0:
            return
        known = self._known(voice)
        known.clips.append((size, seconds))
        if voice.job is None and known.stored is None and len(known.clips) >= _LASTING:
            known.stored = self._kept(voice, Fit.of(known.clips))

    def odd(self, voice: Voice, text: str, seconds: float) -> float | None:
        """How many times the expected length a clip lasts that is oddly short or long; else None."""
        size, known = _size(text), self._known(voice)
        if size is None or seconds <= 0:
            return None
        if known.stored is not None:
            return known.stored.odd(size, seconds)
        return Fit.of(known.clips).odd(size, seconds) if len(known.clips) >= _ENOUGH else None

    def _known(self, voice: Voice) -> _Known:
        known = self._voices.setdefault(voice, _Known(look_at=self._clock()))
        self._voices.move_to_end(voice)
        if len(self._voices) > _VOICES:
            self._voices.popitem(last=False)
        if voice.job is None and known.stored is None and self._clock() >= known.look_at:
            known.look_at = self._clock() + _LOOK_S
            known.stored = self._found(voice)
        return known

    def _found(self, voice: Voice) -> Fit | None:
        try:
            return Fit.read(self._storage.get(voice.key))
        except (ObjectMissing, StorageUnavailable):
            return None

    def _kept(self, voice: Voice, fit: Fit) -> Fit | None:
        """None where it could not be stored: then the next clip's is."""
        try:
            self._storage.put(voice.key, fit.written(), "application/json")
        except StorageUnavailable as error:
            log.warning("the tempo of a voice could not be stored: %s", error)
            return None
        return fit


def _size(text: str) -> Size | None:
    """None for a text with digits or signs, of which nobody knows how many letters they are worth."""
    spoken = [sign for sign in text if not sign.isspace()]
    if any(sign.isnumeric() or sign in "%$€£&@#+=/°" for sign in spoken):
        return None
    letters, marks = sum(sign.isalpha() for sign in spoken), sum(sign in _MARKS for sign in spoken)
    return Size(1.0, float(letters), float(marks))
