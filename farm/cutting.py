"""Where the chapters of a job are cut into pieces, and the silence behind each."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from farm.pronunciation import marks, plain
from farm.prose import Gap, Span, Stretch, Unit, spans
from farm.script import Delivery, Laid, Script
from farm.spelling import plain_spelling


@dataclass(frozen=True, slots=True)
class Part:
    """A chapter to be planned. `voice` is resolved: a built-in voice's name, or an uploaded one's content digest.
    `text` is its input; `script` says what of that is spoken, and how, where that is more than the text."""

    title: str
    text: str
    voice: str
    uploaded: bool = False
    target_duration_ms: int | None = None  # of its audio, without the pause after it
    headings: frozenset[int] = frozenset()  # where paragraphs begin that are headings
    character: str | None = None  # of the cast, to whom the voice belongs
    script: Script | None = None


@dataclass(frozen=True, slots=True)
class Cutting:
    """How texts are cut. `has_marks`: the model reads marks that say how a word is pronounced, so those are not cut,
    and count as the word."""

    language: str
    max_characters: int
    has_marks: bool = False
    limits: Mapping[str, int] = field(default_factory=dict)  # language -> max_characters, of others that occur

    def stretch(self, start: int, delivery: Delivery) -> Stretch:
        language = delivery.language or self.language
        return Stretch(start, language, self.limits.get(language, self.max_characters))


class Piece(NamedTuple):
    """laid.text[start:end] is a segment."""

    start: int
    end: int
    pause_ms: int
    characters: int  # that it is read as
    laid: Laid


class Cutter:
    """Cuts chapters alike. `silence`: milliseconds by what lies between two pieces."""

    def __init__(self, cutting: Cutting, silence: Mapping[Gap, int]) -> None:
        self._cutting, self._silence = cutting, silence

    def pieces(self, part: Part) -> Iterator[Piece]:
        """Of one chapter, in their order. A stop that the markup asks for replaces the pause that would be there."""
        laid = Laid(part.script or Script.plain(part.text))
        units = self._units(laid)
        found = self._spans(laid, units, laid.places(part.headings))
        stops = deque((place, ms) for place, ms in laid.stops if ms is not None)
        for span, following in _with_next(found):
            pause_ms = self._silence[span.gap]
            if stops and (following is None or stops[0][0] <= following.start):
                pause_ms = 0
                while stops and (following is None or stops[0][0] <= following.start):
                    pause_ms += stops.popleft()[1]
            text = laid.text[span.start : span.end]
            characters = len(plain(text) if self._cutting.has_marks else text)
            yield Piece(span.start, span.end, pause_ms, characters, laid)

    def _units(self, laid: Laid) -> list[Unit]:
        """What is never cut: what is said in place of something else, and marks of pronunciation."""
        has_marks = self._cutting.has_marks
        replaced = [
            Unit(start, end, plain(laid.text[start:end]) if has_marks else laid.text[start:end])
            for start, end in laid.replaced
        ]
        if not has_marks:
            return replaced
        return sorted((*replaced, *(mark for mark in marks(laid.text) if not _overlaps(mark, replaced))))

    def _spans(self, laid: Laid, units: Sequence[Unit], headings: frozenset[int]) -> Iterator[Span]:
        cutting, in_heading, begins = self._cutting, False, True
        stretches = [cutting.stretch(start, delivery) for start, delivery in laid.stretches]
        for whole in spans(laid.text, cutting.language, cutting.max_characters, units, stretches):
            in_heading = whole.start in headings if begins else in_heading
            begins = whole.gap is not Gap.SEGMENT
            if in_heading and whole.gap is Gap.PARAGRAPH:
                whole = Span(whole.start, whole.end, Gap.HEADING)
            yield from _within(laid.text, whole, cutting.stretch(0, laid.delivery(whole.start)), units)


def _overlaps(unit: Unit, others: Sequence[Unit]) -> bool:
    """Others rise."""
    behind = bisect_left(others, unit.end, key=lambda other: other.start)
    return behind > 0 and others[behind - 1].end > unit.start


def _with_next(found: Iterator[Span]) -> Iterator[tuple[Span, Span | None]]:
    held: Span | None = None
    for span in found:
        if held is not None:
            yield held, span
        held = span
    if held is not None:
        yield held, None


def _within(text: str, span: Span, stretch: Stretch, units: Sequence[Unit]) -> Iterator[Span]:
    """The span, or pieces of it where its plain spelling is longer than the limit: one ﷺ becomes 18 characters."""
    piece = text[span.start : span.end]
    inner = _shifted(units, span)
    read = _shown(piece, inner)
    _, language, limit = stretch
    length = len(plain_spelling(read, language))
    pieces = list(spans(piece, language, max(1, limit * len(read) // length), inner)) if length > limit else []
    if len(pieces) < 2:  # it fits, or is one unit that is never cut
        yield span
        return
    for number, part in enumerate(pieces, 1):
        gap = span.gap if number == len(pieces) else Gap.SEGMENT
        yield from _within(text, Span(span.start + part.start, span.start + part.end, gap), stretch, units)


def _shifted(units: Sequence[Unit], span: Span) -> list[Unit]:
    """Those within the span, with their places in it."""
    first = bisect_left(units, span.start, key=lambda unit: unit.start)
    last = bisect_left(units, span.end, key=lambda unit: unit.start)
    return [Unit(start - span.start, end - span.start, shown) for start, end, shown in units[first:last]]


def _shown(text: str, units: Sequence[Unit]) -> str:
    pieces, position = [], 0
    for unit in units:
        pieces += [text[position : unit.start], unit.shown]
        position = unit.end
    return "".join((*pieces, text[position:]))
