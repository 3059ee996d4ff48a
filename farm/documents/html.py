"""HTML and XHTML into blocks: what a reader sees, in order, each piece once.

p, div, section, …        end the paragraph before them         h1 … h6            heading
blockquote                quote                                 li                 item, with its number
aside, li of notes        note                                  table, pre, hr     table, code, break
img                       a mark in the text, or an image       br                 a line end
a that refers to a note   a mark: what it shows is not spoken
script, style, rt, rp, annotation, page numbers, buttons, …: nothing
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from farm.characters import RAISED_DIGITS
from farm.documents.line import CONTROL, Line
from farm.documents.tree import Block, Kind
from farm.documents.vocabulary import APART, NOTES, OF_NOTES, TYPES
from farm.documents.xml import Element, attribute, local
from farm.prose.paragraphs import is_scene_break

_UNSEEN_NAMES = (
    "head script style template noscript rt rp rtc annotation annotation-xml iframe object embed audio video "
    "canvas svg button select textarea input form-control datalist map del meta link title"
)
_UNSEEN = frozenset(_UNSEEN_NAMES.split())
_HEADING = re.compile(r"h([1-6])")
_REFERENCE = re.compile(r"\W*(?:\d{1,4}|[ivxlc]{1,6}|[a-z]|[*†‡§¶]+)\W*", re.IGNORECASE)
_NOT_SHOWN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))\b", re.IGNORECASE)
_SWITCHES, _CASES, _DEFAULTS = {"switch", "epub:switch"}, {"case", "epub:case"}, {"default", "epub:default"}
_PAGE_CLASS_NAMES = "pagenum pagenumber page-number page_number pageno x-ebookmaker-pageno pagebreak"
_PAGE_CLASSES = frozenset(_PAGE_CLASS_NAMES.split())
_PAGE_NUMBER = re.compile(
    r"[\W_]*(?:(?:pgs?|pages?|p|seite|s|pág|str)\W*)?(?:\d{1,5}|[ivxlc]{1,8})?[\W_]*", re.IGNORECASE
)
_LONGEST_NUMBER = 40  # characters of one with what stands around it
_POWER = re.compile(r"[-−+]?[0-9]{1,3}")
_BACK = re.compile(r"[\s\[(]*[↩↑⏎^←⤴\ufe0e\ufe0f]+[\s\])]*")


@dataclass(slots=True)
class Placed:
    """A block of the highest level, and the ids that begin in it or right before it."""

    block: Block
    anchors: frozenset[str]


Resolve = Callable[[str], str]  # href -> the name of what it means: "path#id"


def blocks_of(root: Element, resolve: Resolve = lambda href: href) -> tuple[list[Placed], frozenset[str]]:
    """The blocks below an element, and the ids behind the last of them."""
    reader = _Reader(resolve)
    reader.read(root)
    return reader.placed, frozenset(reader.anchors)


class _Reader:
    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self.placed: list[Placed] = []
        self.anchors: set[str] = set()  # that have no block yet
        self._line = Line()
        self._types: tuple[str, ...] = ()
        self._level = 0  # of the heading that is being read
        self._counts: dict[Element, int] = {}  # of the items that each numbered list has shown
        self._into: list[Block] | None = None  # the children that are being read, of a quote, an item or a note

    def read(self, node: Element) -> None:
        self._element(node)
        self._flush()

    # --- elements ---------------------------------------------------------------------------------------------------

    def _element(self, node: Element) -> None:
        name = local(node)
        if name == "svg":  # a picture: its words are labels
            self._line.mark("image", attribute(node, "aria-label"))
        if not name or _is_unseen(name, node):
            self._note_ids(node)
            return
        types = _types_of(node)
        if name in APART:
            self._flush()
        for key in ("id", "name") if name == "a" else ("id",):
            if value := attribute(node, key):
                self.anchors.add(value)
        if _is_page_break(node, types):
            return
        before = self._types
        known = [one for one in types if one in TYPES and one not in before]
        if name == "nav" and not known:
            known = ["toc"]
        self._types = (*before, *known)
        self._known(name, node, types)
        if name in APART:
            self._flush()
        self._types = before

    def _known(self, name: str, node: Element, types: Sequence[str]) -> None:
        level = _level(name, node)
        if level:
            outer, self._level = self._level, level
            self._inside(node)
            self._flush()
            self._level = outer
        elif self._is_note(name, node, types):
            self._note(node)
        elif name == "li":
            self._hold(Kind.ITEM, node, name=self._number(node))
        elif name == "blockquote":
            self._hold(Kind.QUOTE, node)
        elif name == "table":
            self._table(node)
        elif name == "pre":
            text = "".join(node.itertext()).translate(CONTROL).strip("\n").rstrip()
            if text:
                self._emit(Block(Kind.CODE, text, types=self._types))
        elif name == "hr":
            self._emit(Block(Kind.BREAK, types=self._types))
        elif name == "br":
            self._line.end()
        elif name == "img" and _is_initial(node):
            self._line.add(attribute(node, "alt").strip())
        elif name == "img" or name == "image":
            self._line.mark("image", " ".join(attribute(node, "alt").translate(CONTROL).split()))
        elif name == "math":
            self._line.add(" " + _formula(node) + " ")
        elif name == "a" and _is_reference(node, types):
            self._line.mark("note", self._resolve(attribute(node, "href")))
        elif name == "a" and _leads_back(node, types):
            self._note_ids(node)
        else:
            self._inside(node)

    def _inside(self, node: Element) -> None:
        if node.text:
            self._line.add(shown(node, node.text))
        for child in node:
            if isinstance(child.tag, str):
                self._element(child)
            if child.tail:
                self._line.add(shown(node, child.tail))

    def _note_ids(self, node: Element) -> None:
        self.anchors.update(value for one in node.iter() if isinstance(one.tag, str) and (value := one.get("id")))

    # --- blocks -----------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        text, marks = self._line.taken()
        kind, level = (Kind.HEADING, self._level) if self._level else (Kind.PARAGRAPH, 0)
        if text:
            if kind is Kind.PARAGRAPH and not marks and is_scene_break(text, 0, len(text)):
                kind, text = Kind.BREAK, ""
            self._emit(Block(kind, text, level, types=self._types, marks=marks))
            return
        for mark in marks:
            if mark.kind == "image":
                self._emit(Block(Kind.IMAGE, mark.value, types=self._types))
            else:  # a reference that stands alone: it keeps its place
                self._emit(Block(Kind.PARAGRAPH, "", types=self._types, marks=(replace(mark, at=0),)))

    def _emit(self, block: Block) -> None:
        if self._into is not None:
            self._into.append(block)
            return
        self.placed.append(Placed(block, frozenset(self.anchors)))
        self.anchors.clear()

    def _hold(self, kind: Kind, node: Element, name: str = "") -> None:
        """A block with all that stands in it; a single paragraph is its own text."""
        outer, self._into = self._into, []
        self._inside(node)
        self._flush()
        children, self._into = self._into, outer
        if not children and (not name or kind is Kind.NOTE):
            return
        block = Block(kind, name=name, types=self._types, children=tuple(children))
        if len(children) == 1 and children[0].kind is Kind.PARAGRAPH and children[0].types == self._types:
            block = replace(block, text=children[0].text, marks=children[0].marks, children=())
        self._emit(block)

    def _number(self, node: Element) -> str:
        """The number of an item as it is shown: "3."; "" of a bullet."""
        around = node.getparent()
        if around is None or local(around) != "ol":
            return ""
        number = _whole(node.get("value"), self._counts.get(around, _whole(around.get("start"), 1)))
        self._counts[around] = number + 1
        return f"{_as_counted(number, around.get('type') or '')}."

    def _note(self, node: Element) -> None:
        name = self._resolve(f"#{attribute(node, 'id')}") if attribute(node, "id") else ""
        self._hold(Kind.NOTE, node, name=name)

    def _is_note(self, name: str, node: Element, types: Sequence[str]) -> bool:
        if name not in APART or name in ("body", "html"):
            return False
        if not NOTES.isdisjoint(types):
            return True
        return name == "li" and bool(attribute(node, "id")) and not OF_NOTES.isdisjoint(self._types)

    def _table(self, node: Element) -> None:
        if _is_layout(node):
            self._inside(node)
            return
        rows, caption = [], ""
        for one in node.iter():
            name = local(one)
            self._note_id(one)
            if name == "tr":
                rows.append(tuple(_plain(cell) for cell in one if local(cell) in ("td", "th")))
            elif name == "caption":
                caption = _plain(one)
        kept = tuple(row for row in rows if any(row))
        if kept or caption:
            self._emit(Block(Kind.TABLE, caption, types=self._types, rows=kept))

    def _note_id(self, node: Element) -> None:
        if isinstance(node.tag, str) and (value := node.get("id")):
            self.anchors.add(value)


def is_silent(node: Element) -> bool:
    """Whether `blocks_of` reads no text below an element, or below a comment or the like."""
    name = local(node)
    if not name or _is_unseen(name, node):
        return True
    types = _types_of(node)
    if _is_page_break(node, types):
        return True
    return name == "a" and (_is_reference(node, types) or _leads_back(node, types))


# --- what attributes say ----------------------------------------------------------------------------------------------


def _types_of(node: Element) -> list[str]:
    words: list[str] = []
    for key, value in node.attrib.items():
        if key.endswith("}type") or key == "epub:type":
            words += value.split()
    words += [one.removeprefix("doc-") for one in attribute(node, "role").split()]
    if "pagelist" in words:
        words.append("page-list")
    return [one.lower() for one in words]


def _is_reference(node: Element, types: Sequence[str]) -> bool:
    """Whether a link refers to a note. Many books say so by raised letters alone."""
    if "noteref" in types or "biblioref" in types:
        return True
    if "#" not in attribute(node, "href") or _says_back(types):
        return False
    raised = local(node.getparent()) == "sup" or any(local(child) == "sup" for child in node)
    return raised and _REFERENCE.fullmatch("".join(node.itertext()).strip()) is not None


def _is_initial(node: Element) -> bool:
    """Whether a picture is the first letter of a word, as old books have them."""
    letters = attribute(node, "alt").strip().lstrip("\"'“‘«„»")
    return len(letters) == 1 and letters.isalpha() and (node.tail or "")[:1].isalpha()


def _leads_back(node: Element, types: Sequence[str]) -> bool:
    """Whether a link leads from a note to where it is referred to."""
    return _says_back(types) or _BACK.fullmatch("".join(node.itertext())) is not None


def _is_unseen(name: str, node: Element) -> bool:
    if name in _UNSEEN or attribute(node, "hidden") or node.get("hidden") is not None:
        return True
    style = node.get("style")
    return (style is not None and _NOT_SHOWN.search(style) is not None) or (name in _CASES and _is_other_case(node))


def _is_other_case(node: Element) -> bool:
    """Of an `epub:switch` the default is read: what the others need is known to few readers."""
    around = node.getparent()
    return around is not None and local(around) in _SWITCHES and any(local(one) in _DEFAULTS for one in around)


def _is_page_break(node: Element, types: Sequence[str]) -> bool:
    """Also the number of a page in a class of its own, as Project Gutenberg has it amid sentences."""
    if "pagebreak" in types or "page-break" in types:
        return True
    classes = node.get("class")
    if classes is None or _PAGE_CLASSES.isdisjoint(classes.lower().split()):
        return False
    said = "".join(node.itertext())
    return len(said) <= _LONGEST_NUMBER and _PAGE_NUMBER.fullmatch(said) is not None


def _is_layout(table: Element) -> bool:
    """Whether a table only places what stands in it: it says so, holds headings or other tables, or has one cell in
    each row, with paragraphs in it."""
    names = [local(node) for node in table.iter()]
    if attribute(table, "role") in ("presentation", "none") or names.count("table") > 1:
        return True
    if any(map(_HEADING.fullmatch, names)):
        return True
    cells = sum(name in ("td", "th") for name in names)
    return cells == names.count("tr") and "p" in names and "caption" not in names


def shown(holder: Element, text: str) -> str:
    """A text right within an element, in as many characters. Raised digits stay raised: 10<sup>6</sup> is not 106."""
    if local(holder) == "sup" and _POWER.fullmatch(text):
        return text.translate(RAISED_DIGITS)
    return text


def _says_back(types: Sequence[str]) -> bool:
    return "backlink" in types or "referrer" in types


def _level(name: str, node: Element) -> int:
    if found := _HEADING.fullmatch(name):
        return int(found[1])
    if attribute(node, "role") == "heading":
        said = attribute(node, "aria-level")
        return min(6, max(1, int(said))) if said.isdecimal() else 2
    return 0


def _as_counted(number: int, kind: str) -> str:
    """In letters or Roman numerals, where a list is counted so."""
    if kind in ("a", "A") and 1 <= number <= 26:
        return chr(ord(kind) + number - 1)
    return str(number)


def _whole(said: str | None, default: int) -> int:
    return int(said) if said is not None and re.fullmatch(r"-?\d{1,9}", said.strip()) else default


def _plain(node: Element) -> str:
    """The text of a cell on one line."""
    return " ".join("".join(_seen(node)).translate(CONTROL).split())


def _seen(node: Element) -> Iterator[str]:
    types = _types_of(node)
    if local(node) in _UNSEEN or "pagebreak" in types or (local(node) == "a" and _is_reference(node, types)):
        return
    yield node.text or ""
    for child in node:
        if isinstance(child.tag, str):
            apart = local(child) in APART or local(child) == "br"
            yield " " if apart else ""
            yield from _seen(child)
            yield " " if apart else ""
        yield child.tail or ""


def _formula(node: Element) -> str:
    return attribute(node, "alttext") or _signs(node)


def _signs(node: Element) -> str:
    """Of MathML, in the order in which they are said: a/b, x², √x."""
    name = local(node)
    if not name or name in _UNSEEN:
        return ""
    parts = [_signs(child) for child in node]
    if name == "mfrac" and len(parts) == 2:
        return "/".join(parts)
    if name == "msup" and len(parts) == 2 and parts[1].isdecimal():
        return parts[0] + parts[1].translate(RAISED_DIGITS)
    said = " ".join([node.text or "", *(f"{part} {child.tail or ''}" for part, child in zip(parts, node, strict=True))])
    return "√" * (name in ("msqrt", "mroot")) + " ".join(said.split())
