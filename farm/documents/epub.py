"""EPUB 2 and 3: the package says what there is, the spine in which order, the contents where chapters begin.

    META-INF/container.xml ─▶ package (.opf) ─▶ spine: files in order ─▶ blocks
                                             └▶ contents: nav, else NCX, else headings, else the files
Fonts may be obfuscated, which locks nothing. A book whose text is encrypted is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from farm.documents import chapters as cutting
from farm.documents.archive import Archive, resolve
from farm.documents.chapters import Entry
from farm.documents.cover import cover_of
from farm.documents.html import Placed, blocks_of
from farm.documents.metadata import Cover, Metadata
from farm.documents.notes import with_notes
from farm.documents.refusals import refusal
from farm.documents.tree import Block, Chapter, Document, Kind, number
from farm.documents.xml import Element, attribute, local, parse_page, parse_xml
from farm.errors import BadInput

_XHTML = frozenset({
    "application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document", "application/xml",
    "text/xml",
})  # fmt: skip
_LOCKS = {"META-INF/rights.xml": "Adobe's", "META-INF/license.lcpl": "Readium's", "META-INF/sinf.xml": "Apple's"}
_PRONOUNCED = "{http://www.w3.org/2001/10/synthesis}ph"
Parse = Callable[[bytes, str], tuple[Element, bool]]
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True)
class Item:
    id: str
    path: str
    media_type: str
    properties: frozenset[str]
    fallback: str  # the item to take where this one can't be read


@dataclass(slots=True)
class Package:
    path: str
    root: Element
    items: Mapping[str, Item]  # by id

    @property
    def lexicons(self) -> list[Item]:
        """Of the Pronunciation Lexicon Specification."""
        return [item for item in self.items.values() if item.media_type == "application/pls+xml"]

    def at(self, path: str) -> Item | None:
        return next((item for item in self.items.values() if item.path == path), None)


def is_epub(archive: Archive) -> bool:
    return "META-INF/container.xml" in archive or any(name.lower().endswith(".opf") for name in archive.names)


def read_epub(archive: Archive) -> Document:
    """Raises BadInput."""
    warnings: list[str] = []
    package = package_of(archive, warnings)
    _refuse_locked(archive, package)
    entries = _contents(archive, package, warnings)
    placed, places, starts = _text(archive, package, entries, warnings)
    warnings += (f"{item.path} is a lexicon, which is not read; put it to /v1/lexicons" for item in package.lexicons)
    if not any(one.block.kind not in (Kind.IMAGE, Kind.BREAK) for one in placed):
        raise _without_text(archive, package)
    return Document(
        "epub",
        _chapters(placed, places, starts, entries, warnings),
        _metadata(archive, package, warnings),
        tuple(warnings),
    )


# --- the package ------------------------------------------------------------------------------------------------------


def package_of(archive: Archive, warnings: list[str]) -> Package:
    """Raises BadInput where there is none."""
    path = _package_path(archive)
    if path is None:
        raise refusal("no_package", "this EPUB names no package (.opf), so nobody knows its text; save it anew")
    root = _xml(archive, path, warnings)
    if root is None:
        raise refusal("no_package", f"the package of this EPUB, {path}, can't be read; save it anew")
    items = {}
    for node in root.iter():
        if local(node) == "item" and attribute(node, "href"):
            target, _ = resolve(path, attribute(node, "href"))
            target = target or resolve(path, quote(attribute(node, "href"), safe="/%"))[0]  # "a:b.xhtml" is a name
            items[attribute(node, "id")] = Item(
                attribute(node, "id"), archive.find(target) or target, attribute(node, "media-type").lower(),
                frozenset(attribute(node, "properties").split()), attribute(node, "fallback"),
            )  # fmt: skip
    return Package(path, root, items)


def _package_path(archive: Archive) -> str | None:
    if (container := archive.find("META-INF/container.xml")) is not None:
        root = _xml(archive, container, [])
        for node in root.iter() if root is not None else ():
            if local(node) == "rootfile":
                found = archive.find(resolve("", attribute(node, "full-path"))[0])
                if found is not None:
                    return found
    return next((name for name in sorted(archive.names, key=len) if name.lower().endswith(".opf")), None)


def spine_of(package: Package) -> Iterator[tuple[str, bool]]:
    """In the order of reading: (id of an item, whether it stands in the line of reading)."""
    for node in package.root.iter():
        if local(node) == "itemref":
            yield attribute(node, "idref"), attribute(node, "linear").lower() != "no"


def _refuse_locked(archive: Archive, package: Package) -> None:
    for name, whose in _LOCKS.items():
        if archive.find(name):
            raise _locked(f"{whose} lock ({name})")
    listed = archive.find("META-INF/encryption.xml")
    root = _xml(archive, listed, []) if listed else None
    if root is None:
        return
    locked = {
        archive.find(path) or path
        for node in root.iter()
        if local(node) == "cipherreference"
        for path in (resolve("", attribute(node, "URI"))[0],)
    }
    for id, _ in spine_of(package):
        item = package.items.get(id)
        if item is not None and item.path in locked:
            raise _locked(f"{item.path}, a part of its text, is encrypted")


def _locked(why: str) -> BadInput:
    return refusal("drm", f"this book is locked by DRM: {why}; get it from its seller without DRM")


# --- the text ---------------------------------------------------------------------------------------------------------


def _text(
    archive: Archive, package: Package, entries: list[Entry], warnings: list[str]
) -> tuple[list[Placed], dict[str, int], list[int]]:
    """All blocks, name -> the block that begins there, and where the files begin."""
    pointed = {entry.target.partition("#")[0] for entry in entries}
    placed: list[Placed] = []
    places: dict[str, int] = {}
    starts: list[int] = []
    for id, linear in _in_order(package, warnings):
        item = package.items.get(id)
        if item is None:
            warnings.append(f"the spine names {id!r}, which the package does not have")
            continue
        if item.path in places:
            continue
        if not linear and item.path not in pointed:
            warnings.append(f"{item.path} stands beside the line of reading, and is left out")
            continue
        item = _readable(package, item)
        root = _page(archive, item, warnings) if item.path not in places else None
        if root is None:
            continue
        if told := sum(_PRONOUNCED in each.attrib for each in root.iter()):
            warnings.append(f"{item.path} says how {told} words are pronounced (ssml:ph), which is not read")
        found, behind = _of_drawing(root) if local(root) == "svg" else blocks_of(root, partial(_name, item.path))
        places[item.path] = len(placed)
        starts.append(len(placed))
        found = found or [Placed(Block(Kind.IMAGE), frozenset())]  # an empty page, which the contents may name
        for place, one in enumerate(found, len(placed)):
            for anchor in one.anchors:
                places.setdefault(f"{item.path}#{anchor}", place)
        placed += found
        for anchor in behind:
            places.setdefault(f"{item.path}#{anchor}", len(placed))
    last = len(placed) - 1
    places = {name: min(place, last) for name, place in places.items()}
    return with_notes(placed, places), places, starts


def _in_order(package: Package, warnings: list[str]) -> list[tuple[str, bool]]:
    """The spine. Of a book without a line of reading all that is listed is read, in its order."""
    spine = list(spine_of(package))
    if not any(id in package.items for id, _ in spine):
        warnings.append("the book has no order of reading; its pages are read as they are listed")
        listed = (item for item in package.items.values() if item.media_type in _XHTML)
        return [(item.id, True) for item in listed if "nav" not in item.properties]
    return spine if any(linear for _, linear in spine) else [(id, True) for id, _ in spine]


def _readable(package: Package, item: Item) -> Item:
    """The item, or the first of those that stand in for it that is XHTML."""
    found, seen = item, {item.id}
    while found.media_type not in _XHTML and found.fallback in package.items and found.fallback not in seen:
        seen.add(found.fallback)
        found = package.items[found.fallback]
    return found if found.media_type in _XHTML else item


def _page(archive: Archive, item: Item, warnings: list[str]) -> Element:
    if item.path not in archive:
        warnings.append(f"{item.path} is named by the book and is not in it")
    elif item.media_type == "image/svg+xml" and (drawing := _xml(archive, item.path, warnings)) is not None:
        if any(local(node) == "text" for node in drawing.iter()):
            return drawing
        warnings.append(f"{item.path} is a drawing without words, and is left out")
    elif item.media_type not in _XHTML and not item.path.lower().endswith((".xhtml", ".html", ".htm")):
        warnings.append(f"{item.path} is {item.media_type or 'of no stated type'}, which has no text to speak")
    else:
        return _xml(archive, item.path, warnings, parse_page)
    return None


def _of_drawing(root: Element) -> tuple[list[Placed], frozenset[str]]:
    """The words of a page that is an SVG, in the order in which they are drawn."""
    said = (" ".join("".join(node.itertext()).split()) for node in root.iter() if local(node) == "text")
    return [Placed(Block(Kind.PARAGRAPH, text), frozenset()) for text in said if text], frozenset()


def _xml(archive: Archive, path: str, warnings: list[str], parse: Parse = parse_xml) -> Element:
    """The root of a file, read as far as it goes; None where there is nothing to read."""
    try:
        root, whole = parse(archive.read(path), path)
    except ValueError as error:
        warnings.append(f"{path} can't be read ({error}), and is left out")
        return None
    if not whole:
        warnings.append(f"{path} is broken XML, and was read as far as it goes")
    return root


def _name(base: str, href: str) -> str:
    path, fragment = resolve(base, href)
    return f"{path}#{fragment}" if fragment else path


def _without_text(archive: Archive, package: Package) -> BadInput:
    pictures = sum(item.media_type.startswith("image/") for item in package.items.values())
    what = f"it has {pictures} pictures, so it may be a comic or a scan" if pictures > 1 else "its pages are empty"
    return refusal(
        "no_text", f"there is no text in this book to speak: {what}; text in pictures has to be read by OCR first"
    )


# --- the contents -----------------------------------------------------------------------------------------------------


def _contents(archive: Archive, package: Package, warnings: list[str]) -> list[Entry]:
    nav = next((item for item in package.items.values() if "nav" in item.properties), None)
    if nav is not None and nav.path in archive:
        root = _xml(archive, nav.path, [], parse_page)
        entries = list(_of_nav(root, nav.path)) if root is not None else []
        if entries:
            return entries
    spine = next((node for node in package.root.iter() if local(node) == "spine"), None)
    ncx = package.items.get(attribute(spine, "toc")) if spine is not None else None
    ncx = ncx or next((one for one in package.items.values() if one.media_type == "application/x-dtbncx+xml"), None)
    if ncx is not None and ncx.path in archive:
        root = _xml(archive, ncx.path, warnings)
        return list(_of_ncx(root, ncx.path)) if root is not None else []
    return []


def _of_nav(root: Element, path: str) -> Iterator[Entry]:
    navs = [node for node in root.iter() if local(node) == "nav"]
    nav = next(
        (node for node in navs if "toc" in attribute(node, "type").split() or "doc-toc" in attribute(node, "role")),
        None,
    )
    for node in nav.iter() if nav is not None else ():
        if local(node) == "a" and attribute(node, "href"):
            depth = sum(local(one) == "ol" for one in node.iterancestors())
            yield Entry(_words(node), max(1, depth), _name(path, attribute(node, "href")))


def _of_ncx(root: Element, path: str) -> Iterator[Entry]:
    for node in root.iter():
        if local(node) != "navpoint":
            continue
        label = next((one for one in node if local(one) == "navlabel"), None)
        content = next((one for one in node if local(one) == "content"), None)
        if content is not None:
            depth = 1 + sum(local(one) == "navpoint" for one in node.iterancestors())
            yield Entry(_words(label) if label is not None else "", depth, _name(path, attribute(content, "src")))


def _words(node: Element) -> str:
    said = " ".join("".join(node.itertext()).split())
    alt = next((attribute(one, "alt") for one in node.iter() if local(one) == "img"), "")
    return cutting.cut_title(said or attribute(node, "title") or alt)


def _chapters(
    placed: list[Placed], places: dict[str, int], starts: list[int], entries: list[Entry], warnings: list[str]
) -> tuple[Chapter, ...]:
    if entries:
        found, missing = cutting.by_contents(placed, entries, places)
        warnings += missing
        if found:
            return found
    blocks = [one.block for one in placed]
    if cutting.has_headings(blocks):
        return cutting.by_headings(blocks)
    files = [blocks[start:end] for start, end in zip(starts, [*starts[1:], len(blocks)], strict=True)]
    return number(("", 1, file) for file in files if file)


# --- metadata and cover -----------------------------------------------------------------------------------------------


def _metadata(archive: Archive, package: Package, warnings: list[str]) -> Metadata:
    said: dict[str, list[str]] = {}
    roles = {
        attribute(node, "refines").removeprefix("#"): (node.text or "").strip()
        for node in package.root.iter()
        if local(node) == "meta" and attribute(node, "property") == "role"
    }
    series = series_index = ""
    for node in package.root.iter():
        name = local(node)
        if name in ("title", "creator", "language", "date", "publisher", "description", "rights", "subject"):
            value = " ".join("".join(node.itertext()).split())
            if name == "creator" and (attribute(node, "role") or roles.get(attribute(node, "id"), "aut")) != "aut":
                continue  # a translator, an illustrator
            if value:
                said.setdefault(name, []).append(value)
        elif name == "meta":
            kind, value = (
                attribute(node, "property") or attribute(node, "name"),
                " ".join("".join(node.itertext()).split()),
            )
            content = attribute(node, "content")
            if kind == "calibre:series" or kind == "belongs-to-collection":
                series = series or content or value
            elif kind == "calibre:series_index" or kind == "group-position":
                series_index = series_index or content or value
    first = {name: values[0] for name, values in said.items()}
    return Metadata(
        title=first.get("title", ""),
        author=", ".join(dict.fromkeys(said.get("creator", ()))),
        language=first.get("language", ""),
        date=first.get("date", ""),
        publisher=first.get("publisher", ""),
        description=" ".join(_TAG.sub(" ", first.get("description", "")).split()),
        rights=first.get("rights", ""),
        subject=", ".join(dict.fromkeys(said.get("subject", ()))),
        series=series,
        series_index=series_index,
        cover=_cover(archive, package, warnings),
    )


def _cover(archive: Archive, package: Package, warnings: list[str]) -> Cover | None:
    """The likeliest that can be shown. The warning is of the likeliest alone: the others are guesses."""
    faults: list[str] = []
    paths = dict.fromkeys(item.path for item in _covers(archive, package) if item.path in archive)
    cover = next(filter(None, (cover_of(path, archive.read(path), faults) for path in paths)), None)
    warnings += faults[:1]
    return cover


def _covers(archive: Archive, package: Package) -> Iterator[Item]:
    """What may be the cover, the likeliest first."""
    pictures = [item for item in package.items.values() if item.media_type.startswith("image/")]
    yield from (item for item in pictures if "cover-image" in item.properties)
    for node in package.root.iter():
        if local(node) == "meta" and attribute(node, "name").lower() == "cover":
            item = package.items.get(attribute(node, "content"))
            if item is not None:
                yield item
    for node in package.root.iter():
        if local(node) == "reference" and "cover" in attribute(node, "type"):
            path, _ = resolve(package.path, attribute(node, "href"))
            page = package.at(path)
            if page is not None and page.path in archive and not page.media_type.startswith("image/"):
                yield from _shown_by(archive, package, page)
    yield from (
        item for item in pictures if "cover" in item.id.lower() or "cover" in item.path.rpartition("/")[2].lower()
    )


def _shown_by(archive: Archive, package: Package, page: Item) -> Iterator[Item]:
    root = _xml(archive, page.path, [], parse_page)
    for node in root.iter() if root is not None else ():
        if local(node) in ("img", "image"):
            path, _ = resolve(page.path, attribute(node, "src") or attribute(node, "href"))
            item = package.at(path)
            if item is not None:
                yield item
