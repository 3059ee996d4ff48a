"""Plain text and Markdown into the tree.

A text keeps its lines: how it is wrapped is for planning to see, which looks at all of its lines (farm/prose). Chapters
begin at lines like "Chapter 3", or at headings in Markdown's way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from farm.documents.chapters import by_headings
from farm.documents.headings import Heading, markdown_headings, numbered_headings
from farm.documents.html import blocks_of
from farm.documents.markdown import front_matter, rendered
from farm.documents.metadata import Metadata
from farm.documents.tree import Block, Document, Kind
from farm.documents.xml import parse_html
from farm.prose.paragraphs import is_scene_break

_CONTROL = {code: None for code in (*range(9), *range(0x0E, 0x20), *range(0x7F, 0xA0)) if code != 0x85}


def read_text(text: str) -> Document:
    lines = lines_of(text.translate(_CONTROL))
    blocks = list(_blocks(lines, markdown_headings(lines) or numbered_headings(lines)))
    return Document("text", by_headings(blocks))


def read_markdown(text: str) -> Document:
    """By way of HTML, so that every kind has one reader for its blocks."""
    lines = lines_of(text.translate(_CONTROL))
    said = front_matter(lines)
    page = rendered(lines)
    placed, _ = blocks_of(parse_html(page, "the Markdown")) if page.strip() else ([], frozenset())
    metadata = Metadata(
        title=said.get("title", ""), author=said.get("author", ""), language=said.get("language", said.get("lang", "")),
        date=said.get("date", ""), description=said.get("description", ""),
    )  # fmt: skip
    return Document("markdown", by_headings([one.block for one in placed]), metadata)


def lines_of(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)


def _blocks(lines: Sequence[str], headings: Sequence[Heading]) -> Iterator[Block]:
    """A heading, or the lines up to the next blank one."""
    first = {heading.first: heading for heading in headings}
    held: list[str] = []
    skipped = -1
    for place, line in enumerate(lines):
        heading = first.get(place)
        if heading is not None or not line.strip():
            yield from _paragraph(held)
            held = []
        if heading is not None:
            yield Block(Kind.HEADING, heading.title, heading.level)
            skipped = heading.last
        elif line.strip() and place > skipped:
            held.append(line.rstrip())
    yield from _paragraph(held)


def _paragraph(lines: Sequence[str]) -> Iterator[Block]:
    text = "\n".join(lines).strip("\n")
    if text:
        is_break = is_scene_break(text.strip(), 0, len(text.strip()))
        yield Block(Kind.BREAK) if is_break else Block(Kind.PARAGRAPH, text)
