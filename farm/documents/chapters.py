"""Blocks into chapters: cut where the table of contents points, else at headings, else where the files begin.

The contents are the truth about chapters. One file may hold several, and one chapter may go over several files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from farm.documents.headings import LONGEST_TITLE, headings_among
from farm.documents.html import Placed
from farm.documents.line import CONTROL
from farm.documents.tree import Block, Chapter, Kind, number
from farm.documents.vocabulary import OF_PAGES

_BESIDE = OF_PAGES | {"toc"}  # what may stand before the heading of a chapter


@dataclass(frozen=True, slots=True)
class Entry:
    """Of a table of contents. `target` is the name of a place: "path" or "path#id"."""

    title: str
    depth: int  # 1 is the highest
    target: str


def by_contents(
    placed: Sequence[Placed], entries: Sequence[Entry], places: Mapping[str, int]
) -> tuple[tuple[Chapter, ...], list[str]]:
    """The chapters, and a warning for each entry that points nowhere. `places`: name -> the block that begins there.
    Entries of one place make one chapter, which has the titles of all. What stands before the first is a chapter."""
    at: dict[int, list[Entry]] = {}
    warnings = []
    for entry in entries:
        place = places.get(entry.target)
        if place is None:
            warnings.append(f"the contents point at {entry.target!r} ({entry.title}), which is not in the document")
        else:
            at.setdefault(place, []).append(entry)
    cuts = sorted(at)
    if not cuts:
        return (), warnings
    blocks = [one.block for one in placed]
    rows: list[tuple[str, int, Sequence[Block]]] = []
    if cuts and cuts[0] > 0:
        front = blocks[: cuts[0]]
        rows.append((first_heading(front), 1, front))
    for place, end in zip(cuts, [*cuts[1:], len(blocks)], strict=True):
        titles = list(dict.fromkeys(entry.title for entry in at[place] if entry.title))
        rows.append((cut_title(": ".join(titles)), at[place][-1].depth, blocks[place:end]))
    return number(rows), warnings


def by_headings(blocks: Sequence[Block]) -> tuple[Chapter, ...]:
    """Cut at the headings of the highest level that occurs more than once, and at those above it. A heading without
    text joins the next chapter. Where none is marked as a heading, paragraphs of one line that number chapters are."""
    if not has_headings(blocks):
        blocks = _with_numbered(blocks)
    levels = Counter(block.level for block in blocks if block.kind is Kind.HEADING)
    deepest = min((level for level, count in levels.items() if count > 1), default=min(levels, default=0))
    rows: list[tuple[str, int, Sequence[Block]]] = []
    chapter: list[Block] = []
    for block in blocks:
        begins = block.kind is Kind.HEADING and block.level <= deepest
        if begins and any(map(_is_text, chapter)):
            rows.append(_titled(chapter, deepest))
            chapter = []
        chapter.append(block)
    if chapter:
        rows.append(_titled(chapter, deepest))
    return number(rows)


def _with_numbered(blocks: Sequence[Block]) -> Sequence[Block]:
    """The paragraphs "Chapter 3" as headings: many writers never heard of styles."""
    lines = [block.text if block.kind is Kind.PARAGRAPH and not block.types else "" for block in blocks]
    found = {one.first for one in headings_among(lines) if "\n" not in lines[one.first]}
    return [
        replace(block, kind=Kind.HEADING, level=1) if place in found else block for place, block in enumerate(blocks)
    ]


def _is_text(block: Block) -> bool:
    return block.kind is not Kind.HEADING and _BESIDE.isdisjoint(block.types)


def has_headings(blocks: Iterable[Block]) -> bool:
    return any(block.kind is Kind.HEADING for block in blocks)


def first_heading(blocks: Sequence[Block]) -> str:
    """The title of a chapter that has no other."""
    return next((cut_title(block.text) for block in blocks if block.kind is Kind.HEADING), "")


def cut_title(title: str) -> str:
    return " ".join(title.translate(CONTROL).split())[:LONGEST_TITLE]


def _titled(chapter: Sequence[Block], deepest: int) -> tuple[str, int, Sequence[Block]]:
    leading = []
    for block in chapter:
        if not _BESIDE.isdisjoint(block.types):
            continue
        if block.kind is not Kind.HEADING or block.level > deepest:
            break
        leading.append(block)
    title = ": ".join(block.text for block in leading)
    highest = min((block.level for block in leading), default=1)
    return cut_title(title), highest, chapter
