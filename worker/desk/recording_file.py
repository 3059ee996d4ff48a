"""One audio file of passages, the whole recording or a chapter of it, in any format. No passage is decoded: the file
takes the samples, the frames of FLAC, or the packets that the passages have.

Opus is the exception in this list: its packets lean on those before them, so each file has an encoder of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
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
from worker.desk.opus import FAITHFUL, OpusFile
from worker.desk.packets import CODERS, Packets
from worker.desk.passage import Passage, Sound

_NO_CHAPTERS = Held(note="encoder_missing: the desk has no FFmpeg (tts-farm[audiobook]), which writes chapters")


class TooLong(Exception):
    """A FLAC of passages would be longer than players read; one that is encoded at once has no such limit."""


class RecordingFile:
    """`spans` has the place of each clip in the file, `starts` the sample at which each passage begins, and `frames` is
    its length in samples."""

    def __init__(self, target: Path, output: Output, sample_rate: int, book: Book, check: Callable[[], None]) -> None:
        """`sample_rate` is that of the file, in Hz."""
        self.spans: list[Span] = []
        self.starts: list[int] = []
        self.frames = 0
        self._lengths: list[int] = []  # of the sound of each passage, in bytes
        self._writer = _writer(target, output, sample_rate, book, check)

    def write(self, passage: Passage) -> None:
        """The passage has its gain. Raises TooLong."""
        self._lengths.append(self._writer.write(passage.sound, self.frames, passage.frames))
        self.starts.append(self.frames)
        self.spans += (Span(self.frames + span.start, span.frames) for span in passage.spans)
        self.frames += passage.frames

    def finish(self) -> Held:
        """The file is whole once it is closed."""
        return self._writer.finish(self.spans, self.frames)

    def close(self) -> None:
        """Also where it was not finished."""
        self._writer.close()

    def places(self) -> list[tuple[int, int]]:
        """Of the closed file: at which byte the sound of each passage begins, and how many bytes it has."""
        starts = accumulate(self._lengths, initial=self._writer.first_byte())
        return list(zip(starts, self._lengths, strict=False))


class _Writer(Protocol):
    def write(self, sound: Sound, start: int, frames: int) -> int:
        """`start`: the frame of the file at which the sound begins; `frames` of it follow. Returns how many bytes of
        the file it takes."""

    def finish(self, spans: Sequence[Span], frames: int) -> Held: ...

    def close(self) -> None: ...

    def first_byte(self) -> int:
        """Of the sound in the closed file."""


def _writer(target: Path, output: Output, sample_rate: int, book: Book, check: Callable[[], None]) -> _Writer:
    if output.format == "flac":
        return _FlacWriter(target, sample_rate)
    if not holds_chapters(output.format):
        return _SampleWriter(target, output, sample_rate)
    if output.format == "opus":
        return _OpusWriter(OpusFile(target, sample_rate, book, check, FAITHFUL if output.preset else None))
    kind = M4bFile if output.format == "m4b" else Mp3File
    return _PacketWriter(kind(target, sample_rate, book), CODERS[output.format].frame(sample_rate))


class _SampleWriter:
    """WAV; MP3 and Opus too where there is no FFmpeg."""

    def __init__(self, target: Path, output: Output, sample_rate: int) -> None:
        self._target = target
        self._encoder = Encoder(target, output.format, sample_rate, mp3_kbps(output))
        self._held = _NO_CHAPTERS if output.format in BOOK_FORMATS else Held()

    def write(self, sound: Sound, start: int, frames: int) -> int:
        assert isinstance(sound, np.ndarray)
        self._encoder.append(sound)
        return 2 * frames

    def finish(self, spans: Sequence[Span], frames: int) -> Held:
        return self._held

    def close(self) -> None:
        self._encoder.close()

    def first_byte(self) -> int:
        return self._target.stat().st_size - 2 * self._encoder.frames


class _FlacWriter:
    def __init__(self, target: Path, sample_rate: int) -> None:
        self._rate = sample_rate
        self._shortest, self._longest = 65535, 0
        self._file = target.open("wb")
        self._first = self._file.write(stream_head(sample_rate, 0, 0, 0))  # its place; the sizes are known at the end

    def write(self, sound: Sound, start: int, frames: int) -> int:
        assert isinstance(sound, Frames)
        if start + frames > flac_frames.LONGEST:
            raise TooLong
        length = sum(self._file.write(piece) for piece in frames_at(start, sound))
        self._shortest = min(self._shortest, int(sound.samples.min()))
        self._longest = max(self._longest, int(sound.samples.max()))
        return length

    def finish(self, spans: Sequence[Span], frames: int) -> Held:
        self._file.seek(0)
        self._file.write(stream_head(self._rate, frames, self._shortest, self._longest))
        return Held()

    def close(self) -> None:
        self._file.close()

    def first_byte(self) -> int:
        return self._first


class _PacketWriter:
    """The tail of a passage is written once no other passage follows."""

    def __init__(self, file: M4bFile | Mp3File, frame: int) -> None:
        """`frame`: samples of a packet."""
        self._file, self._frame = file, frame
        self._tail = Packets.of(())

    def write(self, sound: Sound, start: int, frames: int) -> int:
        assert isinstance(sound, Packets)
        filled, self._tail = sound.split(frames // self._frame)
        self._file.write(filled)
        return len(filled.bodies)

    def finish(self, spans: Sequence[Span], frames: int) -> Held:
        self._file.write(self._tail)
        return self._file.finish(spans, frames)

    def close(self) -> None:
        self._file.close()

    def first_byte(self) -> int:
        return self._file.first_byte()


class _OpusWriter:
    def __init__(self, file: OpusFile) -> None:
        self._file = file

    def write(self, sound: Sound, start: int, frames: int) -> int:
        assert isinstance(sound, np.ndarray)
        self._file.write(from_pcm(sound))
        return 0  # none of its own: its packets lean on those before

    def finish(self, spans: Sequence[Span], frames: int) -> Held:
        return self._file.finish(spans, frames)

    def close(self) -> None:
        self._file.close()

    def first_byte(self) -> int:
        return 0
