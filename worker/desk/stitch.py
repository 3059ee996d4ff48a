"""Stitches a job's clips into one recording: pauses, loudness, sample rate, encoding, in bounded memory at any length.

Without a target for loudness there is one pass. With a target, the first pass spools the clips into a temporary file
and measures them, and the second applies the gain and encodes. See docs/decisions/0004-assembly.md.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soxr

from farm.audio_formats import AudioFormat
from farm.wire import Output
from worker.desk.encoder import Encoder, encodable_rate
from worker.desk.loudness import Meter, decibels
from worker.flac import Pcm, Samples, from_pcm

_CEILING = 10 ** (-1 / 20)  # gain stops where the highest sample would pass -1 dBFS
_BLOCK_S = 5  # of audio between two calls of `check`; the slowest encoder, Opus, does some 40 s per second
_RAMP_S = 0.005
_STEP = 33  # of 32768, -60 dBFS: a clip that starts or ends on a louder sample would click


@dataclass(frozen=True, slots=True)
class Piece:
    pcm: Pcm  # as worker.flac decodes it
    pause_ms: int  # silence after it


@dataclass(frozen=True, slots=True)
class Span:
    """Where a piece lies in the recording, without its pause; in frames of the recording."""

    start: int
    frames: int


@dataclass(frozen=True, slots=True)
class Stitched:
    """The recording that was written."""

    format: AudioFormat
    sample_rate: int
    frames: int
    spans: tuple[Span, ...]
    bytes: int
    sha256: str
    loudness_lufs: float | None  # as written; None for silence
    source_loudness_lufs: float | None  # of the clips before the gain
    gain_db: float
    peak_dbfs: float | None  # highest sample before encoding; None for silence

    @property
    def seconds(self) -> float:
        return self.frames / self.sample_rate

    def milliseconds(self, frames: int) -> int:
        return round(frames * 1000 / self.sample_rate)


def stitch(
    pieces: Iterable[Piece], *, sample_rate: int, output: Output, target: Path, check: Callable[[], None]
) -> Stitched:
    """Writes `target`. `check` is called after each block of audio, not while `pieces` waits for a clip; an exception
    from it stops the work. Raises ValueError when there is no audio."""
    timeline = _Timeline(sample_rate)
    rate = encodable_rate(output.format, output.sample_rate or sample_rate)
    source = measured = Meter(rate)
    gain = 1.0
    blocks = timeline.blocks(pieces)
    with tempfile.TemporaryFile(dir=target.parent) as spool:
        if output.loudness_lufs is not None:
            for block in _resample(_spooled(blocks, spool), sample_rate, rate):
                source.feed(block)
                check()
            gain = _gain(source, output.loudness_lufs)
            measured = Meter(rate)
            blocks = _replay(spool, sample_rate)
        with closing(Encoder(target, output.format, rate)) as encoder:
            for block in _resample(blocks, sample_rate, rate):
                louder = block * np.float32(gain)
                measured.feed(louder)
                encoder.write(louder)
                check()
    if not encoder.frames:
        raise ValueError("there is no clip to stitch")
    return Stitched(
        format=output.format,
        sample_rate=rate,
        frames=encoder.frames,
        spans=tuple(timeline.spans(rate)),
        bytes=target.stat().st_size,
        sha256=_digest(target, check),
        loudness_lufs=_finite(measured.integrated()),
        source_loudness_lufs=_finite(source.integrated()),
        gain_db=decibels(gain),
        peak_dbfs=_finite(decibels(measured.peak)),
    )


class _Timeline:
    """Lays clips and pauses one after another, and remembers the place of each clip."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._position = 0
        self._spans: list[Span] = []

    def blocks(self, pieces: Iterable[Piece]) -> Iterator[Pcm]:
        for piece in pieces:
            clip = _soften(piece.pcm, round(_RAMP_S * self._rate))
            self._spans.append(Span(self._position, len(clip)))
            yield from self._advance(clip)
            yield from self._advance(np.zeros(piece.pause_ms * self._rate // 1000, np.int16))

    def spans(self, rate: int) -> Iterator[Span]:
        for span in self._spans:
            start = round(span.start * rate / self._rate)
            yield Span(start, round((span.start + span.frames) * rate / self._rate) - start)

    def _advance(self, pcm: Pcm) -> Iterator[Pcm]:
        self._position += len(pcm)
        size = _BLOCK_S * self._rate
        for start in range(0, len(pcm), size):
            yield pcm[start : start + size]


def _soften(clip: Pcm, ramp: int) -> Pcm:
    """Ramps an edge that would click. A clip that begins and ends in silence stays as it is."""
    if not len(clip) or max(abs(int(clip[0])), abs(int(clip[-1]))) < _STEP:
        return clip
    ramp = min(ramp, len(clip) // 2)
    envelope = np.ones(len(clip), np.float32)
    envelope[:ramp] = np.linspace(0, 1, ramp, endpoint=False)
    envelope[len(clip) - ramp :] = envelope[:ramp][::-1]
    softened: Pcm = np.rint(clip * envelope).astype(np.int16)
    return softened


def _resample(blocks: Iterable[Pcm], source_rate: int, rate: int) -> Iterator[Samples]:
    if rate == source_rate:
        yield from map(from_pcm, blocks)
        return
    resampler = soxr.ResampleStream(source_rate, rate, 1, dtype="float32")
    for block in blocks:
        yield resampler.resample_chunk(from_pcm(block))
    yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


def _spooled(blocks: Iterable[Pcm], spool: BinaryIO) -> Iterator[Pcm]:
    for block in blocks:
        spool.write(block.tobytes())
        yield block


def _replay(spool: BinaryIO, sample_rate: int) -> Iterator[Pcm]:
    spool.seek(0)
    while data := spool.read(2 * _BLOCK_S * sample_rate):
        yield np.frombuffer(data, np.int16)


def _gain(meter: Meter, target_lufs: float) -> float:
    loudness = meter.integrated()
    if not math.isfinite(loudness):
        return 1.0
    return min(float(10 ** ((target_lufs - loudness) / 20)), _CEILING / meter.peak)


def _digest(path: Path, check: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
            check()
    return digest.hexdigest()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
