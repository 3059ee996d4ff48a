"""The EPUB that a job narrates, with its read-along: its pages with the sentences marked, and everything else as it is.

    pages       those of the line of reading that are sound XHTML; spans around sentences, and a link to a style sheet
    package     the new files, media-overlay at the pages, media:* in the metadata, dcterms:modified
    readalong/  beside the package: the audio of each chapter, a SMIL file for each marked page, the style sheet

The book is a stranger's: worker/readalong/source_process.py runs this within limits.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from urllib.parse import quote

from lxml import etree

from farm.documents.archive import Archive
from farm.documents.epub import Package, is_epub, package_of, spine_of
from farm.documents.xml import Element, attribute, local, parse_xml
from worker.readalong.epub_file import EpubFile
from worker.readalong.marking import MarkedPage
from worker.readalong.overlay import ACTIVE_CLASS, SMIL, STYLE, Heard, Par, clock, lasting_ms, smil, xml_text
from worker.readalong.placing import PAGE_END, places_of

_OPF = "{http://www.idpf.org/2007/opf}"
_XHTML = "application/xhtml+xml"
_SIGNATURES = "META-INF/signatures.xml"  # of files that are not the same any more


class Unfit(Exception):
    """The book can't be read along; the message says why."""


@dataclass(frozen=True, slots=True)
class Narration:
    """What the book is to say of it. `modified` is ISO 8601 in UTC; `audio` has a file for each chapter that is heard,
    and `suffix` and `audio_type` are theirs."""

    narrator: str
    modified: str
    suffix: str
    audio_type: str
    audio: Mapping[int, Path]


def write_source_book(target: Path, source: bytes, narration: Narration, heard: Sequence[Heard]) -> int:
    """Returns how many sentences were found in the book. Raises Unfit, or BadInput for what is hostile."""
    archive = Archive(source)
    package = _fit(archive)
    pages = dict(_pages(archive, package))
    folder = _free("readalong", archive.names)
    marked = list(_marked(pages, heard))
    if not marked:
        raise Unfit("none of its sentences were found in the document")
    changes = _Changes(package, pages, folder, narration)
    changes.mark(marked)
    with EpubFile(target) as file:
        for name in archive.names:
            if name not in ("", "mimetype", _SIGNATURES, package.path, *changes.files):
                file.put(name, archive.read(name))
        for name, content in changes.files.items():
            file.put(name, content)
        for name, path in changes.audio.items():
            file.put_file(name, path)
        file.put(package.path, changes.package())
    return len(marked)


def _fit(archive: Archive) -> Package:
    if not is_epub(archive) or "META-INF/container.xml" not in archive:
        raise Unfit("the document is no EPUB")
    package = package_of(archive, [])
    if not attribute(package.root, "version").startswith("3"):
        raise Unfit("the document is EPUB 2, which has no read-along; save it as EPUB 3, for example with calibre")
    if not parse_xml(archive.read(package.path), package.path)[1]:
        raise Unfit("the package of the document is broken XML")
    if any(attribute(node, "media-overlay") for node in package.root.iter()):
        raise Unfit("the document has a read-along of its own")
    return package


def _pages(archive: Archive, package: Package) -> Iterator[tuple[str, MarkedPage]]:
    """In the order of reading, by their paths."""
    seen = set()
    for id, _ in spine_of(package):
        item = package.items.get(id)
        if item is None or item.media_type != _XHTML or item.path not in archive or item.path in seen:
            continue
        seen.add(item.path)
        try:
            root, whole = parse_xml(archive.read(item.path), item.path)
        except ValueError:
            continue
        if whole and local(root) == "html":
            yield item.path, MarkedPage(root)


# --- which sentence stands where --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Placed:
    """A sentence, with those beside it that stand nowhere in the book and are heard with it."""

    path: str
    start: int  # among the letters of its page
    end: int
    heard: Heard
    begin_ms: int
    end_ms: int


def _marked(pages: Mapping[str, MarkedPage], heard: Sequence[Heard]) -> Iterator[_Placed]:
    paths, every = list(pages), list(pages.values())
    letters = "".join(page.letters + PAGE_END for page in every)
    starts = list(accumulate((len(page.letters + PAGE_END) for page in every), initial=0))

    def page_at(place: int) -> int:
        return min(bisect_right(starts, place), len(every)) - 1

    def is_joint(place: int) -> bool:
        number = page_at(place)
        return every[number].is_joint(place - starts[number])

    places = places_of([each.text for each in heard], letters, is_joint)
    found = [(each, place) for each, place in zip(heard, places, strict=True) if place is not None]
    begins = {each.chapter: each.begin_ms for each in reversed(heard)}
    ends = {each.chapter: each.end_ms for each in heard}
    for following, (each, (start, end)) in enumerate(found, 1):
        number = page_at(start)
        after = found[following][0] if following < len(found) else None
        yield _Placed(
            paths[number], start - starts[number], end - starts[number], each,
            begin_ms=begins.pop(each.chapter, each.begin_ms),
            end_ms=after.begin_ms if after is not None and after.chapter == each.chapter else ends[each.chapter],
        )  # fmt: skip


# --- what changes in the book -----------------------------------------------------------------------------------------


