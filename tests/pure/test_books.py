"""What audio files say of themselves: chapters, tags and a cover, as players and mutagen read them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from mutagen.flac import Picture
from mutagen.id3 import ID3
from mutagen.mp3 import MP3, BitrateMode
from mutagen.mp4 import MP4, MP4Cover
from mutagen.oggopus import OggOpus

from farm.audio_formats import BOOK_FORMATS, AudioFormat
from farm.documents.metadata import Cover, Metadata
from farm.plan import Chapter, Plan
from farm.segment import Recipe
from farm.sound.flac import from_pcm
from farm.sound.timeline import Span
from farm.spec import Spec
from farm.wire import Output
from tests.pure.studio import BOOK, CLIPS, RATE, bound, heard, made, picture_of, row, stored
from worker.desk.binding import Binder
from worker.desk.book import Book, Placed, read_cover
from worker.desk.id3 import id3_tag
from worker.desk.opus import OpusFile
from worker.desk.stitch import Stitched

BOOKS = sorted(BOOK_FORMATS)


def three_chapters(folder: Path, format: AudioFormat, **output: Any) -> tuple[Path, Stitched]:
    rows = [row(n, chapter, 500) for n, chapter in enumerate((0, 0, 1, 2, 2))]
    wanted, target = Output(format=format, **output), folder / f"a.{format}"
    passages = made(stored(folder / "s", CLIPS), [rows[:2], rows[2:3], rows[3:]], wanted)
    return target, bound(target, passages, wanted)


def times(done: Stitched) -> list[int]:
    """Where chapters begin, and the end, in milliseconds."""
    return [0, *(done.milliseconds(done.spans[number].start) for number in (2, 3)), done.milliseconds(done.frames)]


TITLES = [title for title, _ in BOOK.chapters]


@pytest.mark.parametrize("format", BOOKS)
def test_a_player_finds_each_chapter_at_its_first_clip(format: AudioFormat, tmp_path: Path) -> None:
    target, done = three_chapters(tmp_path, format)
    with av.open(str(target)) as file:  # of an m4b FFmpeg reads the text track
        found = [
            (each["metadata"]["title"], *(round(1000 * each[end] * each["time_base"]) for end in ("start", "end")))  # type: ignore[literal-required]
            for each in file.chapters()
        ]
    places = times(done)
    assert [(title, start) for title, start, _ in found] == list(zip(TITLES, places, strict=False))
    if format != "opus":  # whose comments name beginnings alone
        assert [end for _, _, end in found] == places[1:]
    assert (done.held.chapters, done.held.note) == (3, "")


def test_an_m4b_has_chapters_of_the_other_kind_too_its_brand_and_its_index_in_front(tmp_path: Path) -> None:
    target, done = three_chapters(tmp_path, "m4b")
    nero = MP4(target).chapters
    found = [(chapter.title, round(1000 * chapter.start)) for chapter in nero]
    assert found == list(zip(TITLES, times(done), strict=False))
    with av.open(str(target)) as file:
        assert file.metadata["major_brand"] == "M4B "
    data = target.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_chapters_of_an_mp3_stand_in_its_table_of_contents(tmp_path: Path) -> None:
    target, done = three_chapters(tmp_path, "mp3")
    tag = ID3(target)
    (contents,) = tag.getall("CTOC")
    assert (contents.element_id, contents.flags, contents.child_element_ids) == ("toc", 3, ["ch0", "ch1", "ch2"])
    found = [tag[f"CHAP:{id}"] for id in contents.child_element_ids]
    assert [(each.start_time, each.end_time) for each in found] == list(zip(times(done), times(done)[1:], strict=False))
    assert [each.sub_frames["TIT2"].text for each in found] == [[title] for title in TITLES]
    assert tag.version == (2, 3, 0)


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_an_mp3_has_a_constant_bit_rate_and_says_where_its_sound_ends(sample_rate: int, tmp_path: Path) -> None:
    target, done = three_chapters(tmp_path, "mp3", sample_rate=sample_rate)
    info = MP3(target).info
    assert (info.sample_rate, info.channels, info.bitrate_mode) == (sample_rate, 1, BitrateMode.CBR)
    assert info.bitrate == pytest.approx(64_000 if sample_rate <= 24_000 else 96_000, abs=10)
    assert info.length == pytest.approx(done.frames / sample_rate, abs=1e-3)
    assert len(heard(target, "mp3")) == done.frames


@pytest.mark.parametrize("count", [255, 256, 2_000])
def test_a_tag_lists_any_number_of_chapters(count: int) -> None:
    chapters = [Placed(f"Chapter {number}", 1000 * number, 1000 * number + 1000) for number in range(count)]
    read = ID3(io.BytesIO(id3_tag({}, chapters, None)))
    top = read["CTOC:toc"]
    ids = top.child_element_ids
    if count > 255:
        ids = [id for part in ids for id in read[f"CTOC:{part}"].child_element_ids]
    assert [read[f"CHAP:{id}"].start_time for id in ids] == [chapter.start_ms for chapter in chapters]
    assert top.flags == 3


def test_an_opus_file_names_a_thousand_chapters_and_says_that_there_are_more(tmp_path: Path) -> None:
    book = Book({}, [(f"Chapter {number}", number) for number in range(1_001)])
    with closing(OpusFile(tmp_path / "a.ogg", RATE, book, lambda: None)) as file:
        file.write(from_pcm(CLIPS[0]))
        held = file.finish([Span(number, 1) for number in range(1_001)], len(CLIPS[0]))
    assert (held.chapters, held.note) == (1_000, "an opus file names 1,000 chapters at most")
    with av.open(str(tmp_path / "a.ogg")) as read:
        assert len(read.chapters()) == 1_000


# --- tags -------------------------------------------------------------------------------------------------------------

METADATA = {
    "title": "The Lamp", "author": "N. N.", "narrator": "Nobody äöü", "year": "1908", "series": "Lamps",
    "series-part": "2", "Description": "Of a lamp.", "copyright": "CC0", "comment": "First take.",
}  # fmt: skip
MACHINE = "First take. Spoken by a machine: TTS Farm, model espeak, voice en-gb."
SHOWN: Mapping[str, Mapping[str, Any]] = {
    "m4b": {
        "©nam": ["The Lamp"], "©ART": ["N. N."], "aART": ["N. N."], "©alb": ["The Lamp"], "©wrt": ["Nobody äöü"],
        "©day": ["1908"], "©gen": ["Audiobook"], "desc": ["Of a lamp."], "tvsh": ["Lamps"], "tven": ["2"],
        "cprt": ["CC0"], "©cmt": [MACHINE], "stik": [2],
    },
    "mp3": {
        "TIT2": ["The Lamp"], "TPE1": ["N. N."], "TPE2": ["N. N."], "TALB": ["The Lamp"], "TCOM": ["Nobody äöü"],
        "TDRC": ["1908"], "TCON": ["Audiobook"], "TXXX:description": ["Of a lamp."], "TXXX:show": ["Lamps"],
        "TXXX:episode_id": ["2"], "TCOP": ["CC0"], "COMM::eng": [MACHINE],
    },
    "opus": {
        "title": ["The Lamp"], "artist": ["N. N."], "albumartist": ["N. N."], "album": ["The Lamp"],
        "composer": ["Nobody äöü"], "date": ["1908"], "genre": ["Audiobook"],
        "description": [f"Of a lamp.\n\n{MACHINE}"], "show": ["Lamps"], "episode_id": ["2"], "copyright": ["CC0"],
    },
}  # fmt: skip


def shown_tags(path: Path, format: str) -> dict[str, list[Any]]:
    """As mutagen reads them, without chapters."""
    tags: Any = ({"m4b": MP4, "mp3": MP3, "opus": OggOpus}[format])(path).tags
    names = [name for name in list(tags.keys()) if not name.startswith(("CHAP", "CTOC", "chapter", "encoder", "APIC"))]
    return {name: [str(text) if format == "mp3" else text for text in tags[name]] for name in names}


@pytest.mark.parametrize("format", BOOKS)
def test_a_file_carries_the_tags_by_which_players_know_a_book(format: AudioFormat, tmp_path: Path) -> None:
    job = SimpleNamespace(id="job_a")
    spec = Spec(language="en", voice="en-gb", metadata=METADATA)
    plan = Plan(Recipe("t", "espeak", "1", "en"), RATE, 2, (Chapter("", 0, 1), Chapter("End", 1, 1)), (0,))
    book = Book.of(job, spec, plan, [row(0, 0), row(1, 1)])  # type: ignore[arg-type]
    assert book.chapters == [("Chapter 1", 0), ("End", 1)]
    output, target = Output(format=format), tmp_path / f"a.{format}"
    passages = made(stored(tmp_path / "s", CLIPS), [[row(0, 0)], [row(1, 1)]], output)
    Binder(target, output, RATE).bind(passages, book, lambda: None)
    assert shown_tags(target, format) == SHOWN[format]
    with av.open(str(target)) as file:
        told = {**file.metadata, **file.streams.audio[0].metadata}
    assert {name.lower(): text for name, text in told.items()}["comment"].endswith(MACHINE)


def test_a_day_is_written_as_players_of_mp3_read_it() -> None:
    tag = ID3(io.BytesIO(id3_tag({"date": "1908-03-04T10:00:00Z"}, [], None)))
    assert str(tag["TDRC"]) == "1908-03-04"
    assert ID3(io.BytesIO(id3_tag({"date": "about 1908"}, [], None)))["TXXX:date"].text == ["about 1908"]


# --- the cover --------------------------------------------------------------------------------------------------------


def cover_in(path: Path, format: str) -> list[tuple[bytes, str]]:
    """The pictures in a file, and their kinds."""
    if format == "m4b":
        kinds = {MP4Cover.FORMAT_JPEG: "image/jpeg", MP4Cover.FORMAT_PNG: "image/png"}
        return [(bytes(cover), kinds[cover.imageformat]) for cover in (MP4(path).tags or {}).get("covr", [])]
    if format == "mp3":
        return [(each.data, each.mime) for each in ID3(path).getall("APIC") if each.type == 3]
    blocks = OggOpus(path).get("metadata_block_picture", [])
    pictures = [Picture(base64.b64decode(block)) for block in blocks]
    assert all((each.width, each.height) == (40, 60) for each in pictures)
    return [(each.data, each.mime) for each in pictures if each.type == 3]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("format", BOOKS)
def test_a_file_of_a_document_shows_its_title_its_author_and_its_cover(
    tmp_path: Path, kind: str, format: AudioFormat
) -> None:
    picture = picture_of(kind)
    document = Metadata(title="The Lamp", author="N. N.", series="Lamps", cover=Cover(picture, ""))
    spec = Spec(language="en", voice="en-gb", metadata={"author": "Somebody else"}, custom_id="line 7")
    plan = Plan(Recipe("t", "espeak", "1", "en"), RATE, 1, (Chapter("", 0, 1),), (0,))
    book = Book.of(SimpleNamespace(id="job_a"), spec, plan, [row(0, 0)], document)  # type: ignore[arg-type]
    path, done = of_one_clip(tmp_path, book, format)
    tags, names = shown_tags(path, format), list(SHOWN[format])
    assert [tags[names[place]] for place in (0, 1, 8)] == [["The Lamp"], ["Somebody else"], ["Lamps"]]
    assert cover_in(path, format) == [(picture, f"image/{kind.lower()}")]
    assert done.held.cover
    assert len(heard(path, format)) > RATE / 10


@pytest.mark.parametrize(
    "picture", [b"no picture at all", b"\x89PNG\r\n\x1a\nand no more", picture_of("PNG", 3_001, 2)]
)
@pytest.mark.parametrize("format", BOOKS)
def test_a_cover_that_is_no_picture_or_too_large_is_left_out_with_a_warning(
    tmp_path: Path, picture: bytes, format: AudioFormat, caplog: pytest.LogCaptureFixture
) -> None:
    path, done = of_one_clip(tmp_path, replace(BOOK, chapters=[("One", 0)], picture=read_cover(picture)), format)
    assert len(heard(path, format)) > RATE / 10
    assert cover_in(path, format) == []
    assert (done.held.cover, "the cover is left out" in caplog.text) == (False, True)


def of_one_clip(folder: Path, book: Book, format: AudioFormat) -> tuple[Path, Stitched]:
    output, target = Output(format=format), folder / f"a.{format}"
    passages = made(stored(folder / "s", CLIPS), [[row(0, 0)]], output)
    return target, Binder(target, output, RATE).bind(passages, book, lambda: None)
