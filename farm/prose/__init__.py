"""Prose into spans: where a text is cut for rendering, and what lies between the pieces.

    text ── paragraphs ── one span, if it fits
                       └─ sentences ── clauses ── words ── grapheme clusters, each where the one before is too long,
                          and put together again into the fewest spans, of even length

What is spoken is never changed: spans are offsets, they rise, and all that lies outside them is white space or a scene
break. Units are
passages to be read as something else, such as a word with a mark that says how it is pronounced: they are never cut,
and all measures and rules see what they are read as. Stretches are spoken in different ways: a span never crosses from
one into the next, and paragraphs are known by the text as a whole.

Paragraphs. A blank line (or U+2029) always ends one. In a hard-wrapped text (`_wrap_width` says how it is known) a
single line break joins where the line was full or the next one goes on in lower case, unless that one is indented
deeper. In any other text every line break ends a paragraph: it is one paragraph per line, verse, a dialogue or a list.
A span never crosses paragraphs, however short they are, so that the pause between two lines of a dialogue is the
listener's and not left to an engine, to which a line break means nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from unicodedata import category

from farm.prose.division import divided
from farm.prose.paragraphs import Paragraph, paragraphs


class Gap(StrEnum):
    """What follows a span."""

    SEGMENT = "segment"  # more of the same paragraph
    PARAGRAPH = "paragraph"
    HEADING = "heading"  # what was said is a heading; its text does not show that, so `spans` never says so
    SCENE = "scene"  # a scene break, which is not spoken
    CHAPTER = "chapter"  # the text is over


@dataclass(frozen=True, slots=True)
class Span:
    """text[start:end] is spoken, without white space at its ends."""

    start: int
    end: int
    gap: Gap


class Unit(NamedTuple):
    """text[start:end] is one thing and read as `shown`, a few characters without white space at the ends."""

    start: int
    end: int
    shown: str


class Stretch(NamedTuple):
    """From `start` to the start of the next one, or to the end of the text. Neither lies within a unit."""

    start: int
    language: str
    max_characters: int


def spans(
    text: str, language: str, max_characters: int, units: Sequence[Unit] = (), stretches: Sequence[Stretch] = ()
) -> Iterator[Span]:
    """Everything but white space and scene breaks, in order, in pieces of at most `max_characters`. `language` is a BCP
    47 tag or one of eSpeak's names; an unknown one is cut by the rules that most languages share. `units` rise and
    don't overlap. `stretches` rise, and the first begins at 0. Takes time linear in the text.

    A text of scene breaks alone has one span, of its first, so that there is something to render. Marks at
    the edge of a stretch belong to the word that they close, and marks alone are no span."""
    if max_characters < 1:
        raise ValueError(f"a segment of {max_characters} characters holds no text")
    stretches = stretches or (Stretch(0, language, max_characters),)
    if not units:
        yield from _spans(text, stretches, frozenset())
        return
    typeset = _Typeset(text, units, max(stretch.max_characters for stretch in stretches))
    shown = [stretch._replace(start=typeset.place(stretch.start)) for stretch in stretches]
    for span in _spans(typeset.shown, shown, typeset.inside):
        yield Span(typeset.origin(span.start), typeset.origin(span.end), span.gap)


class _Typeset:
    """A text with its units as they are read, and where each place of it comes from."""

    def __init__(self, text: str, units: Iterable[Unit], limit: int) -> None:
        pieces: list[str] = []
        inside: set[int] = set()
        self._shown, self._origins = [0], [0]  # where units end, in either
        at = position = 0
        for unit in units:
            shown = unit.shown[:limit].rstrip()  # the longest there is place for
            pieces += (text[position : unit.start], shown)
            at += unit.start - position + len(shown)
            inside.update(range(at - len(shown) + 1, at))
            position = unit.end
            self._shown.append(at)
            self._origins.append(position)
        self.shown = "".join((*pieces, text[position:]))
        self.inside = frozenset(inside)  # the places where it must not be cut

    def origin(self, place: int) -> int:
        index = bisect_right(self._shown, place) - 1
        return self._origins[index] + place - self._shown[index]

    def place(self, origin: int) -> int:
        index = bisect_right(self._origins, origin) - 1
        return self._shown[index] + origin - self._origins[index]


def _spans(text: str, stretches: Sequence[Stretch], inside: Collection[int]) -> Iterator[Span]:
    ending: tuple[int, int] | None = None
    scene_break: Paragraph | None = None
    for paragraph in paragraphs(text):
        if paragraph.is_scene_break:
            scene_break = scene_break or paragraph
            continue
        if ending is not None:
            yield Span(*ending, Gap.PARAGRAPH if scene_break is None else Gap.SCENE)
        *inner, ending = _pieces(text, paragraph, stretches, inside)
        scene_break = None
        for piece in inner:
            yield Span(*piece, Gap.SEGMENT)
    if ending is not None:
        yield Span(*ending, Gap.CHAPTER)
    elif scene_break is not None:
        start = scene_break.start
        most = stretches[0].max_characters
        yield Span(start, start + len(text[start : scene_break.end][:most].rstrip()), Gap.CHAPTER)


def _pieces(
    text: str, paragraph: Paragraph, stretches: Sequence[Stretch], inside: Collection[int]
) -> Iterator[tuple[int, int]]:
    for start, end, stretch in _stretched(text, paragraph, stretches):
        yield from divided(text, start, end, stretch.language, stretch.max_characters, inside)


def _stretched(text: str, paragraph: Paragraph, stretches: Sequence[Stretch]) -> list[tuple[int, int, Stretch]]:
    """The part that each stretch has in the paragraph, without white space at its ends."""
    first = bisect_right(stretches, paragraph.start, key=lambda stretch: stretch.start) - 1
    last = bisect_left(stretches, paragraph.end, key=lambda stretch: stretch.start)
    found: list[tuple[int, int, Stretch]] = []
    leading: int | None = None  # where marks begin that have no stretch before them
    for number in range(first, last):
        start = max(paragraph.start, stretches[number].start)
        end = min(paragraph.end, stretches[number + 1].start) if number + 1 < len(stretches) else paragraph.end
        piece = text[start:end]
        start, end = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        if found and found[-1][1] == start:  # what closes the words before it
            closing = _closing(text, start, end)
            found[-1] = found[-1][0], start + closing, found[-1][2]
            start += closing
            start += len(text[start:end]) - len(text[start:end].lstrip())
        if start >= end:
            continue
        if _are_marks(text[start:end]):
            if found:
                found[-1] = found[-1][0], end, found[-1][2]
            elif leading is None:
                leading = start
            continue
        found.append((start if leading is None else leading, end, stretches[number]))
        leading = None
    return found or [(paragraph.start, paragraph.end, stretches[first])]


def _closing(text: str, start: int, end: int) -> int:
    """How many marks at the beginning of text[start:end] belong to the word before them: those that a space follows."""
    place = start
    while place < end and _is_mark(text[place]) and category(text[place]) not in ("Ps", "Pi"):
        place += 1
    return place - start if place == end or text[place].isspace() else 0


_SAID = frozenset("%‰‱&@#*§/\\†‡¶")  # marks that have a word


def _are_marks(text: str) -> bool:
    return all(letter.isspace() or _is_mark(letter) for letter in text)


def _is_mark(letter: str) -> bool:
    return category(letter).startswith("P") and letter not in _SAID
