"""FictionBook 2: one XML file of nested sections, whose titles are the chapters, with notes in a body of their own."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from farm.documents.chapters import cut_title
from farm.documents.cover import cover_of
from farm.documents.line import Line
from farm.documents.metadata import Cover, Metadata
from farm.documents.refusals import refusal
from farm.documents.tree import Block, Document, Kind, Mark, number
from farm.documents.xml import Element, attribute, local, parse_xml

_BREAKS = frozenset({"empty-line"})
_QUOTES = frozenset({"epigraph", "cite", "poem", "annotation"})
_LINES = frozenset({"p", "v", "text-author", "subtitle", "date"})


def read_fb2(data: bytes, name: str) -> Document:
    """Raises BadInput."""
    try:
        root, whole = parse_xml(data, name)
    except ValueError as error:
        raise refusal("unreadable", f"{name} can't be read as XML ({error}); save it anew") from None
    rows: list[tuple[str, int, list[Block]]] = []
    for body in root:
        if local(body) == "body":
            rows += _of_notes(body) if attribute(body, "name") in ("notes", "comments") else _sections(body, 0)
    warnings = [] if whole else [f"{name} is broken XML, and was read as far as it goes"]
    metadata = _metadata(root, warnings)
    return Document(
        "fb2", number((title, max(1, depth), blocks) for title, depth, blocks in rows), metadata, tuple(warnings)
    )


def _sections(section: Element, depth: int) -> Iterator[tuple[str, int, list[Block]]]:
    """The section without the sections in it, then each of those."""
    blocks: list[Block] = []
    title = ""
    for node in section:
        if local(node) == "section":
            continue
        if local(node) == "title":
            title = title or ": ".join(" ".join(_text(line)[0].split()) for line in node if local(line) == "p")
        blocks += _blocks(node, max(1, depth))
    if blocks:
        yield cut_title(title), depth, blocks
    for node in section:
        if local(node) == "section":
            yield from _sections(node, depth + 1)


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
        children = tuple(block for child in node for block in _blocks(child, level))
        if children:
            yield Block(Kind.QUOTE, children=children)
    elif name == "stanza":
        verses = [_text(child)[0] for child in node if local(child) == "v"]
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


def _text(node: Element) -> tuple[str, tuple[Mark, ...]]:
    """Links to notes are marks."""
    line = Line()
    _add(node, line)
    return line.taken()


def _add(node: Element, line: Line) -> None:
    if local(node) == "a" and attribute(node, "type") == "note":
        line.mark("note", attribute(node, "href"))
    elif local(node) == "image":
        line.mark("image", attribute(node, "alt"))
    else:
        line.add(node.text or "")
        for child in node:
            if isinstance(child.tag, str):
                _add(child, line)
            line.add(child.tail or "")


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
