"""DOCX by way of HTML, which mammoth makes of it: headings by their styles, notes as a list at the end."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import mammoth
from lxml import etree

from farm.documents.archive import Archive
from farm.documents.chapters import by_headings
from farm.documents.html import blocks_of
from farm.documents.metadata import Metadata
from farm.documents.refusals import refusal
from farm.documents.tree import Document
from farm.documents.word import readable
from farm.documents.xml import local, parse_html, parse_xml

_STYLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => p:fresh"
_NOTE = re.compile(r"(?:footnote|endnote)-\d+")
_WITH_TEXT = re.compile(r"word/(?:document\d*|footnotes\d*|endnotes\d*)\.xml", re.IGNORECASE)
_MOST_MESSAGES = 20


def read_docx(archive: Archive, data: bytes, name: str) -> Document:
    """Raises BadInput."""
    try:
        file = io.BytesIO(_readable(archive, data, name))
        made = mammoth.convert_to_html(file, style_map=_STYLES, convert_image=mammoth.images.img_element(_no_picture))
    except (KeyError, ValueError, AttributeError, IndexError, TypeError, OSError) as error:
        raise refusal("unreadable", f"{name} is not as Word writes it ({error}); save it anew") from None
    if not made.value.strip():
        raise refusal("no_text", f"there is no text in {name} to speak")
    root = parse_html(made.value, name)
    for node in root.iter():
        if local(node) == "li" and _NOTE.search(node.get("id") or ""):
            node.set("role", "doc-footnote")
    placed, _ = blocks_of(root)
    warnings = list(dict.fromkeys(message.message for message in made.messages))[:_MOST_MESSAGES]
    return Document("docx", by_headings([one.block for one in placed]), _metadata(archive), tuple(warnings))


def _readable(archive: Archive, data: bytes, name: str) -> bytes:
    """The document as mammoth reads all of its text. Each part is parsed before: mammoth has no limits of its own."""
    parts: dict[str, bytes] = {}
    is_changed = False
    for entry in archive.names:
        if not entry.lower().endswith((".xml", ".rels")):
            continue
        parts[entry] = archive.read(entry)
        try:
            root, _ = parse_xml(parts[entry], entry)
        except ValueError:
            raise refusal("broken_archive", f"{entry} in {name} can't be read; save the document anew") from None
        if _WITH_TEXT.fullmatch(entry) and readable(root):
            parts[entry] = etree.tostring(root, encoding="utf-8", xml_declaration=True)
            is_changed = True
    if not is_changed:
        return data
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:  # without pictures, which nobody hears
        for entry, content in parts.items():
            file.writestr(entry, content)
    return made.getvalue()


def _no_picture(image: Any) -> dict[str, str]:
    """The bytes of pictures would be most of the HTML, and nobody hears them. mammoth adds their descriptions."""
    return {"src": ""}


def _metadata(archive: Archive) -> Metadata:
    entry = archive.find("docProps/core.xml")
    said: dict[str, str] = {}
    for node in parse_xml(archive.read(entry), entry)[0].iter() if entry else ():
        said[local(node)] = " ".join((node.text or "").split())
    return Metadata(
        title=said.get("title", ""), author=said.get("creator", ""), language=said.get("language", ""),
        date=said.get("created", ""), description=said.get("description", ""), subject=said.get("subject", ""),
    )  # fmt: skip