class _Changes:
    """`files` are new or changed, by their names in the archive; so is `audio`."""

    def __init__(self, package: Package, pages: Mapping[str, MarkedPage], folder: str, narration: Narration) -> None:
        self._package, self._pages, self._narration = package, pages, narration
        self._root = posixpath.join(posixpath.dirname(package.path), folder)
        self._ids = _free("readalong", (value for node in package.root.iter() for value in node.attrib.values()))
        self._durations: list[tuple[str, int]] = []  # id of a SMIL file, milliseconds
        self._items: list[tuple[str, str, str]] = []  # id, name in the archive, media type
        self._overlays: dict[str, str] = {}  # path of a page -> id of its SMIL file
        self.files: dict[str, bytes] = {}
        self.audio: dict[str, Path] = {}

    def mark(self, marked: Sequence[_Placed]) -> None:
        style = f"{self._root}/style.css"
        self.files[style] = STYLE.encode()
        self._items.append((f"{self._ids}-style", style, "text/css"))
        for chapter in dict.fromkeys(each.heard.chapter for each in marked):
            name = self._audio_name(chapter)
            self.audio[name] = self._narration.audio[chapter]
            self._items.append((f"{self._ids}-audio-{chapter + 1}", name, self._narration.audio_type))
        for number, (path, of_page) in enumerate(groupby(marked, key=lambda each: each.path), 1):
            self._mark_page(f"{self._ids}-page-{number}", path, self._pages[path], list(of_page), style)

    def _mark_page(self, id: str, path: str, page: MarkedPage, marked: Sequence[_Placed], style: str) -> None:
        prefix = _free("readalong", page.ids)
        pars: deque[Par] = deque()
        for each in reversed(marked):
            pieces = page.mark(each.start, each.end, f"{prefix}-{each.heard.id}")
            times = _shared(each.begin_ms, each.end_ms, [piece.letters for piece in pieces])
            audio = _link(self._root, self._audio_name(each.heard.chapter))
            of_each = [Par(piece.id, audio, *time) for piece, time in zip(pieces, times, strict=False)]
            pars.extendleft(reversed(of_each))
        if not pars:
            return
        page.link(_link(posixpath.dirname(path), style))
        name = f"{self._root}/{id}.smil"
        self.files[path] = page.written()
        self.files[name] = smil(_link(self._root, path), pars)
        self._items.append((id, name, SMIL))
        self._durations.append((id, lasting_ms(pars)))
        self._overlays[path] = id

    def package(self) -> bytes:
        root = self._package.root
        manifest, metadata = (
            next(node for node in root.iter() if local(node) == name) for name in ("manifest", "metadata")
        )
        of_item = {item.id: item.path for item in self._package.items.values()}
        for node in manifest:
            if local(node) == "item" and (overlay := self._overlays.get(of_item.get(attribute(node, "id"), ""))):
                node.set("media-overlay", overlay)
        base = posixpath.dirname(self._package.path)
        for id, name, kind in self._items:
            etree.SubElement(manifest, f"{_OPF}item", {"id": id, "href": _link(base, name), "media-type": kind})
        self._tell(metadata)
        return bytes(etree.tostring(root.getroottree(), encoding="utf-8", xml_declaration=True))

    def _tell(self, metadata: Element) -> None:
        for node in list(metadata):
            if attribute(node, "property") in ("dcterms:modified", "media:duration", "media:narrator"):
                _remove(node)
        _meta(metadata, "dcterms:modified", self._narration.modified)
        for id, lasts_ms in self._durations:
            _meta(metadata, "media:duration", clock(lasts_ms), refines=f"#{id}")
        _meta(metadata, "media:duration", clock(sum(lasts_ms for _, lasts_ms in self._durations)))
        _meta(metadata, "media:narrator", self._narration.narrator)
        _meta(metadata, "media:active-class", ACTIVE_CLASS)

    def _audio_name(self, chapter: int) -> str:
        return f"{self._root}/chapter-{chapter + 1:04}{self._narration.suffix}"


def _shared(begin_ms: int, end_ms: int, letters: Sequence[int]) -> list[tuple[int, int]]:
    """The time of a sentence among its pieces, by their letters. The first alone has it where it is too short."""
    if end_ms - begin_ms < 2 * len(letters):
        return [(begin_ms, end_ms)]
    done, places = 0, [begin_ms]
    for count in letters:
        done += count
        places.append(begin_ms + (end_ms - begin_ms) * done // sum(letters))
    return [(start, max(end, start + 1)) for start, end in pairwise(places)]


def _meta(metadata: Element, name: str, value: str, **attributes: str) -> None:
    etree.SubElement(metadata, f"{_OPF}meta", {"property": name, **attributes}).text = xml_text(value)


def _remove(node: Element) -> None:
    node.tail = None
    node.getparent().remove(node)


def _link(base: str, name: str) -> str:
    """To an entry of the archive from a file in the folder `base`."""
    return quote(posixpath.relpath(f"/{name}", f"/{base}"))


def _free(word: str, taken: Iterable[str]) -> str:
    """The word, or a longer one, so that no other name contains it."""
    every = "\n".join(taken)
    while word in every:
        word += "x"
    return word
