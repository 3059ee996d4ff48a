"""A document of any kind: what it is shows its content, else its name; then the reader of its kind makes the tree.

What the farm can't read is refused by its name, with the way to a kind that it can.
"""

from __future__ import annotations

import re
from dataclasses import replace

from farm.documents.archive import Archive
from farm.documents.chapters import by_headings
from farm.documents.encodings import declared_in, decode
from farm.documents.epub import is_epub, read_epub
from farm.documents.html import blocks_of
from farm.documents.markdown import is_markdown
from farm.documents.metadata import Metadata
from farm.documents.notes import with_notes
from farm.documents.refusals import refusal
from farm.documents.text import read_markdown, read_text
from farm.documents.tree import Block, Document, Kind
from farm.documents.xml import attribute, local, parse_html
from farm.errors import BadInput, TooLarge
from farm.wire import MAX_DOCUMENT_BYTES

MAX_CHAPTERS = 10_000  # each look at the document shows them all

_CONVERT = "convert it to EPUB or DOCX first, for example with calibre or LibreOffice"
_HTML = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL)
_HTML_NAME = re.compile(r"\.x?html?$", re.IGNORECASE)
_XML_HEAD = re.compile(r"\s*<\?xml[^>]*\?>")
_WORD = re.compile(r"word/document\d*\.xml", re.IGNORECASE)
_HEAD = 4096
_PICTURES = (
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"GIF8",
    b"RIFF",
    b"OggS",
    b"ID3",
    b"fLaC",
    b"\x7fELF",
    b"MZ",
    b"\x1f\x8b",
    b"7z\xbc\xaf",
)


def read_document(data: bytes, filename: str = "", encoding: str | None = None) -> Document:
    """`encoding`: of a kind that has none of its own, in place of what would be found. Raises BadInput by a name."""
    name = filename or "the file"
    if len(data) > MAX_DOCUMENT_BYTES:
        raise TooLarge(f"{name} has more than {MAX_DOCUMENT_BYTES:,} bytes", pointer="/file")
    if not data.strip():
        raise refusal("no_text", f"{name} is empty; there is nothing to speak")
    _refuse_foreign(data, name)
    document = _read(data, filename, name, encoding)
    if not document.chapters:
        raise refusal("no_text", f"there is no text in {name} to speak")
    if len(document.chapters) > MAX_CHAPTERS:
        raise refusal(
            "too_many_chapters",
            f"{name} has {len(document.chapters):,} chapters, more than {MAX_CHAPTERS:,}, which no book has; split it, "
            "or make less of it a heading",
        )
    return replace(document, metadata=document.metadata.shortened())


def _read(data: bytes, filename: str, name: str, encoding: str | None) -> Document:
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")) or filename.lower().endswith((".epub", ".docx", ".zip")):
        return _read_archive(Archive(data), data, name)
    if b"%PDF-" in data[:1024]:
        from farm.documents.pdf import read_pdf  # pdfium is loaded for a PDF alone

        return read_pdf(data, name)
    if _is_fb2(data, filename):
        from farm.documents.fb2 import read_fb2

        return read_fb2(data, name)
    found = decode(data, name, given=encoding, declared=declared_in(data))
    if "\0" in found.text:
        raise refusal("unknown_kind", f"{name} is no text and no document that the farm can read; {_CONVERT}")
    return replace(_of_text(found.text, filename, name), encoding=found.encoding, encoding_from=found.origin)


def _of_text(text: str, filename: str, name: str) -> Document:
    try:
        if _HTML_NAME.search(filename) or _HTML.match(text):
            return read_html(text, name)
        return read_markdown(text) if is_markdown(filename) else read_text(text)
    except ValueError:
        raise refusal("no_text", f"there is no text in {name} to speak") from None


def read_html(text: str, name: str) -> Document:
    """A page, of a book or of the web. Raises BadInput, and ValueError where there is nothing to read."""
    root = parse_html(_XML_HEAD.sub("", text, count=1), name)
    placed, _ = blocks_of(root)
    placed = with_notes(placed, {f"#{name}": place for place, one in enumerate(placed) for name in one.anchors})
    said = {
        attribute(node, "name").lower(): attribute(node, "content") for node in root.iter() if local(node) == "meta"
    }
    title = next((" ".join("".join(node.itertext()).split()) for node in root.iter() if local(node) == "title"), "")
    metadata = Metadata(
        title=title, author=said.get("author", ""), language=attribute(root, "lang"), date=said.get("date", ""),
        description=" ".join(said.get("description", "").split()),
    )  # fmt: skip
    return Document("html", by_headings(_unless_all_code([one.block for one in placed])), metadata)


def _unless_all_code(blocks: list[Block]) -> list[Block]:
    """A page that is one `<pre>`, as browsers save a text, has no other words than those."""
    if any(block.kind not in (Kind.CODE, Kind.BREAK, Kind.IMAGE) for block in blocks):
        return blocks
    texts = (paragraph for block in blocks for paragraph in re.split(r"\n\s*\n", block.text))
    return [Block(Kind.PARAGRAPH, text) for text in texts if text.strip()]


def _read_archive(archive: Archive, data: bytes, name: str) -> Document:
    if any(map(_WORD.fullmatch, archive.names)):
        from farm.documents.docx import read_docx

        return read_docx(archive, data, name)
    if is_epub(archive):
        return read_epub(archive)
    books = [one for one in archive.names if one.lower().endswith(".fb2")]
    if len(books) == 1:
        from farm.documents.fb2 import read_fb2

        return read_fb2(archive.read(books[0]), books[0])
    pictures = sum(one.lower().endswith((".jpg", ".jpeg", ".png", ".webp", ".gif")) for one in archive.names)
    if pictures and pictures * 2 > len(archive.names):
        raise refusal("no_text", f"{name} holds {pictures} pictures and no text: a comic or a scan can't be spoken")
    raise refusal("unknown_kind", f"{name} is an archive, and neither an EPUB, a DOCX nor an FB2; {_CONVERT}")


def _refuse_foreign(data: bytes, name: str) -> None:
    if data[60:68] in (b"BOOKMOBI", b"TEXtREAd"):
        raise refusal("convert_first", f"{name} is a MOBI or AZW3 file, which the farm does not read; {_CONVERT}")
    if data.startswith((b"\xeaDRMION\xee", b"CONT\x02\x00", b"TPZ")):
        raise refusal(
            "convert_first", f"{name} is a Kindle file (KFX or AZW), which the farm does not read; {_CONVERT}"
        )
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise refusal("encrypted", f"{name} needs a password; save it without one")
        raise refusal("convert_first", f"{name} is an old Word file (DOC), which the farm does not read; {_CONVERT}")
    if data.startswith(b"{\\rtf"):
        raise refusal("convert_first", f"{name} is RTF, which the farm does not read; {_CONVERT}")
    if data.startswith(b"Rar!"):
        raise refusal("no_text", f"{name} is a RAR archive, as comics are; it has no text that the farm can read")
    if data.startswith(_PICTURES) and b"\0" in data[:_HEAD]:
        raise refusal("unknown_kind", f"{name} is no document; send EPUB, DOCX, PDF, Markdown, HTML, FB2 or plain text")


def _is_fb2(data: bytes, filename: str) -> bool:
    head = data[:_HEAD].replace(b"\0", b"")
    return b"<FictionBook" in head or (filename.lower().endswith(".fb2") and b"<?xml" in head)


def refuse_unread(why: str) -> BadInput:
    """For a document that its reader did not survive: it took too long, too much memory, or crashed it."""
    return refusal("unreadable", f"the document {why}; save it anew with another program, or split it")
