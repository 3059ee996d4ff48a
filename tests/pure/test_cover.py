from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.documents.cover import fault_of
from farm.documents.metadata import Cover
from farm.documents.reader import read_document
from tests.pure.book import PNG, epub, page

SIDES = st.integers(1, 65_535)


def png(width: int, height: int) -> bytes:
    return PNG[:16] + struct.pack(">II", width, height) + PNG[24:]


def jpeg(width: int, height: int, before: bytes = b"", marker: int = 0xC2) -> bytes:
    frame = struct.pack(">BBHBHHB", 0xFF, marker, 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + before + frame + b"\xff\xda"


def fictionbook(cover: bytes) -> bytes:
    return (
        b'<FictionBook xmlns:l="http://www.w3.org/1999/xlink"><description><title-info><coverpage>'
        b'<image l:href="#c.png"/></coverpage></title-info></description><body><section><p>a</p></section></body>'
        b'<binary id="c.png" content-type="image/png">%b</binary></FictionBook>' % cover
    )


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body


@given(SIDES, SIDES)
def test_a_cover_of_at_most_3000_pixels_a_side_fits(width: int, height: int) -> None:
    fits = max(width, height) <= 3000
    for picture in (png(width, height), jpeg(width, height)):
        fault = fault_of(picture)
        assert (fault is None) == fits
        assert fits or f"{width:,} x {height:,} pixels" in str(fault)


@given(st.lists(st.tuples(st.sampled_from([0xC4, 0xDB, 0xE0, 0xE1, 0xFE]), st.binary(max_size=60)), max_size=5))
def test_the_size_of_a_jpeg_is_found_behind_whatever_stands_before_it(segments: list[tuple[int, bytes]]) -> None:
    """A thumbnail in a segment has a size of its own, which is not that of the picture."""
    before = segment(0xE1, jpeg(9, 9)) + b"\xff" + b"".join(segment(*each) for each in segments)
    assert "3,001 x 7" in str(fault_of(jpeg(3001, 7, before)))


@pytest.mark.parametrize(
    "picture",
    [
        *(b"", b"GIF89a", b"\xff\xd8", b"\xff\xd8\xff\xda", b"\xff\xd8\xff\xe0\xff\xff", jpeg(9, 9)[:8], jpeg(0, 9)),
        *(jpeg(9, 9, b"\xff\xd9"), jpeg(9, 9, b"x"), jpeg(9, 9, b"\xff" * 20)[:20]),
        *(PNG[:20], png(0, 5), PNG.replace(b"IHDR", b"IDAT"), b"\x89PNG\r\n\x1a\nand no more"),
    ],
)
def test_what_does_not_say_how_large_it_is_is_no_cover(picture: bytes) -> None:
    assert fault_of(picture) == "it is no JPEG or PNG that says how large it is"


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\x00\x02", PNG[:16]]))
def test_no_bytes_break_the_look_at_a_cover(data: bytes, head: bytes) -> None:
    fault_of(head + data)


def test_a_cover_has_at_most_20_million_bytes() -> None:
    assert fault_of(PNG + bytes(20_000_000 - len(PNG))) is None
    assert fault_of(PNG + bytes(20_000_001 - len(PNG))) == "it has 20,000,001 bytes, and a cover at most 20,000,000"


@pytest.mark.parametrize(
    ("picture", "fault"),
    [
        (png(3001, 20), "it has 3,001 x 20 pixels, and a cover at most 3,000 a side"),
        (b"GIF89a", "it is no JPEG or PNG that says how large it is"),
    ],
)
def test_a_book_whose_cover_does_not_fit_is_read_without_it_and_names_it(picture: bytes, fault: str) -> None:
    for book, name, file in (
        (epub({"a.xhtml": page("<p>a</p>")}, cover=picture), "OEBPS/cover.png", "a.epub"),
        (fictionbook(base64.b64encode(picture)), "c.png", "a.fb2"),
    ):
        document = read_document(book, file)
        assert document.metadata.cover is None
        assert document.warnings == (f"the cover {name} is left out: {fault}",)


def test_a_fictionbook_whose_cover_is_damaged_is_read_without_it() -> None:
    document = read_document(fictionbook(b"iVBOR*"), "a.fb2")
    assert document.metadata.cover is None
    assert document.warnings == ("the cover c.png is left out: it is no base64",)


def test_the_likeliest_picture_that_fits_is_the_cover() -> None:
    """The book declares one, which is too large; the names of others sound like covers."""
    guessed: dict[str, str | bytes] = {"OEBPS/cover-1.png": b"GIF89a", "OEBPS/cover-2.png": PNG}
    names = [name.removeprefix("OEBPS/") for name in guessed]
    book = epub(
        {"a.xhtml": page("<p>a</p>"), **dict.fromkeys(names, "")},
        types=dict.fromkeys(names, "image/png"), spine=["a.xhtml"], cover=png(1, 3001), more=guessed,
    )  # fmt: skip
    document = read_document(book, "a.epub")
    assert document.metadata.cover == Cover(PNG, "image/png")
    (warning,) = document.warnings
    assert warning.startswith("the cover OEBPS/cover.png is left out: it has 1 x 3,001 pixels")
