"""What the farm does not read is refused by its name, with the next step; and attacks end in a refusal as well."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable

import pytest

from farm.documents.archive import MAX_ENTRIES, Archive
from farm.documents.reader import MAX_CHAPTERS, read_document
from farm.errors import BadInput
from tests.pure.book import broken_page, docx, epub, p, page, pdf, zipped

ENCRYPTED = (
    '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><EncryptedData '
    'xmlns="http://www.w3.org/2001/04/xmlenc#"><CipherData><CipherReference URI="OEBPS/a.xhtml"/></CipherData>'
    "</EncryptedData></encryption>"
)
ONE = {"a.xhtml": page("<p>a</p>")}
DTD = (
    '<?xml version="1.0"?><!DOCTYPE html [{}]><html xmlns="http://www.w3.org/1999/xhtml"><body><p>&x;</p></body></html>'
)
LAUGHS = '<!ENTITY a "ha">' + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))


def encrypted_entry() -> bytes:
    """The flag of a password at the page, in its header and in the directory."""
    data = bytearray(epub(ONE))
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(magic)
        while place >= 0:
            name = data.find(b"OEBPS/a.xhtml", place, place + 80)
            if name >= 0:
                data[place + at] |= 1
            place = data.find(magic, place + 4)
    return bytes(data)


def lying_directory() -> bytes:
    """The directory says that the page has one byte."""
    data = bytearray(epub({"a.xhtml": page("<p>" + "a" * 5000 + "</p>")}))
    place = data.rfind(b"OEBPS/a.xhtml") - 46
    assert data[place : place + 4] == b"PK\x01\x02"
    data[place + 24 : place + 28] = struct.pack("<I", 1)
    return bytes(data)


def encrypted_pdf() -> bytes:
    data = pdf([[(72, 700, 11, "secret")]])
    lock = (
        b"/Encrypt << /Filter /Standard /V 1 /R 2 /O ("
        + b"o" * 32
        + b") /U ("
        + b"u" * 32
        + b") /P -4 >> /ID [(a) (a)] "
    )
    return data.replace(b"trailer << ", b"trailer << " + lock)


def many_pages() -> bytes:
    """Of one page, ten thousand times."""
    data = pdf([[(72, 700, 11, "a")]])
    return data.replace(b"/Kids [4 0 R] /Count 1", b"/Kids [" + b"4 0 R " * 10_000 + b"] /Count 10000")


REFUSALS: dict[str, tuple[Callable[[], bytes], str, str, str]] = {
    "an archive that is cut off": (lambda: epub(ONE)[:-40], "a.epub", "broken_archive", "cut off"),
    "a page that unpacks to far more than text does": (
        lambda: epub({"a.xhtml": page("<p>" + "a" * 12_000_000 + "</p>")}), "a.epub", "zip_bomb", "OEBPS/a.xhtml",
    ),
    "an encrypted page": (encrypted_entry, "a.epub", "encrypted", "OEBPS/a.xhtml"),
    "a directory that lies": (lying_directory, "a.epub", "broken_archive", "directory"),
    "DRM over the text": (
        lambda: epub(ONE, more={"META-INF/encryption.xml": ENCRYPTED}), "a.epub", "drm", "OEBPS/a.xhtml",
    ),
    "Adobe's DRM": (lambda: epub(ONE, more={"META-INF/rights.xml": "<r/>"}), "a.epub", "drm", "rights.xml"),
    "Readium's DRM": (lambda: epub(ONE, more={"META-INF/license.lcpl": "{}"}), "a.epub", "drm", "license.lcpl"),
    "Apple's DRM": (lambda: epub(ONE, more={"META-INF/sinf.xml": "<s/>"}), "a.epub", "drm", "sinf.xml"),
    "an entity that reads a file": (
        lambda: epub({"a.xhtml": DTD.format('<!ENTITY x SYSTEM "file:///etc/passwd">')}),
        "a.epub", "entities", "a.xhtml",
    ),
    "entities that grow": (
        lambda: epub({"a.xhtml": DTD.format(LAUGHS + '<!ENTITY x "&j;&j;">')}), "a.epub", "entities", "a.xhtml",
    ),
    "elements too deep": (
        lambda: epub({"a.xhtml": page("<div>" * 300 + "a" + "</div>" * 300)}), "a.epub", "too_deep", "256",
    ),
    "a web page too deep": (lambda: b"<html>" + b"<div>" * 400 + b"a", "a.html", "too_deep", "256"),
    "a book of pictures": (
        lambda: epub({"a.xhtml": page('<img src="1.png"/>')}, more={"OEBPS/1.png": b"x"}), "a.epub", "no_text", "empty",
    ),
    "a comic": (lambda: zipped({f"{n}.jpg": b"x" for n in range(9)}), "a.cbz", "no_text", "comic"),
    "a book without a package": (
        lambda: zipped({"META-INF/container.xml": "<container/>"}), "a.epub", "no_package", "package",
    ),
    "a PDF without text": (lambda: pdf([[], []]), "a.pdf", "no_text", "OCR"),
    "a PDF with a password": (encrypted_pdf, "a.pdf", "encrypted", "password"),
    "a PDF that is cut off": (lambda: b"%PDF-1.7\n" + b"x" * 99, "a.pdf", "unreadable", "broken or cut off"),
    "a PDF whose pages are broken": (
        lambda: broken_page(pdf([[(72, 700, 11, "a")]]), 0), "a.pdf", "unreadable", "no page of it can be opened",
    ),
    "a PDF of too many pages": (many_pages, "a.pdf", "too_long", "10,000 pages"),
    "a Kindle file": (lambda: b"x" * 60 + b"BOOKMOBI" + b"x" * 99, "a.azw3", "convert_first", "MOBI or AZW3"),
    "an old Word file": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 99, "a.doc", "convert_first", "DOC"),
    "a Word file with a password": (
        lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
        "a.docx", "encrypted", "password",
    ),
    "RTF": (lambda: rb"{\rtf1 hello}", "a.rtf", "convert_first", "RTF"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n\x00\x00", "a.png", "unknown_kind", "EPUB, DOCX, PDF"),
    "an archive of something else": (lambda: zipped({"a.bin": b"x"}), "a.zip", "unknown_kind", "convert"),
    "an empty file": (lambda: b" \n ", "a.txt", "no_text", "empty"),
    "an empty Word document": (lambda: docx(p("")), "a.docx", "no_text", "no text"),
    "a Word document with entities": (
        lambda: zipped({"word/document.xml": DTD.format(LAUGHS + '<!ENTITY x "&j;">')}),
        "a.docx", "entities", "word/document.xml",
    ),
    "a Word document that Word has not written": (
        lambda: zipped({"word/document.xml": "<a/>"}), "a.docx", "unreadable", "save it anew",
    ),
    "a text of too many chapters": (
        lambda: b"# Night\n\nIt is dark.\n\n" * (MAX_CHAPTERS + 1), "a.md", "too_many_chapters", "10,001 chapters",
    ),
    "an FB2 without text": (lambda: b"<FictionBook", "a.fb2", "no_text", "no text"),
    "bytes that are no text": (lambda: "a\0b".encode("utf-16-le") * 9, "a.txt", "unknown_kind", "convert"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSALS)
def test_refused_by_name_is(what: str) -> None:
    make, filename, code, said = REFUSALS[what]
    with pytest.raises(BadInput) as refused:
        read_document(make(), filename)
    assert (refused.value.code, said in refused.value.message) == (code, True), refused.value.message
    assert refused.value.fields[0].pointer == "/file"


def test_an_archive_of_too_many_entries_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(MAX_ENTRIES + 1):
            archive.writestr(f"{number}", b"")
    with pytest.raises(BadInput, match="10,001 entries") as refused:
        Archive(out.getvalue())
    assert refused.value.code == "too_many_entries"


def test_a_text_is_not_in_the_encoding_that_its_uploader_names() -> None:
    with pytest.raises(BadInput, match="is not ascii") as refused:
        read_document("é".encode(), "a.txt", encoding="ascii")
    assert refused.value.code == "wrong_encoding"
