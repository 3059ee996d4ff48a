"""PDF with text. A page has lines and no paragraphs, so these are found again by their places.

A new paragraph begins where the distance to the line before is larger, a line is indented, or a short line has ended a
sentence. Larger letters are a heading. What stands at the same end of three pages or more is a running head, and a
number alone there is a page number; rules leave both out. Chapters begin where the outline points.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from ctypes import c_double
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from farm.documents.chapters import Entry, by_contents, by_headings, cut_title
from farm.documents.html import Placed
from farm.documents.line import CONTROL
from farm.documents.metadata import Metadata
from farm.documents.refusals import refusal
from farm.documents.right_to_left import Letter, apart, in_order, is_from_right
from farm.documents.tree import Block, Document, Kind

MAX_PAGES = 10_000
_REPEATED = 3  # pages on which a line at their end is a running head
_ENDS = 2  # lines at either end of a page that may be one
_LARGER = 1.15  # than the letters of the text: a heading
_LONGEST_HEADING = 200  # characters
_GAP = 1.45  # times the usual distance of lines
_COLUMNS = 3.0  # times the height of a line: what is as far apart is none
_NUMBER = re.compile(
    r"[\W_]*(?:(?:page|seite|p\.|s\.)\s*)?(?:\d{1,5}|[ivxlc]{1,8})(?:\s*(?:/|of|von)\s*\d{1,5})?[\W_]*", re.I
)
_HYPHENS = {0xFFFE: "-", 0x02: "-", 0x0D: " ", 0x0A: " "}  # pdfium's own signs for a word that is divided
_STOP = re.compile(r"[.!?:…。！？؟۔]['\"”’»)\]]*$")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class _Line:
    """In points, from the lower left corner of its page."""

    page: int
    text: str
    left: float
    right: float
    bottom: float
    top: float
    size: float  # of its letters
    kind: str = ""  # running-head or page-number


def read_pdf(data: bytes, name: str) -> Document:
    """Raises BadInput."""
    pdf = _opened(data, name)
    try:
        if len(pdf) >= MAX_PAGES:
            raise refusal(
                "too_long", f"{name} has {len(pdf):,} pages; fewer than {MAX_PAGES:,} can be read, so split it"
            )
        pages, warnings = _pages(pdf, name)
        if not any(line.text for page in pages for line in page):
            raise refusal(
                "no_text", f"{name} has {len(pdf):,} pages and no text: they are pictures; run it through OCR first"
            )
        pages = _with_ends(pages)
        placed, firsts = _blocks(pages)
        entries, places = _outline(pdf, placed, firsts)
        chapters, missing = by_contents(placed, entries, places) if entries else ((), [])
        chapters = chapters or by_headings([one.block for one in placed])
        said = {
            key.lower(): " ".join(str(value).translate(CONTROL).split())
            for key, value in pdf.get_metadata_dict().items()
        }
    finally:
        pdf.close()
    metadata = Metadata(title=said.get("title", ""), author=said.get("author", ""), subject=said.get("subject", ""))
    return Document("pdf", chapters, metadata, (*warnings, *missing))


def _opened(data: bytes, name: str) -> pdfium.PdfDocument:
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise refusal("encrypted", f"{name} needs a password; save it without one") from None
        raise refusal("unreadable", f"{name} is broken or cut off: no PDF reader can open it; save it anew") from None


# --- lines ------------------------------------------------------------------------------------------------------------


def _pages(pdf: pdfium.PdfDocument, name: str) -> tuple[list[list[_Line]], list[str]]:
    """The lines of each page, and a warning where pages can't be opened. Raises BadInput where none can."""
    pages: list[list[_Line]] = []
    broken: list[int] = []
    for number in range(len(pdf)):
        try:
            pages.append(_lines(pdf[number], number))
        except pdfium.PdfiumError:
            pages.append([])
            broken.append(number + 1)
    if broken and len(broken) == len(pages):
        raise refusal("unreadable", f"{name} is broken: no page of it can be opened; save it anew")
    if not broken:
        return pages, []
    others = f" and {len(broken) - 1:,} others" if len(broken) > 1 else ""
    return pages, [f"page {broken[0]}{others} of {len(pages):,} can't be opened: the text there is left out"]


