"""DOCX by way of HTML, which mammoth makes of it: headings by their styles, notes as a list at the end.

Where Word is to put in another document (`altChunk`, as programs join files), that one is read in its place.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import mammoth
from lxml import etree

from farm.documents.archive import Archive, resolve
from farm.documents.chapters import by_headings
from farm.documents.html import blocks_of
from farm.documents.inserted import html_of
from farm.documents.metadata import Metadata
from farm.documents.refusals import refusal
from farm.documents.tree import Document
from farm.documents.word import HEADING, readable
from farm.documents.xml import Element, attribute, local, parse_html, parse_xml

_STYLES = """
    p[style-name='Title'] => h1:fresh
    p[style-name='Subtitle'] => p:fresh
    p[style-name^='toc'] => nav > p:fresh
    p[style-name='table of figures'] => nav > p:fresh
"""
_OUTLINED = "\n".join(f"p.{HEADING}{level} => h{level}:fresh" for level in range(1, 7))
_HEADING_NAME = re.compile(r"heading ([1-6])", re.IGNORECASE)
_MOST_BASES = 12  # styles that are each based on the next
_NOTE = re.compile(r"(?:footnote|endnote)-\d+")
_WITH_TEXT = re.compile(r"word/(?:document\d*|footnotes\d*|endnotes\d*)\.xml", re.IGNORECASE)
_MOST_MESSAGES = 20
_MOST_WITHIN = 3  # documents in each other
_PLACE = re.compile("\ue000([^\ue000\ue001]*)\ue001")  # of an inserted document, until mammoth is done


def read_docx(archive: Archive, data: bytes, name: str) -> Document:
    """Raises BadInput."""
    root, warnings = _page(archive, data, name, 1)
    if not "".join(root.itertext()).strip():
        raise refusal("no_text", f"there is no text in {name} to speak")
    placed, _ = blocks_of(root)
    warnings = list(dict.fromkeys(warnings))[:_MOST_MESSAGES]
    return Document("docx", by_headings([one.block for one in placed]), _metadata(archive), tuple(warnings))


def _page(archive: Archive, data: bytes, name: str, depth: int) -> tuple[Element, list[str]]:
    """The document as HTML, and warnings. Raises BadInput."""
    try:
        made = mammoth.convert_to_html(
            io.BytesIO(_readable(archive, data, name)),
            style_map="\n".join((_STYLES, _OUTLINED, *_headings(archive))),
            convert_image=mammoth.images.img_element(_no_picture),
            id_prefix="" if depth == 1 else f"{name}-",
        )
    except (KeyError, ValueError, AttributeError, IndexError, TypeError, OSError) as error:
        raise refusal("unreadable", f"{name} is not as Word writes it ({error}); save it anew") from None
    root = parse_html(f"<body>{made.value}</body>", name)
    for node in root.iter():
        if local(node) == "li" and _NOTE.search(node.get("id") or ""):
            node.set("role", "doc-footnote")
    said = [message.message for message in made.messages if HEADING not in message.message]
    return root, [*said, *_insert(root, archive, depth)]


def _headings(archive: Archive) -> Iterator[str]:
    """What mammoth is to know of a writer's own styles: those that are based on a heading, or have its level."""
    entry = archive.find("word/styles.xml")
    styles = {}
    for node in parse_xml(archive.read(entry), entry)[0] if entry else ():
        if local(node) == "style" and attribute(node, "type") == "paragraph":
            styles[attribute(node, "styleId")] = {local(one): attribute(one, "val") for one in node.iter()}
    for identity in styles:
        level = _level(identity, styles)
        if level and re.fullmatch(r"[A-Za-z0-9_-]+", identity):
            yield f"p.{identity} => h{level}:fresh"


def _level(identity: str, styles: Mapping[str, Mapping[str, str]]) -> int:
    """Of the headings of a style; 0 of any other."""
    for _ in range(_MOST_BASES):
        about = styles.get(identity, {})
        if named := _HEADING_NAME.fullmatch(about.get("name", "")):
            return int(named[1])
        if (outline := about.get("outlinelvl", "")) in ("0", "1", "2", "3", "4", "5"):
            return int(outline) + 1
        if outline or not (identity := about.get("basedon", "")):
            break
    return 0


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
        if _WITH_TEXT.fullmatch(entry) and (_mark_places(root, archive, entry) | readable(root)):
            parts[entry] = etree.tostring(root, encoding="utf-8", xml_declaration=True)
            is_changed = True
    if not is_changed:
        return data
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:  # without pictures, which nobody hears
        for entry, content in parts.items():
            file.writestr(entry, content)
    return made.getvalue()


# --- documents that are put in ----------------------------------------------------------------------------------------


def _mark_places(root: Element, archive: Archive, entry: str) -> bool:
    """A paragraph for each of them, which names its entry. Says whether there are any."""
    found = [node for node in root.iter() if local(node) == "altchunk" and node.getparent() is not None]
    folder, _, file = entry.rpartition("/")
    relations = archive.find(f"{folder}/_rels/{file}.rels") if found else None
    targets = {
        attribute(one, "Id"): resolve(entry, attribute(one, "Target"))[0]
        for one in (parse_xml(archive.read(relations), relations)[0].iter() if relations else ())
        if attribute(one, "TargetMode").lower() != "external"
    }
    for node in found:
        space = str(node.tag).rpartition("}")[0] + "}"
        paragraph = node.makeelement(f"{space}p")
        text = etree.SubElement(etree.SubElement(paragraph, f"{space}r"), f"{space}t")
        text.text = f"\ue000{targets.get(attribute(node, 'id'), '')}\ue001"
        node.getparent().replace(node, paragraph)
    return bool(found)


def _insert(root: Element, archive: Archive, depth: int) -> list[str]:
    """Puts each of them into its place. Returns a warning for each that can't be read."""
    warnings = []
    for node in [one for one in root.iter() if local(one) == "p" and _PLACE.fullmatch("".join(one.itertext()))]:
        entry = archive.find(_PLACE.sub(r"\1", "".join(node.itertext())))
        page = None
        if entry is not None and depth < _MOST_WITHIN:
            data = archive.read(entry)
            if data.startswith(b"PK\x03\x04"):
                page, more = _page(Archive(data), data, entry, depth + 1)
                warnings += more
            else:
                page = html_of(data, entry)
        if page is None:
            warnings.append(
                f"a document inside of it ({entry or 'which is missing'}) can't be read; save it anew in Word"
            )
        node.clear(keep_tail=True)
        node.tag = "div"
        node.extend(page if page is not None else ())
    return warnings


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
