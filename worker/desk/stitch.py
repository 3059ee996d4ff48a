"""Stitches a job's clips into one recording: pauses, loudness, sample rate, encoding, in bounded memory at any length.

Without a target for loudness there is one pass. With a target, the first pass spools the clips into a temporary file
and measures them, and the second applies the gain and encodes. See docs/decisions/0004-assembly.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np

from farm.audio_formats import AudioFormat, encodable_rate
from farm.presets import mp3_kbps
from farm.sound.flac import Pcm
from farm.sound.timeline import BLOCK_S, Piece, Span, Timeline, resampled
from farm.wire import Output
from worker.desk.book import Held
from worker.desk.digest import digest
from worker.desk.encoder import Encoder
from worker.desk.loudness import Figures, Meter, decibels, shown
from worker.desk.mastering import gain_for, mastered
from worker.desk.waveform import Waveform


@dataclass(frozen=True, slots=True)
class ChapterFile:
    """A chapter in a file of its own. `start` and `frames` are samples: where the file begins in the recording, and how
    long it is."""

    chapter: int
    path: Path
    start: int
    frames: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Stitched:
    """The recording that was written."""

    format: AudioFormat
    sample_rate: int
    frames: int
    spans: tuple[Span, ...]
    bytes: int
    sha256: str
    figures: Figures  # as written, before encoding
    source_loudness_lufs: float | None  # of the clips before the gain; None for silence
    gain_db: float | None  # None where each chapter has one of its own
    waveform: Mapping[str, int | str]
    chapters: Mapping[int, Figures]  # of each that is heard, from the silence before its first clip to the next chapter
    gains: Mapping[int, float] = field(default_factory=dict)  # of the chapters in dB, where each has its own
    held: Held = field(default_factory=Held)
    chapter_files: Sequence[ChapterFile] = ()

    @property
    def seconds(self) -> float:
        return self.frames / self.sample_rate

    def milliseconds(self, frames: int) -> int:
        return round(frames * 1000 / self.sample_rate)


def stitch(
    pieces: Iterable[Piece], *, sample_rate: int, output: Output, target: Path, check: Callable[[], None],
    chapters: Mapping[int, int] = MappingProxyType({0: 0}),
) -> Stitched:  # fmt: skip
    """Writes `target`. `chapters`: the number of the first piece of each. `check` is called after each block of audio,
    not while `pieces` waits for a clip; an exception from it stops the work. Raises ValueError without audio."""
    timeline = Timeline(sample_rate, output.trim_dbfs)
    rate = encodable_rate(output.format, output.sample_rate or sample_rate)
    source = measured = Meter(rate)
    gain, waveform = 1.0, Waveform(rate)
    blocks = timeline.blocks(pieces)
    with tempfile.TemporaryFile(dir=target.parent) as spool:
        if output.has_gain:
            for block in resampled(_spooled(blocks, spool), sample_rate, rate):
                source.feed(block)
                check()
            gain = gain_for(source.levels(), output)
            measured = Meter(rate)
            blocks = _replay(spool, sample_rate)
        with closing(Encoder(target, output.format, rate, mp3_kbps(output))) as encoder:
            for block in mastered(resampled(blocks, sample_rate, rate), rate, output, gain):
                measured.feed(block)
                waveform.feed(block)
                encoder.write(block)
                check()
    if not encoder.frames:
        raise ValueError("there is no clip to stitch")
    spans = tuple(timeline.spans(rate))
    lead = output.pause_ms.before_chapter * rate // 1000
    starts = [0, *(spans[first].start - lead for first in list(chapters.values())[1:])]
    return Stitched(
        format=output.format,
        sample_rate=rate,
        frames=encoder.frames,
        spans=spans,
        bytes=target.stat().st_size,
        sha256=digest(target, check),
        figures=Figures.of(measured.levels()),
        source_loudness_lufs=shown(source.levels().loudness_lufs),
        gain_db=decibels(gain),
        waveform=waveform.shown(),
        chapters={
            chapter: Figures.of(measured.levels(start, end))
            for chapter, start, end in zip(chapters, starts, [*starts[1:], None], strict=True)
        },
    )


def _spooled(blocks: Iterable[Pcm], spool: BinaryIO) -> Iterator[Pcm]:
    for block in blocks:
        spool.write(block.tobytes())
        yield block


def _replay(spool: BinaryIO, sample_rate: int) -> Iterator[Pcm]:
    spool.seek(0)
    while data := spool.read(2 * BLOCK_S * sample_rate):
        yield np.frombuffer(data, np.int16)
