"""Chapters as files of their own: every sample in its place, of the packets that the whole recording has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from mutagen.id3 import ID3
from mutagen.mp4 import MP4
from mutagen.oggopus import OggOpus

from farm.audio_formats import AUDIO_FORMATS, BOOK_FORMATS, AudioFormat
from farm.sound.timeline import Span
from farm.wire import Output
from tests.pure.studio import BOOK, CLICKS, CLIPS, RATE, bound, heard, made, picture_of, row, stored
from worker.desk.binding import Binder
from worker.desk.book import read_cover
from worker.desk.stitch import ChapterFile, Stitched

CHAPTERS = (0, 0, 1, 2, 2)  # of the five clips
EVERY_FORMAT: list[tuple[AudioFormat, float | None]] = [
    (format, lufs) for format in AUDIO_FORMATS for lufs in (None, -20)
]


def three_chapters(folder: Path, format: AudioFormat, pauses: Sequence[int] = (500,) * 5, **output: Any) -> Stitched:
    """The second chapter has one passage, and the third has two."""
    rows = [row(n, chapter, pause) for n, (chapter, pause) in enumerate(zip(CHAPTERS, pauses, strict=True))]
    parts = [rows[:2], rows[2:3], rows[3:4], rows[4:]]
    wanted = Output(format=format, per_chapter=True, **output)
    folder.mkdir(exist_ok=True)
    return bound(folder / "whole", made(stored(folder / "s", CLIPS), parts, wanted), wanted)


def clips_of(done: Stitched, file: ChapterFile) -> list[tuple[Span, int]]:
    """The place of each clip in the file of its chapter, and that of the click in the clip."""
    return [
        (Span(span.start - file.start, span.frames), at)
        for span, chapter, (_, at) in zip(done.spans, CHAPTERS, CLICKS, strict=True)
        if chapter == file.chapter
    ]


@pytest.mark.parametrize("pauses", [(120, 1500, 450, 120, 0), (0, 0, 0, 0, 0), (7, 43, 42, 1, 0)])
@pytest.mark.parametrize(("format", "lufs"), EVERY_FORMAT)
def test_a_click_is_heard_in_the_file_of_its_chapter_where_the_whole_says(
    format: AudioFormat, lufs: float | None, pauses: Sequence[int], tmp_path: Path
) -> None:
    done = three_chapters(tmp_path, format, pauses, loudness_lufs=lufs)
    assert [file.chapter for file in done.chapter_files] == [0, 1, 2]
    for file in done.chapter_files:
        sound = heard(file.path, format)
        assert 0 <= len(sound) - file.frames < (1024 if format == "m4b" else 1)
        for span, at in clips_of(done, file):
            clip = np.abs(sound[span.start : span.start + span.frames])
            assert int(np.argmax(clip)) == at
    starts = [file.start for file in done.chapter_files]
    assert [after - before for before, after in pairwise([*starts, done.frames])] == [
        file.frames for file in done.chapter_files
    ]


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_the_files_of_chapters_have_the_samples_of_the_whole(format: AudioFormat, tmp_path: Path) -> None:
    done = three_chapters(tmp_path, format, loudness_lufs=-20)
    parts = [heard(file.path, format) for file in done.chapter_files]
    assert np.array_equal(np.concatenate(parts), heard(tmp_path / "whole", format))


@pytest.mark.parametrize("lufs", [None, -20])
@pytest.mark.parametrize("format", ["m4b", "mp3"])
def test_a_chapter_is_encoded_once_for_the_whole_and_its_file(
    format: AudioFormat, lufs: float | None, tmp_path: Path
) -> None:
    """Its file has the packets of the whole, and at its end those that the next chapter takes the place of."""
    done = three_chapters(tmp_path, format, loudness_lufs=lufs)
    whole, place = packets(tmp_path / "whole"), 0
    for file in done.chapter_files:
        own = packets(file.path)
        shared = next(
            (n for n, pair in enumerate(zip(own, whole[place:], strict=False)) if pair[0] != pair[1]), len(own)
        )
        assert len(own) - shared <= 3
        place += shared
    assert place == len(whole)


def packets(path: Path) -> list[bytes]:
    """Of the sound, without the frame of an MP3 that tells its length."""
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size and b"LAME3.100" not in bytes(packet)]


@pytest.mark.parametrize("format", list(AUDIO_FORMATS))
def test_every_desk_makes_the_same_files_of_chapters(format: AudioFormat, tmp_path: Path) -> None:
    once, again = three_chapters(tmp_path / "a", format), three_chapters(tmp_path / "b", format)
    assert [file.sha256 for file in once.chapter_files] == [file.sha256 for file in again.chapter_files]
    assert [file.bytes for file in once.chapter_files] == [file.path.stat().st_size for file in once.chapter_files]


def test_a_job_that_does_not_ask_for_files_of_chapters_has_none(tmp_path: Path) -> None:
    rows, wanted = [[row(0, 0, 500)], [row(1, 1)]], Output(format="mp3")
    done = bound(tmp_path / "whole", made(stored(tmp_path / "s", CLIPS), rows, wanted), wanted)
    assert (done.chapter_files, sorted(path.name for path in tmp_path.iterdir())) == ((), ["s", "whole"])


# --- tags -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", sorted(BOOK_FORMATS))
def test_the_file_of_a_chapter_says_its_title_its_place_and_its_book(format: AudioFormat, tmp_path: Path) -> None:
    book = replace(
        BOOK,
        chapters=BOOK.chapters[:2],
        tags={**BOOK.tags, "album": "The Lamp"},
        picture=read_cover(picture_of("PNG")),
        total=12,
    )
    rows, wanted = [[row(0, 0, 500), row(1, 0, 500)], [row(2, 7, 500)]], Output(format=format, per_chapter=True)
    passages = made(stored(tmp_path / "s", CLIPS), rows, wanted)
    binder = Binder(tmp_path / "whole", wanted, RATE)
    _, second = binder.bind(passages, book, lambda: None).chapter_files
    assert second.chapter == 7
    assert said(second.path, format) == ("Zwei äöü", (8, 12), "The Lamp", "N. N.", 1)
    with av.open(str(second.path)) as file:
        assert [each["metadata"]["title"] for each in file.chapters()] == ["Zwei äöü"]


def said(path: Path, format: AudioFormat) -> tuple[str, tuple[int, int], str, str, int]:
    """Title, track and how many there are, album, artist, and the number of pictures."""
    if format == "m4b":
        tags: Any = MP4(path).tags
        return tags["©nam"][0], tags["trkn"][0], tags["©alb"][0], tags["©ART"][0], len(tags["covr"])
    if format == "mp3":
        tags = ID3(path)
        track, total = str(tags["TRCK"]).split("/")
        return (
            str(tags["TIT2"]),
            (int(track), int(total)),
            str(tags["TALB"]),
            str(tags["TPE1"]),
            len(tags.getall("APIC")),
        )
    tags = OggOpus(path)
    track, total = tags["tracknumber"][0], tags["tracktotal"][0]
    picture = tags["metadata_block_picture"]
    return tags["title"][0], (int(track), int(total)), tags["album"][0], tags["artist"][0], len(picture)
