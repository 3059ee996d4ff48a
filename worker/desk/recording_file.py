"""One audio file of passages, the whole recording or a chapter of it, in any format. No passage is decoded: the file
takes the samples, the frames of FLAC, or the packets that the passages have.

Opus is the exception in this list: its packets lean on those before them, so each file has an encoder of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from farm.audio_formats import BOOK_FORMATS
from farm.encoders import holds_chapters
from farm.presets import mp3_kbps
from farm.sound import flac_frames
from farm.sound.flac import from_pcm
from farm.sound.flac_frames import Frames, frames_at, stream_head
from farm.sound.timeline import Span
from farm.wire import Output
from worker.desk.book import Book, Held
from worker.desk.encoder import Encoder
from worker.desk.m4b import M4bFile
from worker.desk.mp3 import Mp3File
from worker.desk.opus import OpusFile
from worker.desk.packets import CODERS, Packets
from worker.desk.passage import Passage, Sound

_NO_CHAPTERS = Held(note="encoder_missing: the desk has no FFmpeg (tts-farm[audiobook]), which writes chapters")


class TooLong(Exception):
    """A FLAC of passages would be longer than players read; one that is encoded at once has no such limit."""


class RecordingFile:
    """`spans` has the place of each clip in the file, and `frames` is its length in samples."""

    def __init__(self, target: Path, output: Output, sample_rate: int, book: Book, check: Callable[[], None]) -> None:
        """`sample_rate` is that of the file, in Hz."""
        self.spans: list[Span] = []
        self.frames = 0
        self._writer = _writer(target, output, sample_rate, book, check)

    def write(self, passage: Passage) -> None:
        """The passage has its gain. Raises TooLong."""
        self._writer.write(passage.sound, self.frames, passage.frames)
        self.spans += (Span(self.frames + span.start, span.frames) for span in passage.spans)
        self.frames += passage.frames

    def finish(self) -> Held:
        """The file is whole once it is closed."""
        return self._writer.finish(self.spans, self.frames)

    def close(self) -> None:
        """Also where it was not finished."""
        self._writer.close()


class _Writer(Protocol):
    def write(self, sound: Sound, start: int, frames: int) -> None:
        """`start`: the frame of the file at which the sound begins; `frames` of it follow."""

    def finish(self, spans: Sequence[Span], frames: int) -> Held: ...

    def close(self) -> None: ...


def _writer(target: Path, output: Output, sample_rate: int, book: Book, check: Callable[[], None]) -> _Writer:
    if output.format == "flac":
        return _FlacWriter(target, sample_rate)
    if not holds_chapters(output.format):
        return _SampleWriter(target, output, sample_rate)
    if output.format == "opus":
        return _OpusWriter(OpusFile(target, sample_rate, book, check))
    kind = M4bFile if output.format == "m4b" else Mp3File
    return _PacketWriter(kind(target, sample_rate, book), CODERS[output.format].frame(sample_rate))


class _SampleWriter:
    """WAV; MP3 and Opus too where there is no FFmpeg."""

    def __init__(self, target: Path, output: Output, sample_rate: int) -> None:
        self._encoder = Encoder(target, output.format, sample_rate, mp3_kbps(output))
        self._held = _NO_CHAPTERS if output.format in BOOK_FORMATS else Held()

    def write(self, sound: Sound, start: int, frames: int) -> None:
        assert isinstance(sound, np.ndarray)
        self._encoder.append(sound)

    def finish(self, spans: Sequence[Span], frames: int) -> Held:
        return self._held

    def close(self) -> None:
        self._encoder.close()


class _FlacWriter:
    def __init__(self, target: Path, sample_rate: int) -> None:
        self._rate = sample_rate
        self._shortest, self._longest = 65535, 0
        self._file = target.open("wb")
        self._file.write(stream_head(sample_rate, 0, 0, 0))  # its place; the sizes are known at the end

    def write(self, sound: Sound, start: int, frames: int) -> None:
        assert isinstance(sound, Frames)
        if start + frames > flac_frames.LONGEST:
            raise TooLong
        for piece in frames_at(start, sound):
            self._file.write(piece)
        self._shortest = min(self._shortest, int(sound.samples.min()))
        self._longest = max(self._longest, int(sound.samples.max()))

    def finish(self, spans: Sequence[Span], frames: int) -> Held:
        self._file.seek(0)
        self._file.write(stream_head(self._rate, frames, self._shortest, self._longest))
        return Held()

    def close(self) -> None:
        self._file.close()


class _PacketWriter:
    """The tail of a passage is written once no other passage follows."""

    def __init__(self, file: M4bFile | Mp3File, frame: int) -> None:
        """`frame`: samples of a packet."""
        self._file, self._frame = file, frame
        self._tail = Packets.of(())

    def write(self, sound: Sound, start: int, frames: int) -> None:
        assert isinstance(sound, Packets)
        filled, self._tail = sound.split(frames // self._frame)
        self._file.write(filled)

    def finish(self, spans: Sequence[Span], frames: int) -> Held:
        self._file.write(self._tail)
        return self._file.finish(spans, frames)

    def close(self) -> None:
        self._file.close()


class _OpusWriter:
    def __init__(self, file: OpusFile) -> None:
        self._file = file

    def write(self, sound: Sound, start: int, frames: int) -> None:
        assert isinstance(sound, np.ndarray)
        self._file.write(from_pcm(sound))

    def finish(self, spans: Sequence[Span], frames: int) -> Held:
        return self._file.finish(spans, frames)

    def close(self) -> None:
        self._file.close()
