"""Clips, passages and recordings for tests of what the desk makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soundfile as sf

from farm.audio_formats import AudioFormat
from farm.layout import clip_key
from farm.segment import Segment
from farm.sound.flac import Pcm, encode, from_pcm
from farm.storage import LocalStorage
from farm.wire import Output
from worker.desk.binding import Binder
from worker.desk.book import Book
from worker.desk.passage import Passage, Pieces, make_passage, read_passage, write_passage
from worker.desk.stitch import Stitched

RATE = 24_000
BOOK = Book({"title": "The Lamp", "artist": "N. N."}, [("One", 0), ("Zwei äöü", 2), ("三", 3)], total=3)


def row(index: int, chapter: int, pause_ms: int = 0, text: str = "Text.") -> Segment:
    return Segment(index, chapter, 0, len(text), text, "v", False, pause_ms, f"{index:064x}")


def noise(frames: int, seed: int = 0, level: int = 300) -> Pcm:
    return (np.random.default_rng(seed).standard_normal(frames) * level).astype(np.int16)


def clicking(frames: int, at: int, seed: int) -> Pcm:
    """Quiet noise between silence, with one click."""
    clip = noise(frames, seed, level=20)
    clip[:200] = clip[-200:] = 0
    clip[at] = 30_000
    return clip


def stored(folder: Path, clips: Sequence[Pcm]) -> LocalStorage:
    storage = LocalStorage(folder)
    for number, clip in enumerate(clips):
        storage.put(clip_key(f"{number:064x}"), encode(from_pcm(clip), RATE))
    return storage


def made(storage: LocalStorage, rows: Sequence[Sequence[Segment]], output: Output) -> list[Passage]:
    """Each as it comes back from storage."""
    chapters = [None, *(part[0].chapter for part in rows), None]
    every = [
        Pieces.of(
            part, output.pause_ms, ends_job=part is rows[-1], begins_chapter=chapter != before,
            ends_chapter=chapter != after,
        )
        for part, before, chapter, after in zip(rows, chapters, chapters[1:], chapters[2:], strict=False)
    ]  # fmt: skip
    passages = [make_passage(pieces, storage, RATE, output, lambda: None) for pieces in every]
    read = [read_passage(write_passage(passage), passage.chapter) for passage in passages]
    assert all(read)
    return [passage for passage in read if passage is not None]


def bound(target: Path, passages: Sequence[Passage], output: Output) -> Stitched:
    clips = sum(len(passage.spans) for passage in passages)
    book = replace(BOOK, chapters=[chapter for chapter in BOOK.chapters if chapter[1] < clips])
    measured = [passage for passage in passages if passage.gain is None]
    return Binder(target, output, RATE).bind(passages, book, lambda: None, measured=measured)


def decoded(path: Path) -> npt.NDArray[np.float32]:
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])


CLICKS = ((30_000, 12_345), (41_111, 300), (25_000, 20_000), (50_000, 49_000), (9_001, 4_500))
CLIPS = [clicking(frames, at, seed) for seed, (frames, at) in enumerate(CLICKS)]


def heard(path: Path, format: AudioFormat) -> npt.NDArray[Any]:
    """At the rate of the clips, as a player has it; of an MP3 as two players have it."""
    if format == "m4b":
        return decoded(path)
    sound: npt.NDArray[Any] = sf.read(path)[0]
    if format == "mp3":
        assert np.allclose(decoded(path), sound, atol=1e-3)
    return sound


def picture_of(kind: str, width: int = 40, height: int = 60) -> bytes:
    """Of one colour."""
    codec = av.CodecContext.create("mjpeg" if kind == "JPEG" else "png", "w")
    frame = av.VideoFrame(width, height, "yuvj420p" if kind == "JPEG" else "rgb24")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, frame.format.name, Fraction(1, 1)  # type: ignore[attr-defined]
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])  # type: ignore[attr-defined]
