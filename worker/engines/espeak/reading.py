"""A text read whole: at one go where eSpeak NG surely spoke all of it, else in as few pieces as it needs.

    speak the text ── proven whole? ── yes ── trim ── done
                  └── no, or it killed the speaker ── divide ── each piece likewise ── join, with short pauses

A text is divided by the planner's own rules (farm/prose.py): at the ends of sentences, of clauses, of words, and within
a word between what is read as one character.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from farm.prose import spans
from worker.engines.espeak.proof import Clause, is_whole

Samples = npt.NDArray[np.float32]

_QUIET = 32 / 32768  # -60 dBFS
_EDGE_S = 0.010  # kept around the speech, so that a piece neither starts nor ends on a step
# The silence between two pieces at eSpeak's own speed, about what it leaves there itself.
_SENTENCE_S, _CLAUSE_S, _WORD_S = 0.300, 0.150, 0.040
_SENTENCE_ENDS = frozenset(".!?…。！？।؟۔።")
_CLAUSE_ENDS = frozenset(",;:，、；：،؛–—")
_MOST_DEATHS = 8  # characters of one text: a library that dies of everything is not asked for each of them
_QUOTED = 60  # characters of a text in an error or a warning


@dataclass(frozen=True, slots=True)
class Said:
    """What eSpeak made of one request."""

    samples: Samples
    clauses: Sequence[Clause]


@dataclass(frozen=True, slots=True)
class Reading:
    samples: Samples  # without silence at the ends
    unproven: tuple[str, ...] = ()  # pieces whose end may be missing
    missing: tuple[str, ...] = ()  # characters that eSpeak does not survive


class Refused(Exception):
    """The speaker answers that it can't speak this utterance."""


class Died(Refused):
    """The text killed eSpeak, or kept it busy for too long (`hung`). `text` is the piece that did, shortened."""

    def __init__(self, reason: str, text: str = "", *, hung: bool = False) -> None:
        super().__init__(reason)
        self.text, self.hung = shortened(text), hung


class Reader:
    """Reads one text after another with `speak`, at `speed` times eSpeak's own."""

    def __init__(self, speak: Callable[[str], Said], language: str, sample_rate: int, speed: float) -> None:
        self._speak, self._language, self._sample_rate, self._speed = speak, language, sample_rate, speed
        self._deaths: dict[str, Died] = {}

    def read(self, text: str) -> Reading:
        """`text` is one line. What can't be divided any more is read as it is, and named as unproven; a character that
        kills eSpeak is left out, and named as missing. Raises Died where nothing is left to hear, where there are too
        many of these, or where it hangs; and Refused as `speak` does."""
        self._deaths.clear()
        reading = self._read(text)
        if reading.missing and not len(reading.samples):
            raise Died(str(next(iter(self._deaths.values()))), text)
        return reading

    def _read(self, text: str) -> Reading:
        said, death = None, self._deaths.get(text)
        try:
            said = None if death else self._speak(text)
        except Died as died:
            death = died
        if said and is_whole(text, said.clauses):
            return Reading(self._trimmed(said))
        if pieces := _divided(text, self._language):
            pauses = [round(pause / self._speed * self._sample_rate) for _, pause in pieces]
            return _joined([self._read(piece) for piece, _ in pieces], pauses)
        if said:
            return Reading(self._trimmed(said), unproven=(text,))
        assert death is not None
        self._deaths[text] = death
        if death.hung or len(self._deaths) > _MOST_DEATHS:
            raise Died(str(death), text, hung=death.hung)
        return Reading(np.zeros(0, np.float32), missing=(text,))

    def _trimmed(self, said: Said) -> Samples:
        loud = np.flatnonzero(np.abs(said.samples) >= _QUIET)
        if not len(loud):
            return said.samples[:0]
        edge = round(_EDGE_S * self._sample_rate)
        return said.samples[max(0, int(loud[0]) - edge) : int(loud[-1]) + 1 + edge]


def is_audible(samples: Samples) -> bool:
    return bool((np.abs(samples) >= _QUIET).any())


def shortened(text: str) -> str:
    return text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…"


def _divided(text: str, language: str) -> list[tuple[str, float]]:
    """Halves, in two pieces or a few more, each with the seconds of silence after it; nothing for a single character.
    Where there are several words, none is cut."""
    words = text.split()
    longest = max(map(len, words), default=0) if len(words) > 1 else 0
    cuts = list(spans(text, language, max(longest, (len(text) + 1) // 2))) if len(text) > 1 else []
    if len(cuts) < 2:
        return []
    starts = {cut.start for cut in cuts}
    return [(piece := text[cut.start : cut.end], _pause(piece, within_a_word=cut.end in starts)) for cut in cuts]


def _pause(text: str, *, within_a_word: bool) -> float:
    if text[-1] in _SENTENCE_ENDS:
        return _SENTENCE_S
    if text[-1] in _CLAUSE_ENDS:
        return _CLAUSE_S
    return 0.0 if within_a_word else _WORD_S


def _joined(readings: Sequence[Reading], pauses: Sequence[int]) -> Reading:
    """Silence stands between two pieces with a sound, and nowhere else."""
    parts: list[Samples] = []
    pause = 0
    for reading, after in zip(readings, pauses, strict=True):
        if len(reading.samples):
            if parts:
                parts.append(np.zeros(pause, np.float32))
            parts.append(reading.samples)
        pause = after
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return Reading(
        samples,
        tuple(piece for reading in readings for piece in reading.unproven),
        tuple(piece for reading in readings for piece in reading.missing),
    )
