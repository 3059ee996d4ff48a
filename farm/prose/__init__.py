"""Prose into spans: where a text is cut for rendering, and what lies between the pieces.

    text ── paragraphs ── one span, if it fits
                       └─ sentences ── clauses ── words ── grapheme clusters, each where the one before is too long,
                          and put together again into the fewest spans, of even length

What is spoken is never changed: spans are offsets, they rise, and all that lies outside them is white space or a scene
break. Units are
passages to be read as something else, such as a word with a mark that says how it is pronounced: they are never cut,
and all measures and rules see what they are read as.

Paragraphs. A blank line (or U+2029) always ends one. In a hard-wrapped text (`_wrap_width` says how it is known) a
single line break joins where the line was full or the next one goes on in lower case, unless that one is indented
deeper. In any other text every line break ends a paragraph: it is one paragraph per line, verse, a dialogue or a list.
A span never crosses paragraphs, however short they are, so that the pause between two lines of a dialogue is the
listener's and not left to an engine, to which a line break means nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

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


def spans(text: str, language: str, max_characters: int, units: Sequence[Unit] = ()) -> Iterator[Span]:
    """Everything but white space and scene breaks, in order, in pieces of at most `max_characters`. `language` is a BCP
    47 tag or one of eSpeak's names; an unknown one is cut by the rules that most languages share. `units` rise and
    don't overlap. Takes time linear in the text.

    A text of scene breaks alone has one span, of its first, so that there is something to render."""
    if max_characters < 1:
        raise ValueError(f"a segment of {max_characters} characters holds no text")
    if not units:
        yield from _spans(text, language, max_characters, frozenset())
        return
    typeset = _Typeset(text, units, max_characters)
    for span in _spans(typeset.shown, language, max_characters, typeset.inside):
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


def _spans(text: str, language: str, max_characters: int, inside: Collection[int]) -> Iterator[Span]:
    ending: tuple[int, int] | None = None
    scene_break: Paragraph | None = None
    for paragraph in paragraphs(text):
        if paragraph.is_scene_break:
            scene_break = scene_break or paragraph
            continue
        if ending is not None:
            yield Span(*ending, Gap.PARAGRAPH if scene_break is None else Gap.SCENE)
        *inner, ending = divided(text, paragraph.start, paragraph.end, language, max_characters, inside)
        scene_break = None
        for piece in inner:
            yield Span(*piece, Gap.SEGMENT)
    if ending is not None:
        yield Span(*ending, Gap.CHAPTER)
    elif scene_break is not None:
        start = scene_break.start
        yield Span(start, start + len(text[start : scene_break.end][:max_characters].rstrip()), Gap.CHAPTER)
