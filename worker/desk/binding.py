"""Binds passages into one recording, and into a file of each chapter where the job asks for them.

A passage that holds samples, because its gain was not known when it was made, is encoded here, once for both files,
after all that share the gain are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from farm.audio_formats import encodable_rate
from farm.sound.flac import Samples, from_pcm
from farm.wire import Output
from worker.desk.book import Book
from worker.desk.chapter_files import ChapterFiles
from worker.desk.digest import digest
from worker.desk.loudness import Figures, Levels, decibels, joined, shown
from worker.desk.manifest import Said
from worker.desk.mastering import gain_for
from worker.desk.passage import Passage, gained
from worker.desk.recording_file import RecordingFile
from worker.desk.register import RegisterFile
from worker.desk.stitch import Stitched
from worker.desk.waveform import bound


class Binder:
    """Once the recording is bound, `said` has what the engine said of each clip, and `register` is a file that says
    where its passages lie."""

    def __init__(self, target: Path, output: Output, sample_rate: int, names: Sequence[str] = ()) -> None:
        """`sample_rate` is that of the clips, in Hz. `names` are those of the passages in the result, for its register;
        without them it has none."""
        self._target, self._output, self._names = target, output, names
        self._rate = encodable_rate(output.format, output.sample_rate or sample_rate)
        self.said: list[Said] = []
        self.register: Path | None = None
        self._levels: list[_Level] = []
        self._envelopes: list[Samples] = []

    def bind(
        self, passages: Iterable[Passage], book: Book, check: Callable[[], None], *, measured: Iterable[Passage] = ()
    ) -> Stitched:
        """`passages` gives them in their order. `measured` are those that don't know their gain, which is found before
        any is written."""
        gains = self._gains(map(_level, measured))
        with ExitStack() as files:
            of = self._output, self._rate, book, check
            whole = files.enter_context(closing(RecordingFile(self._target, *of)))
            parts = None
            if self._output.in_chapters:
                parts = files.enter_context(closing(ChapterFiles(self._target.parent, *of)))
            register = None
            if self._names:
                register = files.enter_context(closing(RegisterFile(self._target.with_name("register"))))
            for passage in self._gained(passages, gains, check):
                whole.write(passage)
                if parts is not None:
                    parts.write(passage)
                self._note(passage)
                if register is not None:
                    register.add(passage, self._output)
            held, chapter_files = whole.finish(), parts.finish() if parts is not None else ()
            whole.close()
            if register is not None:
                register.finish(self._names, whole.places(), whole.starts)
                self.register = register.path
        chapters: dict[int, list[_Level]] = {}
        for level in self._levels:
            chapters.setdefault(level.chapter, []).append(level)
        gains = {chapter: decibels(levels[0].gain) for chapter, levels in chapters.items()}
        per_chapter = self._output.gain_per_chapter
        return Stitched(
            format=self._output.format,
            sample_rate=self._rate,
            frames=whole.frames,
            spans=tuple(whole.spans),
            bytes=self._target.stat().st_size,
            sha256=digest(self._target, check),
            figures=Figures.of(_written(self._levels)),
            source_loudness_lufs=shown(joined([level.levels for level in self._levels]).loudness_lufs),
            gain_db=None if per_chapter else gains[self._levels[0].chapter],
            waveform=bound(self._envelopes, self._rate),
            chapters={chapter: Figures.of(_written(levels)) for chapter, levels in chapters.items()},
            gains=gains if per_chapter else {},
            held=held,
            chapter_files=chapter_files,
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
                gain = gains[passage.chapter if self._output.gain_per_chapter else 0]
                passage = gained(passage, gain, self._output, check)
            yield passage

    def _note(self, passage: Passage) -> None:
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
