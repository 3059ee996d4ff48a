"""Each chapter of a recording as a file of its own, of the passages of which the whole is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from farm.audio_formats import AUDIO_FORMATS
from farm.wire import Output
from worker.desk.book import Book
from worker.desk.digest import digest
from worker.desk.passage import Passage
from worker.desk.recording_file import RecordingFile
from worker.desk.stitch import ChapterFile


class ChapterFiles:
    """Takes the passages of a recording in their order; `finish` ends the last chapter."""

    def __init__(self, folder: Path, output: Output, sample_rate: int, book: Book, check: Callable[[], None]) -> None:
        """`sample_rate` is that of the files, in Hz."""
        self._folder, self._output, self._rate, self._book, self._check = folder, output, sample_rate, book, check
        self._suffix = AUDIO_FORMATS[output.format].suffix
        self._done: list[ChapterFile] = []
        self._file: RecordingFile | None = None
        self._chapter = self._start = 0

    def write(self, passage: Passage) -> None:
        """The passage has its gain."""
        if self._file is None or passage.chapter != self._chapter:
            self._end()
            self._chapter = passage.chapter
            book = self._book.of_chapter(len(self._done), self._chapter)
            self._file = RecordingFile(self._path, self._output, self._rate, book, self._check)
        self._file.write(passage)

    def finish(self) -> list[ChapterFile]:
        self._end()
        return self._done

    def close(self) -> None:
        """Also where it was not finished."""
        if self._file is not None:
            self._file.close()

    @property
    def _path(self) -> Path:
        return self._folder / f"chapter-{self._chapter}{self._suffix}"

    def _end(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.finish()
        finally:
            file.close()
        size, sha256 = self._path.stat().st_size, digest(self._path, self._check)
        self._done.append(ChapterFile(self._chapter, self._path, self._start, file.frames, size, sha256))
        self._start += file.frames
