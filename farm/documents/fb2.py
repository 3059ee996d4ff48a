"""FictionBook 2: one XML file of nested sections, whose titles are the chapters, with notes in a body of their own."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from farm.documents.chapters import cut_title
from farm.documents.cover import cover_of
from farm.documents.encodings import declared_rightly
from farm.documents.html import shown
from farm.documents.line import Line
from farm.documents.metadata import Cover, Metadata
from farm.documents.refusals import refusal
from farm.documents.tree import Block, Document, Kind, Mark, number
from farm.documents.xml import Element, attribute, local, parse_xml

_BREAKS = frozenset({"empty-line"})
_REFERENCE = re.compile(r"[\[({]\s*(?:\d{1,4}|\*{1,3})\s*[\])}]|\*{1,3}")
_QUOTES = frozenset({"epigraph", "cite", "poem", "annotation"})
_NOTES = frozenset({"notes", "footnotes", "comments", "endnotes", "примечания", "сноски"})  # names of bodies
_LINES = frozenset({"p", "v", "text-author", "subtitle", "date"})
_APART = frozenset({"section", "title", "stanza", "table", "image", "li", *_BREAKS, *_QUOTES, *_LINES})


def read_fb2(data: bytes, name: str) -> Document:
    """Raises BadInput."""
    try:
        root, whole = parse_xml(declared_rightly(data.lstrip(b"\xef\xbb\xbf \t\r\n")), name)
    except ValueError as error:
        raise refusal("unreadable", f"{name} can't be read as XML ({error}); save it anew") from None
    rows: list[tuple[str, int, list[Block]]] = []
    for body in root:
        if local(body) == "body":
            rows += _of_notes(body) if attribute(body, "name").lower() in _NOTES else _sections(body, 0)
    warnings = [] if whole else [f"{name} is broken XML, and was read as far as it goes"]
    metadata = _metadata(root, warnings)
    return Document(
        "fb2", number((title, max(1, depth), blocks) for title, depth, blocks in rows), metadata, tuple(warnings)
    )


def _sections(section: Element, depth: int) -> Iterator[tuple[str, int, list[Block]]]:
    """The section without the sections in it, then each of those."""
    blocks = list(_held(section, max(1, depth)))
    titles = (node for node in section if local(node) == "title")
    title = next(filter(None, (": ".join(_lines_of(node)) for node in titles)), "")
    if blocks:
        yield cut_title(title), depth, blocks
    for node in section:
        if local(node) == "section":
            yield from _sections(node, depth + 1)


def _held(node: Element, level: int) -> Iterator[Block]:
    """The blocks that an element holds; of a section, without the sections in it. Words right within it, which no
    FictionBook should have, are a paragraph."""
    loose = Line()
    loose.add(node.text or "")
    for child in node:
        name = local(child)
        is_apart = name in _APART or any(local(one) in _APART for one in child.iter() if one is not child)
        if name and not is_apart:
            _add(child, loose)
        elif name:
            yield from _loose(loose)
            if not (name == "section" and local(node) in ("section", "body")):
                yield from _blocks(child, level)
        loose.add(child.tail or "")
    yield from _loose(loose)


def _loose(line: Line) -> Iterator[Block]:
    text, marks = line.taken()
    if text:
        yield Block(Kind.PARAGRAPH, text, marks=marks)


def _lines_of(title: Element) -> list[str]:
    lines = [line for line in title if local(line) == "p"] or [title]
    return [text for line in lines if (text := " ".join(_text(line)[0].split()))]


def _of_notes(body: Element) -> Iterator[tuple[str, int, list[Block]]]:
    title = ""
    blocks: list[Block] = []
    for node in body:
        if local(node) == "title":
            title = cut_title(" ".join(_text(node)[0].split()))
            blocks += _blocks(node, 1)
        elif local(node) == "section":
            said = [block for child in node if local(child) != "title" for block in _blocks(child, 1)]
            if said:
                blocks.append(Block(Kind.NOTE, name=f"#{attribute(node, 'id')}", children=tuple(said)))
    if blocks:
        yield title, 1, blocks


def _blocks(node: Element, level: int) -> Iterator[Block]:
    name = local(node)
    if name == "title" or name == "subtitle":
        lines = [_text(line) for line in node if local(line) == "p"] or [_text(node)]
        text = "\n".join(filter(None, (said for said, _ in lines)))
        if text:
            yield Block(Kind.HEADING, text, min(6, level + (name == "subtitle")))
    elif name in _BREAKS:
        yield Block(Kind.BREAK)
    elif name in _QUOTES:
        if children := tuple(_held(node, level)):
            yield Block(Kind.QUOTE, children=children)
    elif name == "stanza":
        verses = [_text(child)[0] for child in node if local(child) == "v"]
        yield from (block for child in node if local(child) != "v" for block in _blocks(child, level))
        if any(verses):
            yield Block(Kind.PARAGRAPH, "\n".join(verses))
    elif name == "table":
        cells = [tuple(_text(cell)[0] for cell in row if local(cell) in ("td", "th")) for row in node]
        rows = tuple(row for row in cells if any(row))
        if rows:
            yield Block(Kind.TABLE, rows=rows)
    elif name == "image":
        yield Block(Kind.IMAGE, attribute(node, "alt"))
    elif name in _LINES:
        text, marks = _text(node)
        if text or marks:
            yield Block(Kind.PARAGRAPH, text, marks=marks)
    else:  # of HTML, mostly: a list, a div
        yield from _held(node, level)


def _text(node: Element) -> tuple[str, tuple[Mark, ...]]:
    """Links to notes are marks."""
    line = Line()
    _add(node, line)
    return line.taken()


def _add(node: Element, line: Line) -> None:
    if local(node) == "a" and _is_reference(node):
        line.mark("note", attribute(node, "href"))
    elif local(node) == "image":
        line.mark("image", attribute(node, "alt"))
    elif local(node) == "br":
        line.end()
    else:
        line.add(shown(node, node.text or ""))
        for child in node:
            if isinstance(child.tag, str):
                _add(child, line)
            line.add(child.tail or "")


def _is_reference(link: Element) -> bool:
    """To a note. Many books leave the type out."""
    said = "".join(link.itertext()).strip()
    is_raised = attribute(link, "href").startswith("#") and _REFERENCE.fullmatch(said) is not None
    return attribute(link, "type") == "note" or is_raised


def _metadata(root: Element, warnings: list[str]) -> Metadata:
    info = next((node for node in root.iter() if local(node) == "title-info"), None)
    if info is None:
        return Metadata()
    said = {local(node): " ".join("".join(node.itertext()).split()) for node in info}
    authors = [
        " ".join(filter(None, (_part(node, name) for name in ("first-name", "middle-name", "last-name", "nickname"))))
        for node in info
        if local(node) == "author"
    ]
    sequence = next((node for node in info if local(node) == "sequence"), None)
    return Metadata(
        title=said.get("book-title", ""), author=", ".join(filter(None, authors)), language=said.get("lang", ""),
        date=said.get("date", ""), description=said.get("annotation", ""), subject=said.get("genre", ""),
        series=attribute(sequence, "name") if sequence is not None else "",
        series_index=attribute(sequence, "number") if sequence is not None else "",
        cover=_cover(root, info, warnings),
    )  # fmt: skip


def _part(node: Element, name: str) -> str:
    return next((" ".join((one.text or "").split()) for one in node if local(one) == name), "")


def _cover(root: Element, info: Element, warnings: list[str]) -> Cover | None:
    page = next((node for node in info if local(node) == "coverpage"), None)
    image = next((node for node in page.iter() if local(node) == "image"), None) if page is not None else None
    wanted = attribute(image, "href").removeprefix("#") if image is not None else ""
    for node in root:
        if wanted and local(node) == "binary" and node.get("id") == wanted:
            try:
                data = base64.b64decode("".join((node.text or "").split()), validate=True)
            except (binascii.Error, ValueError):
                warnings.append(f"the cover {wanted} is left out: it is no base64")
                return None
            return cover_of(wanted, data, warnings)
    return None