def _lines(page: pdfium.PdfPage, number: int) -> list[_Line]:
    """The lines of a page, in the order of its text."""
    found: list[_Line] = []
    text = page.get_textpage()
    try:
        if is_from_right(text.get_text_range(errors="ignore")):
            return _lines_from_right(text, number)
        for index in range(text.count_rects()):
            left, bottom, right, top = text.get_rect(index)
            said = text.get_text_bounded(left, bottom, right, top, errors="ignore")
            said = said.translate(_HYPHENS).translate(CONTROL)
            if said.strip():
                size = _size(text, left, bottom, right, top)
                _join(found, _Line(number, said, left, right, bottom, top, size))
    finally:
        text.close()
        page.close()
    return [replace(line, text=" ".join(line.text.split())) for line in found]


def _lines_from_right(text: pdfium.PdfTextPage, number: int) -> list[_Line]:
    """Of a page in Hebrew or Arabic. Places are counted from the right, so that its lines begin at their left as those
    of other pages do."""
    rows: list[tuple[_Line, list[Letter]]] = []
    x, y = c_double(), c_double()
    for index in range(text.count_chars()):
        character = chr(raw.FPDFText_GetUnicode(text, index)).translate(_HYPHENS).translate(CONTROL)
        left, bottom, right, top = text.get_charbox(index, loose=True)
        if not character or (character.isspace() and right - left < 0.01):  # pdfium's own spaces stand anywhere
            continue
        raw.FPDFText_GetCharOrigin(text, index, x, y)
        base, height = y.value, top - bottom
        if not rows or abs(base - rows[-1][0].bottom) > 0.5 * (rows[-1][0].top - rows[-1][0].bottom):
            size = raw.FPDFText_GetFontSize(text, index)
            rows.append((_Line(number, "", 0, 0, base, base + height, round(size if size > 1 else height, 1)), []))
        row, letters = rows[-1]
        letters.append(Letter(character, x.value, left, right))
        rows[-1] = replace(row, top=max(row.top, row.bottom + height)), letters
    found = []
    for row, letters in rows:
        height = row.top - row.bottom
        for part in reversed(apart(letters, _COLUMNS * height)):
            said = " ".join(in_order(part, height).split())
            if said:
                found.append(replace(row, text=said, left=-part[-1].right, right=-part[0].origin))
    return found


def _size(text: pdfium.PdfTextPage, left: float, bottom: float, right: float, top: float) -> float:
    at = text.get_index(left + 1, (bottom + top) / 2, right - left, top - bottom)
    size = raw.FPDFText_GetFontSize(text, at) if at is not None else 0.0
    return round(size, 1) if size > 1 else round(top - bottom, 1)  # a size of 1 is scaled by the page


def _join(found: list[_Line], line: _Line) -> None:
    """A line of several pieces: of other letters, or with a space between."""
    if found:
        last = found[-1]
        overlap = min(last.top, line.top) - max(last.bottom, line.bottom)
        if overlap > 0.5 * min(last.top - last.bottom, line.top - line.bottom) and line.left >= last.right - line.size:
            space = " " if line.left - last.right > 0.15 * line.size and not last.text.endswith(" ") else ""
            found[-1] = replace(
                last, text=last.text + space + line.text, right=line.right, bottom=min(last.bottom, line.bottom),
                top=max(last.top, line.top), size=max(last.size, line.size),
            )  # fmt: skip
            return
    found.append(line)


def _with_ends(pages: Sequence[Sequence[_Line]]) -> list[list[_Line]]:
    """Marks the running heads and the page numbers."""
    ends = [_ends(page) for page in pages]
    times = Counter(key for page in ends for key in set(page.values()))
    marked = []
    for page, keys in zip(pages, ends, strict=True):
        row = list(page)
        for place, key in keys.items():
            if times[key] >= _REPEATED:
                kind = "page-number" if key[1] == "#" else "running-head"
                row[place] = replace(row[place], kind=kind)
        marked.append(row)
    return marked


def _ends(page: Sequence[_Line]) -> dict[int, tuple[str, str]]:
    """place of a line -> which end of the page, and the line without its numbers. An end is a line or two with more
    space to the text than its lines have between them."""
    by_height = sorted(range(len(page)), key=lambda place: -page[place].bottom)
    pitch = _margins([page[place] for place in by_height]).pitch
    keys = {}
    for end, places in (("head", by_height), ("foot", by_height[::-1])):
        for place in _apart([page[place] for place in places], places, pitch):
            text = page[place].text
            keys[place] = (end, "#" if _NUMBER.fullmatch(text) else _DIGITS.sub("#", text).casefold())
    return keys


def _apart(lines: Sequence[_Line], places: Sequence[int], pitch: float) -> Sequence[int]:
    """The places of the outermost lines, up to the first wide gap."""
    for count in range(1, min(_ENDS + 1, len(lines))):
        if abs(lines[count - 1].bottom - lines[count].bottom) > _GAP * pitch:
            return places[:count]
    return places if len(lines) == 1 else ()


