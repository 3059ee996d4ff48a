"""Puts elements around stretches of the text of a page, and changes nothing else of it.

A stretch becomes one span where it holds whole elements, such as an emphasis, a link or a reference to a note. Where an
element ends within it, each piece of its text has a span of its own: no element is cut in two, and none is moved out of
its parent. Taking the spans away gives the page as it was, byte by byte.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lxml import etree

from farm.documents.html import is_silent, shown
from farm.documents.line import CONTROL
from farm.documents.vocabulary import APART
from farm.documents.xml import VOID, Element, local

_XHTML = "{http://www.w3.org/1999/xhtml}"
# Elements that hold only elements of certain names.
_STRICT_NAMES = "ul ol menu dl table thead tbody tfoot tr colgroup hgroup ruby"
_STRICT = frozenset(_STRICT_NAMES.split())


@dataclass(frozen=True, slots=True)
class _Run:
    """A text of the tree: that within a node before its first child, or that behind it. `start` is the place of its
    first letter among all of the page, and `end` that behind its last. Marking cuts the text, from its end on."""

    node: Element
    is_tail: bool
    start: int
    end: int

    @property
    def holder(self) -> Element:
        """The element that the text stands in."""
        return self.node.getparent() if self.is_tail else self.node

    @property
    def text(self) -> str:
        return (self.node.tail if self.is_tail else self.node.text) or ""

    def lies_in(self, element: Element) -> bool:
        return self.holder is element or any(each is element for each in self.holder.iterancestors())


@dataclass(frozen=True, slots=True)
class _Slice:
    """run.text[start:end]. `letters` of it are no white space."""

    run: _Run
    start: int
    end: int
    letters: int


@dataclass(frozen=True, slots=True)
class Piece:
    """An element that was put around text."""

    id: str
    letters: int


class MarkedPage:
    """`letters` is the text of a page that is read aloud, without white space."""

    def __init__(self, root: Element) -> None:
        self.root = root
        self._runs: list[_Run] = []
        self._known: tuple[_Run, Sequence[int]] | None = None
        pieces: list[str] = []
        self._joints = {0}
        length = 0
        for node, is_tail in _texts(next((one for one in root.iter() if local(one) == "body"), root)):
            holder = node.getparent() if is_tail else node
            words = shown(holder, (node.tail if is_tail else node.text) or "").translate(CONTROL).split()
            if not words:
                self._joints.add(length)
                continue
            start = length
            for word in words:
                pieces.append(word)
                length += len(word)
                self._joints.add(length)
            self._runs.append(_Run(node, is_tail, start, length))
        self.letters = "".join(pieces)

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(
            value for node in self.root.iter() for key, value in node.attrib.items() if key.rpartition("}")[2] == "id"
        )

    def is_joint(self, at: int) -> bool:
        """Whether words end there: not between two letters of a script that has spaces."""
        if at in self._joints or not 0 < at < len(self.letters):
            return True
        before, after = self.letters[at - 1], self.letters[at]
        return not (before.isalnum() and after.isalnum() and before < "\u0e00" and after < "\u0e00")

    def mark(self, start: int, end: int, id: str) -> list[Piece]:
        """Marks letters[start:end]. Stretches are marked from the last to the first, and do not overlap. Empty where
        no element can stand around the text."""
        slices = list(self._slices(start, end))
        if len(slices) > 1 and self._surround(slices, start, end, id):
            return [Piece(id, end - start)]
        kept = [each for each in slices if _is_free(each.run.holder)]
        pieces = [Piece(f"{id}_{number}" if number else id, each.letters) for number, each in enumerate(kept)]
        for each, piece in zip(reversed(kept), reversed(pieces), strict=True):
            _surround_text(each, piece.id)
        return pieces

    def link(self, href: str) -> None:
        """A style sheet, where the page has a head."""
        head = next((node for node in self.root.iter(f"{_XHTML}head")), None)
        if head is not None:
            attributes = {"rel": "stylesheet", "type": "text/css", "href": href}
            head.append(head.makeelement(f"{_XHTML}link", attributes))

    def written(self) -> bytes:
        """As UTF-8. Elements without content keep both of their tags, for readers that take the page for HTML."""
        for node in self.root.iter(f"{_XHTML}*"):
            if len(node) == 0 and node.text is None and local(node) not in VOID:
                node.text = ""
        return bytes(etree.tostring(self.root.getroottree(), encoding="utf-8", xml_declaration=True))

    def _slices(self, start: int, end: int) -> Iterator[_Slice]:
        number = bisect_right(self._runs, start, key=lambda run: run.start) - 1
        while number < len(self._runs) and self._runs[number].start < end:
            run = self._runs[number]
            places = self._places_in(run)
            first, last = max(0, start - run.start), min(len(places), end - run.start)
            if first < last:
                yield _Slice(run, places[first], places[last - 1] + 1, last - first)
            number += 1

    def _places_in(self, run: _Run) -> Sequence[int]:
        """Of its letters in its text. They are kept for the next sentence, which has begun in the same text mostly; the
        text has been cut behind that since."""
        if self._known is None or self._known[0] is not run:
            self._known = (
                run,
                [at for at, sign in enumerate(run.text) if not sign.isspace() and ord(sign) not in CONTROL],
            )
        return self._known[1]

    def _surround(self, slices: Sequence[_Slice], start: int, end: int, id: str) -> bool:
        """One span around all of them, if that cuts no element."""
        first, last = slices[0], slices[-1]
        parent = _common(first.run.holder, last.run.holder)
        top_first, top_last = _below(parent, first.run.holder), _below(parent, last.run.holder)
        if not _is_free(parent) or local(parent) in _STRICT:
            return False
        if not (self._begins(top_first, first.run, start) and self._ends(top_last, last.run, end)):
            return False
        place = parent.index(top_first) if top_first is not None else _behind(first.run, parent)
        moved = parent[place : parent.index(top_last if top_last is not None else last.run.node) + 1]
        if any(local(node) in APART for each in moved for node in each.iter()):
            return False
        span = parent.makeelement(f"{_XHTML}span", {"id": id})
        if top_last is not None:
            span.tail, top_last.tail = top_last.tail, None
        else:
            text = last.run.text
            span.tail, last.run.node.tail = text[last.end :], text[: last.end]
        if top_first is None:
            text = first.run.text
            span.text = text[first.start :]
            _set(first.run, text[: first.start])
        for node in moved:
            span.append(node)
        parent.insert(place, span)
        return True

    def _begins(self, element: Element, run: _Run, start: int) -> bool:
        """Whether the letters of the element begin at `start`, in that run. None begins anywhere."""
        number = bisect_right(self._runs, start, key=lambda each: each.start) - 1
        return element is None or (start == run.start and not (number and self._runs[number - 1].lies_in(element)))

    def _ends(self, element: Element, run: _Run, end: int) -> bool:
        """As _begins."""
        number = bisect_right(self._runs, end - 1, key=lambda each: each.start)
        following = self._runs[number] if number < len(self._runs) else None
        return element is None or (end == run.end and not (following is not None and following.lies_in(element)))


def _texts(element: Element) -> Iterator[tuple[Element, bool]]:
    yield element, False
    for child in element:
        if not is_silent(child) and local(child) != "math":
            yield from _texts(child)
        yield child, True


def _is_free(holder: Element) -> bool:
    """Whether a span can stand in the element beside its text."""
    return str(holder.tag).startswith(_XHTML) and local(holder) not in _STRICT - {"ruby"}


def _surround_text(each: _Slice, id: str) -> None:
    run, text, parent = each.run, each.run.text, each.run.holder
    span = parent.makeelement(f"{_XHTML}span", {"id": id})
    span.text, span.tail = text[each.start : each.end], text[each.end :]
    _set(run, text[: each.start])
    parent.insert(_behind(run, parent), span)


def _set(run: _Run, text: str) -> None:
    if run.is_tail:
        run.node.tail = text
    else:
        run.node.text = text


def _behind(run: _Run, parent: Element) -> int:
    """The number of the child that stands behind the text."""
    return parent.index(run.node) + 1 if run.is_tail else 0


def _common(one: Element, other: Element) -> Element:
    """The lowest element that holds both, or is one of them."""
    above = {one, *one.iterancestors()}
    return next(each for each in (other, *other.iterancestors()) if each in above)


def _below(parent: Element, holder: Element) -> Element:
    """The child of `parent` that is `holder`, or holds it; None where they are one."""
    if holder is parent:
        return None
    return next(each for each in (holder, *holder.iterancestors()) if each.getparent() is parent)
