"""A plain EPUB of a job's text, with its read-along: a page, a SMIL file and an audio file for each chapter.

    page        the chapter as it was written: headings, paragraphs, scene breaks; each sentence that is heard is a span
    between     what stands between segments is shown unmarked, unless the text has markup

Text of strangers goes through `_xml` and into nothing else.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from farm.documents.metadata import Cover
from farm.prose.paragraphs import paragraphs
from farm.wire import Chapter
from worker.readalong.epub_file import EpubFile
from worker.readalong.overlay import ACTIVE_CLASS, SMIL, STYLE, Heard, Par, clock, lasting_ms, smil, xml_text

_SSML_PARAGRAPH = re.compile(r"</?p\b")


@dataclass(frozen=True, slots=True)
class Shown:
    """A segment as the page shows it: `start` and `end` are its places in the input of its chapter. Its sentences, with
    their leads, are its text."""

    start: int
    end: int
    text: str
    heard: Sequence[Heard] = ()  # none where it failed


@dataclass(frozen=True, slots=True)
class Page:
    """A chapter. `audio` is the file in which its segments are heard; None where none is."""

    chapter: Chapter
    segments: Sequence[Shown]
    audio: Path | None


@dataclass(frozen=True, slots=True)
class About:
    """What a book says of itself. `modified` is ISO 8601 in UTC, to the second."""

    identifier: str
    language: str
    narrator: str
    modified: str
    tags: Mapping[str, str]  # title, artist, date, description, copyright
    cover: Cover | None = None


def write_plain_book(
    target: Path, about: About, pages: Sequence[Page], audio: tuple[str, str], check: Callable[[], None], *,
    markup: bool,
) -> int:  # fmt: skip
    """`audio`: suffix and media type of the files. `check` is called after each page; an exception from it ends the
    work. `markup`: the text of the chapters has some. Returns how many sentences are marked."""
    contents = _Contents(about, audio[1])
    with EpubFile(target) as file:
        file.put("META-INF/container.xml", _CONTAINER)
        file.put("EPUB/style.css", (_LOOK + STYLE).encode())
        if about.cover is not None:
            file.put(f"EPUB/{_cover_name(about.cover)}", about.cover.data)
        for number, page in enumerate(pages):
            name = f"chapter-{number + 1:04}"
            title = page.chapter.title or f"Chapter {number + 1}"
            file.put(f"EPUB/{name}.xhtml", _page(page, title, about.language, markup=markup))
            pars = [
                Par(each.id, f"{name}{audio[0]}", each.begin_ms, each.end_ms)
                for shown in page.segments
                for each in shown.heard
            ]
            if page.audio is not None:
                file.put_file(f"EPUB/{name}{audio[0]}", page.audio)
                file.put(f"EPUB/{name}.smil", smil(f"{name}.xhtml", pars))
            contents.add(name, title, pars, audio[0])
            check()
        file.put("EPUB/nav.xhtml", contents.nav())
        file.put("EPUB/package.opf", contents.package())
    return contents.marked


# --- a page -----------------------------------------------------------------------------------------------------------


def _page(page: Page, title: str, language: str, *, markup: bool) -> bytes:
    blocks = list(_marked_up(page) if markup else _plain(page))
    headings = set(page.chapter.headings)
    lines = []
    first = blocks[0] if blocks else None
    begins_titled = first is not None and (first.start in headings or _text(first) == page.chapter.title.split())
    if page.chapter.title and not begins_titled:
        lines.append(f"<h1>{_xml(title)}</h1>")
    for block in blocks:
        said = "".join(block.pieces)
        if block.is_break:
            lines.append(f'<p class="break">{said}</p>')
        elif block is first and begins_titled:
            lines.append(f"<h1>{said}</h1>")
        else:
            name = "h2" if block.start in headings else "p"
            lines.append(f"<{name}>{said}</{name}>")
    body = "\n".join(lines)
    return _xhtml(title, language, f'<section epub:type="chapter">\n{body}\n</section>')


@dataclass(frozen=True, slots=True)
class _Block:
    start: int  # in the input
    words: str
    pieces: Sequence[str]  # XHTML
    is_break: bool = False


def _text(block: _Block) -> list[str]:
    return block.words.split()


def _plain(page: Page) -> Iterator[_Block]:
    """The whole of the input, by its paragraphs."""
    text, left = page.chapter.input, deque(page.segments)
    for paragraph in paragraphs(text):
        at, words, pieces = paragraph.start, list[str](), list[str]()
        while left and left[0].start < paragraph.end:
            each = left.popleft()
            words += [text[at : each.start], each.text]
            pieces += [_xml(text[at : each.start]), _span(each)]
            at = max(at, each.end)
        words.append(text[at : paragraph.end])
        pieces.append(_xml(text[at : paragraph.end]))
        yield _Block(paragraph.start, "".join(words), pieces, paragraph.is_scene_break)


def _marked_up(page: Page) -> Iterator[_Block]:
    """The segments alone, because what stands between them may be markup."""
    text = page.chapter.input
    starts = [paragraph.start for paragraph in paragraphs(text)]
    held: list[Shown] = []
    for each in page.segments:
        if held and _begins_paragraph(text, starts, held[-1].end, each.start):
            yield _of_segments(held)
            held = []
        held.append(each)
    if held:
        yield _of_segments(held)


def _begins_paragraph(text: str, starts: Sequence[int], end: int, start: int) -> bool:
    place = bisect_left(starts, end)
    return (place < len(starts) and starts[place] <= start) or bool(_SSML_PARAGRAPH.search(text, end, max(end, start)))


def _of_segments(held: Sequence[Shown]) -> _Block:
    return _Block(held[0].start, " ".join(each.text for each in held), [" ".join(map(_span, held))])


def _span(each: Shown) -> str:
    marked = "".join(f'{_xml(one.lead)}<span id="{one.id}">{_xml(one.text)}</span>' for one in each.heard)
    return marked or _xml(each.text)


# --- the package ------------------------------------------------------------------------------------------------------


class _Contents:
    def __init__(self, about: About, audio_type: str) -> None:
        self._about, self._audio_type = about, audio_type
        self._entries: list[str] = []
        self._items: list[str] = []
        self._spine: list[str] = []
        self._durations: list[str] = []
        self._total_ms = 0
        self.marked = 0

    def add(self, name: str, title: str, pars: Sequence[Par], suffix: str) -> None:
        overlay = f' media-overlay="{name}-smil"' if pars else ""
        self._items.append(f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"{overlay}/>')
        self._spine.append(f'<itemref idref="{name}"/>')
        self._entries.append(f'<li><a href="{name}.xhtml">{_xml(title)}</a></li>')
        if pars:
            self._items.append(f'<item id="{name}-smil" href="{name}.smil" media-type="{SMIL}"/>')
            self._items.append(f'<item id="{name}-audio" href="{name}{suffix}" media-type="{self._audio_type}"/>')
            lasts_ms = lasting_ms(pars)
            self._durations.append(_meta("media:duration", clock(lasts_ms), f"{name}-smil"))
            self._total_ms += lasts_ms
            self.marked += len(pars)

    def nav(self) -> bytes:
        rows = "\n".join(self._entries)
        return _xhtml(
            self._about.tags.get("title", ""), self._about.language,
            f'<nav epub:type="toc">\n<ol>\n{rows}\n</ol>\n</nav>',
        )  # fmt: skip

    def package(self) -> bytes:
        about, tags = self._about, self._about.tags
        said = [
            f'<dc:identifier id="id">{_xml(about.identifier)}</dc:identifier>',
            f"<dc:title>{_xml(tags.get('title', ''))}</dc:title>",
            f"<dc:language>{_xml(about.language)}</dc:language>",
        ]
        for name, tag in (("creator", "artist"), ("description", "description"), ("rights", "copyright")):
            if tags.get(tag):
                said.append(f"<dc:{name}>{_xml(tags[tag])}</dc:{name}>")
        said.append(_meta("dcterms:modified", about.modified))
        said += [*self._durations, _meta("media:duration", clock(self._total_ms))]
        said += [_meta("media:narrator", about.narrator), _meta("media:active-class", ACTIVE_CLASS)]
        items = [
            '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>',
            '<item id="style" href="style.css" media-type="text/css"/>',
        ]
        if about.cover is not None:
            name, kind = _cover_name(about.cover), about.cover.media_type
            items.append(f'<item id="cover" href="{name}" media-type="{kind}" properties="cover-image"/>')
        rows = "\n".join
        return (
            '<?xml version="1.0" encoding="utf-8"?>\n'
            '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">\n'
            f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">\n{rows(said)}\n</metadata>\n'
            f"<manifest>\n{rows([*items, *self._items])}\n</manifest>\n"
            f"<spine>\n{rows(self._spine)}\n</spine>\n</package>\n"
        ).encode()


def _meta(name: str, value: str, refines: str = "") -> str:
    of = f' refines="#{refines}"' if refines else ""
    return f'<meta property="{name}"{of}>{_xml(value)}</meta>'


def _cover_name(cover: Cover) -> str:
    return f"cover.{cover.media_type.rpartition('/')[2]}"


def _xhtml(title: str, language: str, body: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" '
        f'lang="{_xml(language)}" xml:lang="{_xml(language)}">\n<head><title>{_xml(title)}</title>'
        f'<link rel="stylesheet" type="text/css" href="style.css"/></head>\n<body>\n{body}\n</body>\n</html>\n'
    ).encode()


def _xml(text: str) -> str:
    return escape(xml_text(text), {'"': "&quot;"})


_LOOK = """body { margin: 1em; line-height: 1.5; }
p { margin: 0 0 0.8em; }
p.break { text-align: center; }
"""
_CONTAINER = (
    b'<?xml version="1.0" encoding="utf-8"?>\n'
    b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
    b'<rootfile full-path="EPUB/package.opf" media-type="application/oebps-package+xml"/></rootfiles></container>\n'
)