# --- paragraphs -------------------------------------------------------------------------------------------------------


def _blocks(pages: Sequence[Sequence[_Line]]) -> tuple[list[Placed], dict[int, int]]:
    """The blocks, and page -> the first that begins on it."""
    body = [line for page in pages for line in page if not line.kind]
    size = _usual([line.size for line in body for _ in range(len(line.text) // 10 + 1)])
    sizes = sorted({line.size for line in body if line.size > _LARGER * size}, reverse=True)
    placed: list[Placed] = []
    firsts: dict[int, int] = {}
    held: list[_Line] = []

    def flush() -> None:
        if held:
            firsts.setdefault(held[0].page, len(placed))
            placed.append(Placed(_block(held, size, sizes), frozenset()))
            held.clear()

    for page in pages:
        margins = _margins([line for line in page if not line.kind])
        for line in page:
            if line.kind:
                # It stands between the lines of a paragraph that goes on, so it goes before that paragraph.
                placed.append(Placed(Block(Kind.PARAGRAPH, line.text, types=(line.kind,)), frozenset()))
                continue
            if held and _begins(held, line, margins):
                flush()
            held.append(line)
    flush()
    return placed, firsts


@dataclass(frozen=True, slots=True)
class _Margins:
    left: float
    right: float
    pitch: float  # from line to line


def _margins(lines: Sequence[_Line]) -> _Margins:
    if not lines:
        return _Margins(0, 0, 0)
    steps = [a.bottom - b.bottom for a, b in pairwise(lines) if 0 < a.bottom - b.bottom < 5 * a.size]
    return _Margins(
        _usual([round(line.left) for line in lines]), max(line.right for line in lines), median(steps) if steps else 0
    )


def _begins(held: Sequence[_Line], line: _Line, margins: _Margins) -> bool:
    """Whether the line begins a paragraph."""
    last = held[-1]
    if abs(line.size - last.size) > 0.1 * max(line.size, last.size):
        return True
    indented = line.left > margins.left + 0.8 * line.size
    ended = _STOP.search(last.text) is not None
    if line.page != last.page:
        return ended and (indented or not line.text[:1].islower())
    if margins.pitch and last.bottom - line.bottom > _GAP * margins.pitch:
        return True
    if indented and last.left <= margins.left + 0.8 * line.size:
        return True
    return ended and last.right < margins.right - 0.12 * (margins.right - margins.left)


def _block(lines: Sequence[_Line], size: float, sizes: Sequence[float]) -> Block:
    text = "\n".join(line.text for line in lines)
    largest = max(line.size for line in lines)
    if largest > _LARGER * size and len(text) <= _LONGEST_HEADING:
        return Block(Kind.HEADING, text.replace("\n", " "), min(6, 1 + sizes.index(largest)))
    return Block(Kind.PARAGRAPH, text, types=("wrapped",))


def _usual(values: Sequence[float]) -> float:
    return Counter(values).most_common(1)[0][0] if values else 0.0


# --- the outline ------------------------------------------------------------------------------------------------------


def _outline(
    pdf: pdfium.PdfDocument, placed: Sequence[Placed], firsts: dict[int, int]
) -> tuple[list[Entry], dict[str, int]]:
    """Its entries, and where the blocks are that they name."""
    entries: list[Entry] = []
    places: dict[str, int] = {}
    for bookmark in pdf.get_toc():
        destination = bookmark.get_dest()
        page = destination.get_index() if destination is not None else None
        title = cut_title(bookmark.get_title().translate(CONTROL))
        if page is None or not title:
            continue
        name = f"page {page + 1}: {title}"
        place = _place(title, page, placed, firsts)
        if place is not None:
            places[name] = place
        entries.append(Entry(title, bookmark.level + 1, name))
    return entries, places


def _place(title: str, page: int, placed: Sequence[Placed], firsts: dict[int, int]) -> int | None:
    """The block on the page that has the title, else the first of the page or of the next that has one."""
    later = sorted(number for number in firsts if number >= page)
    if not later:
        return None
    first = firsts[later[0]]
    end = firsts[later[1]] if len(later) > 1 else len(placed)
    key = _key(title)
    return next((place for place in range(first, end) if _is_titled(placed[place].block, key)), first)


def _is_titled(block: Block, key: str) -> bool:
    """A heading may have a number that the outline does not."""
    said = _key(block.text)
    return said.startswith(key) or (block.kind is Kind.HEADING and key in said)


def _key(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
