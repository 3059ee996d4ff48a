"""Binds passages into one recording: WAV and FLAC as they are, M4B and MP3 of their packets, Opus of their samples.

A passage whose gain was not known when it was made holds samples: all are measured here first, and then encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from farm.audio_formats import BOOK_FORMATS, encodable_rate
from farm.encoders import holds_chapters
from farm.presets import mp3_kbps
from farm.sound import flac_frames
from farm.sound.flac import Samples, from_pcm
from farm.sound.flac_frames import Frames, frames_at, stream_head
from farm.sound.timeline import Span
from farm.wire import Output
from worker.desk.book import Book, Held
from worker.desk.encoder import Encoder
from worker.desk.loudness import Figures, Levels, decibels, joined, shown
from worker.desk.m4b import M4bFile
from worker.desk.manifest import Said
from worker.desk.mastering import gain_for
from worker.desk.mp3 import Mp3File
from worker.desk.opus import OpusFile
from worker.desk.packets import Packets
from worker.desk.passage import Passage, finished
from worker.desk.stitch import Stitched, digest
from worker.desk.waveform import bound

_NO_CHAPTERS = Held(note="encoder_missing: the desk has no FFmpeg (tts-farm[audiobook]), which writes chapters")


class TooLong(Exception):
    """A FLAC of passages would be longer than players read; one that is encoded at once has no such limit."""


class Binder:
    """`said` has what the engine said of each clip, once the recording is bound."""

    def __init__(self, target: Path, output: Output, sample_rate: int) -> None:
        """`sample_rate` is that of the clips, in Hz."""
        self._target, self._output = target, output
        self._rate = encodable_rate(output.format, output.sample_rate or sample_rate)
        self.said: list[Said] = []
        self._spans: list[Span] = []
        self._levels: list[_Level] = []
        self._envelopes: list[Samples] = []
        self._frames = 0

    def bind(
        self, passages: Callable[[], Iterable[Passage]], book: Book, check: Callable[[], None], *, measures: bool
    ) -> Stitched:
        """`passages` gives them in their order; a second time where one `measures` first, because not all of them know
        their gain."""
        gains = self._gains(map(_level, passages())) if measures else {}
        gained = self._gained(passages(), gains, check)
        held = Held()
        if holds_chapters(self._output.format):
            held = self._write_book(gained, book, check)
        elif self._output.format == "flac":
            self._write_flac(gained)
        else:
            self._write_samples(gained)
            held = _NO_CHAPTERS if self._output.format in BOOK_FORMATS else held
        chapters: dict[int, list[_Level]] = {}
        for level in self._levels:
            chapters.setdefault(level.chapter, []).append(level)
        gains = {chapter: decibels(levels[0].gain) for chapter, levels in chapters.items()}
        per_chapter = self._output.gain_per_chapter
        return Stitched(
            format=self._output.format,
            sample_rate=self._rate,
            frames=self._frames,
            spans=tuple(self._spans),
            bytes=self._target.stat().st_size,
            sha256=digest(self._target, check),
            figures=Figures.of(_written(self._levels)),
            source_loudness_lufs=shown(joined([level.levels for level in self._levels]).loudness_lufs),
            gain_db=None if per_chapter else gains[self._levels[0].chapter],
            waveform=bound(self._envelopes, self._rate),
            chapters={chapter: Figures.of(_written(levels)) for chapter, levels in chapters.items()},
            gains=gains if per_chapter else {},
            held=held,
        )

    def _gains(self, levels: Iterable[_Level]) -> dict[int, float]:
        """Of each chapter, or under 0 that of the whole recording."""
        groups: dict[int, list[_Level]] = {}
        for level in levels:
            groups.setdefault(level.chapter if self._output.gain_per_chapter else 0, []).append(level)
        whole = {chapter: joined([each.levels for each in group]) for chapter, group in groups.items()}
        return {chapter: gain_for(levels, self._output) for chapter, levels in whole.items()}

    def _gained(
        self, passages: Iterable[Passage], gains: Mapping[int, float], check: Callable[[], None]
    ) -> Iterator[Passage]:
        """Each with its gain and in the format of the recording."""
        for passage in passages:
            if passage.gain is None:
                assert isinstance(passage.sound, np.ndarray)
                gain = gains[passage.chapter if self._output.gain_per_chapter else 0]
                sound, written = finished(
                    passage.sound, passage.levels, self._rate, self._output, check, gain=gain, is_last=passage.ends_job
                )
                passage = replace(passage, gain=gain, sound=sound, written=written)
            yield passage

    def _write_samples(self, passages: Iterable[Passage]) -> None:
        with closing(Encoder(self._target, self._output.format, self._rate, mp3_kbps(self._output))) as encoder:
            for passage in passages:
                assert isinstance(passage.sound, np.ndarray)
                encoder.append(passage.sound)
                self._note(passage)

    def _write_flac(self, passages: Iterable[Passage]) -> None:
        shortest, longest = 65535, 0
        with self._target.open("wb") as file:
            file.write(stream_head(self._rate, 0, 0, 0))  # its place; the sizes are known at the end
            for passage in passages:
                assert isinstance(passage.sound, Frames)
                if self._frames + passage.frames > flac_frames.LONGEST:
                    raise TooLong
                for piece in frames_at(self._frames, passage.sound):
                    file.write(piece)
                shortest = min(shortest, int(passage.sound.samples.min()))
                longest = max(longest, int(passage.sound.samples.max()))
                self._note(passage)
            file.seek(0)
            file.write(stream_head(self._rate, self._frames, shortest, longest))

    def _write_book(self, passages: Iterable[Passage], book: Book, check: Callable[[], None]) -> Held:
        if self._output.format == "opus":
            with closing(OpusFile(self._target, self._rate, book, check)) as opus:
                for passage in passages:
                    assert isinstance(passage.sound, np.ndarray)
                    opus.write(from_pcm(passage.sound))
                    self._note(passage)
                return opus.finish(self._spans, self._frames)
        kind = M4bFile if self._output.format == "m4b" else Mp3File
        with closing(kind(self._target, self._rate, book)) as file:
            for passage in passages:
                assert isinstance(passage.sound, Packets)
                file.write(passage.sound)
                self._note(passage)
            return file.finish(self._spans, self._frames)

    def _note(self, passage: Passage) -> None:
        self._spans += (Span(self._frames + span.start, span.frames) for span in passage.spans)
        self._frames += passage.frames
        self._levels.append(_level(passage))
        peak = (passage.written or passage.levels).peak  # a limiter is not in the envelope
        self._envelopes.append(np.clip(from_pcm(passage.envelope) * np.float32(passage.gain or 1.0), -peak, peak))
        self.said += passage.said


@dataclass(frozen=True, slots=True)
class _Level:
    """How loud a passage is, before its mastering and after."""

    chapter: int
    levels: Levels
    written: Levels
    gain: float


def _level(passage: Passage) -> _Level:
    return _Level(passage.chapter, passage.levels, passage.written or passage.levels, passage.gain or 1.0)


def _written(every: Sequence[_Level]) -> Levels:
    return joined([each.written for each in every])
