"""The line on which the clips of a job follow each other, with their pauses, at the sample rate of the listener.

Whoever writes a recording goes through here: the desk, which makes one file of all clips, and the API, which sends them
while the rest is rendered. So both give the same samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import soxr

from farm.sound.flac import Pcm, Samples, from_pcm

BLOCK_S = 5  # of audio in one block at most; the slowest encoder, Opus, does some 40 s per second
_RAMP_S = 0.005
_STEP = 33  # of 32768, -60 dBFS: a clip that starts or ends on a louder sample would click
_KEPT_S = 0.02  # before and after the speech of a clip that is trimmed: soft consonants begin and end there


@dataclass(frozen=True, slots=True)
class Piece:
    pcm: Pcm  # as farm.sound.flac decodes it
    pause_ms: int  # silence after it
    lead_ms: int = 0  # silence before it


@dataclass(frozen=True, slots=True)
class Span:
    """Where a piece lies in the recording, without the silence around it; in frames of the recording."""

    start: int
    frames: int


class Timeline:
    """Lays clips and pauses one after another, and remembers the place of each clip. With `trim_dbfs` a clip begins and
    ends with its speech: what lies outside, and has no sample as loud as that, is cut off."""

    def __init__(self, sample_rate: int, trim_dbfs: float | None = None) -> None:
        self._rate = sample_rate
        self._trim_dbfs = trim_dbfs
        self._position = 0
        self._spans: list[Span] = []

    def blocks(self, pieces: Iterable[Piece]) -> Iterator[Pcm]:
        for piece in pieces:
            clip = self._edged(piece.pcm)
            yield from self._silence(piece.lead_ms)
            self._spans.append(Span(self._position, len(clip)))
            yield from self._advance(clip)
            yield from self._silence(piece.pause_ms)

    def spans(self, rate: int) -> Iterator[Span]:
        for span in self._spans:
            start = round(span.start * rate / self._rate)
            yield Span(start, round((span.start + span.frames) * rate / self._rate) - start)

    def _edged(self, pcm: Pcm) -> Pcm:
        """The clip as the recording has it."""
        ramp = round(_RAMP_S * self._rate)
        if self._trim_dbfs is None:
            return _soften(pcm, ramp)
        speech = _trimmed(pcm, self._trim_dbfs, round(_KEPT_S * self._rate))
        return _ramped(speech, ramp) if len(speech) < len(pcm) else _soften(pcm, ramp)

    def _silence(self, ms: int) -> Iterator[Pcm]:
        return self._advance(np.zeros(ms * self._rate // 1000, np.int16))

    def _advance(self, pcm: Pcm) -> Iterator[Pcm]:
        self._position += len(pcm)
        size = BLOCK_S * self._rate
        for start in range(0, len(pcm), size):
            yield pcm[start : start + size]


class Resampler:
    """From one sample rate to another, block by block. Equal rates leave the samples as they are."""

    def __init__(self, source_rate: int, rate: int) -> None:
        self._stream = soxr.ResampleStream(source_rate, rate, 1, dtype="float32") if rate != source_rate else None

    def feed(self, block: Pcm) -> Samples:
        samples = from_pcm(block)
        if self._stream is None:
            return samples
        resampled: Samples = self._stream.resample_chunk(samples)
        return resampled

    def rest(self) -> Samples:
        """What is left after the last block."""
        none = np.empty(0, np.float32)
        if self._stream is None:
            return none
        resampled: Samples = self._stream.resample_chunk(none, last=True)
        return resampled


def resampled(blocks: Iterable[Pcm], source_rate: int, rate: int) -> Iterator[Samples]:
    resampler = Resampler(source_rate, rate)
    yield from map(resampler.feed, blocks)
    if source_rate != rate:
        yield resampler.rest()


def _soften(clip: Pcm, ramp: int) -> Pcm:
    """Ramps an edge that would click. A clip that begins and ends in silence stays as it is."""
    if not len(clip) or max(abs(int(clip[0])), abs(int(clip[-1]))) < _STEP:
        return clip
    return _ramped(clip, ramp)


def _ramped(clip: Pcm, ramp: int) -> Pcm:
    ramp = min(ramp, len(clip) // 2)
    envelope = np.ones(len(clip), np.float32)
    envelope[:ramp] = np.linspace(0, 1, ramp, endpoint=False)
    envelope[len(clip) - ramp :] = envelope[:ramp][::-1]
    softened: Pcm = np.rint(clip * envelope).astype(np.int16)
    return softened


def _trimmed(clip: Pcm, dbfs: float, kept: int) -> Pcm:
    """From its first sample that is as loud to its last, and `kept` samples more on either side. A clip without such a
    sample stays whole: nothing in it is known to be speech."""
    loud = np.flatnonzero(np.abs(clip.astype(np.int32)) >= 32768 * 10 ** (dbfs / 20))
    if not len(loud):
        return clip
    return clip[max(0, int(loud[0]) - kept) : int(loud[-1]) + 1 + kept]
