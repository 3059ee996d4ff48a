"""Retakes: a clip that is oddly short or long for its text is made once more, in smaller pieces.

        intake ──> take() ──> engine ──> judged() ── as usual ──────────────────────> commit
           ^                                 └────── odd: pieces of its text ──┐
           └───────────────────────────────────────────────────────────────────┘

If the pieces together are as long as usual, their sound is the clip. If not, the text itself is unusual, or the engine
is no better with less of it: the first clip stays, with the warning `pace`. pace.py says what is odd; a job may want no
such check. The work counts as running until then, so its lease is renewed and its attempt is the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from farm.prose import spans
from worker.engine import Clip, Failure, Notice, NoticeCode, Utterance
from worker.render.intake import Intake
from worker.render.pace import Oddity, Pace

_GAP_S = 0.12  # between two pieces, as the assembly leaves between two segments


@dataclass(slots=True)
class _Retake:
    clip: Clip  # the first one
    oddity: Oddity
    utterance: Utterance
    voice: tuple[str, ...]
    pieces: Sequence[Utterance]
    made: dict[str, Clip | Failure] = field(default_factory=dict)


class Retakes:
    """The judge of the clips of one drain. It gives the pieces of a retake to the intake."""

    def __init__(self, intake: Intake, pace: Pace, sample_rate: int) -> None:
        self._intake, self._pace, self._sample_rate = intake, pace, sample_rate
        self._retakes: dict[str, _Retake] = {}  # by the key of each piece

    def judged(self, outcome: Clip | Failure) -> Clip | Failure | None:
        """What the work of the utterance comes to; None while a retake of it is made."""
        retake = self._retakes.pop(outcome.key, None)
        if retake is not None:
            retake.made[outcome.key] = outcome
            return self._chosen(retake) if len(retake.made) == len(retake.pieces) else None
        if isinstance(outcome, Failure) or outcome.warnings:
            return outcome
        work = self._intake.running_work(outcome.key)
        if outcome.key != work.id:  # another take, which the ear asked for and judges
            return outcome
        speech = work.utterance.speech
        if speech.target_duration_ms is not None or not speech.manner.checks:
            return outcome
        voice = (work.held[0].job if work.held else "", speech.language, speech.voice)
        oddity = self._pace.judge(voice, work.utterance.text, self._seconds(outcome))
        self._pace.remember(voice, work.utterance.text, self._seconds(outcome))
        if oddity is None:
            return outcome
        pieces = _pieces(work.utterance)
        if not pieces:
            return _warned(outcome, oddity)
        again = _Retake(outcome, oddity, work.utterance, voice, pieces)
        self._retakes.update((piece.key, again) for piece in pieces)
        self._intake.add_pieces(pieces)
        return None

    def _chosen(self, retake: _Retake) -> Clip:
        clips = [made for piece in retake.pieces if isinstance(made := retake.made[piece.key], Clip)]
        if len(clips) < len(retake.pieces):
            return _warned(retake.clip, retake.oddity)
        again = self._joined(retake, clips)
        if self._pace.judge(retake.voice, retake.utterance.text, self._seconds(again)) is not None:
            return _warned(retake.clip, retake.oddity)
        return again

    def _joined(self, retake: _Retake, clips: Sequence[Clip]) -> Clip:
        gap = np.zeros(round(_GAP_S * self._sample_rate), np.float32)
        samples = np.concatenate([part for clip in clips for part in (gap, clip.samples)][1:])
        unspoken = sum(
            len(piece.text) - (clip.spoken_characters or 0) for piece, clip in zip(retake.pieces, clips, strict=True)
        )
        said = any(clip.spoken_characters is None for clip in clips)
        spoken = None if said else len(retake.utterance.text) - unspoken
        warnings = tuple(dict.fromkeys(warning for clip in clips for warning in clip.warnings))
        return Clip(retake.clip.key, samples, warnings, spoken)

    def _seconds(self, clip: Clip) -> float:
        return len(clip.samples) / self._sample_rate


def _pieces(utterance: Utterance) -> list[Utterance]:
    """None for a text that can't be cut, and for one with marks of pronunciation, which must not be."""
    text = utterance.text
    if "|" in text:
        return []
    cuts = list(spans(text, utterance.speech.language, (len(text) + 1) // 2))
    if len(cuts) < 2:
        return []
    return [
        replace(utterance, key=f"{utterance.key}/again/{number}", text=text[cut.start : cut.end])
        for number, cut in enumerate(cuts)
    ]


def _warned(clip: Clip, oddity: Oddity) -> Clip:
    return replace(clip, warnings=(*clip.warnings, Notice(NoticeCode.PACE, str(oddity))))
