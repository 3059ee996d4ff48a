"""Prose into spans: where a text is cut for rendering, and what lies between the pieces.

    text ── paragraphs ── one span, if it fits
                       └─ sentences ── clauses ── words ── grapheme clusters, each where the one before is too long,
                          and put together again into the fewest spans, of even length

What is spoken is never changed: spans are offsets, they rise, and all that lies outside them is white space. Units are
passages to be read as something else, such as a word with a mark that says how it is pronounced: they are never cut,
and all measures and rules see what they are read as.

Paragraphs. A blank line (or U+2029) always ends one. In a hard-wrapped text (`_wrap_width` says how it is known) a
single line break joins where the line was full or the next one goes on in lower case, unless that one is indented
deeper. In any other text every line break ends a paragraph: it is one paragraph per line, verse, a dialogue or a list.
A span never crosses paragraphs, however short they are, so that the pause between two lines of a dialogue is the
listener's and not left to an engine, to which a line break means nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import chain, islice
from typing import NamedTuple


class Gap(StrEnum):
    """What follows a span."""

    SEGMENT = "segment"  # more of the same paragraph
    PARAGRAPH = "paragraph"
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
    """Everything but white space, in order, in pieces of at most `max_characters`. `language` is a BCP 47 tag or one of
    eSpeak's names; an unknown one is cut by the rules that most languages share. `units` rise and don't overlap. Takes
    time linear in the text."""
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
    for start, end in _paragraphs(text):
        if ending is not None:
            yield Span(*ending, Gap.PARAGRAPH)
        *inner, ending = _divided(text, start, end, language, max_characters, inside)
        for piece in inner:
            yield Span(*piece, Gap.SEGMENT)
    if ending is not None:
        yield Span(*ending, Gap.CHAPTER)


def _divided(
    text: str, start: int, end: int, language: str, limit: int, inside: Collection[int]
) -> list[tuple[int, int]]:
    if end - start <= limit:
        return [(start, end)]
    return _evenly(list(_atoms(text, start, end, language, limit, inside, 0, 0)), limit)


# --- paragraphs -------------------------------------------------------------------------------------------------------

_LINE_END = re.compile(r"(\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029])(\s*)")
_INDENT = " \t\x1f\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_FIRST_WORD = re.compile(r"[\u2e80-\ua4cf\uf900-\ufaff\uff00-\uffef]|\S{1,40}")  # a line of Chinese breaks anywhere
_CLOSERS = "\"'”’»)]」』）】》"
_STOPS = frozenset(".!?:;…。！？：；؟۔।")
_SAMPLE = 4_000  # lines that show how a text is wrapped
_WIDTHS = range(30, 121)  # nobody wraps narrower or wider


class _Line(NamedTuple):
    start: int
    end: int
    next: int  # where the next line with text starts
    last: bool  # a blank line or the end of the text follows
    deeper: bool  # the next line is indented more than this one


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    width = _wrap_width(text)
    start: int | None = None
    for line in _lines(text):
        start = line.start if start is None else start
        if line.last or not width or line.deeper or not (_full(text, line, width) or text[line.next].islower()):
            yield start, line.end
            start = None


def _lines(text: str) -> Iterator[_Line]:
    """The lines that are not blank, without white space at their ends."""
    start, indent = len(text) - len(text.lstrip()), 0
    for found in _LINE_END.finditer(text, start):
        lead = len(found[2]) - len(found[2].rstrip(_INDENT))
        last = lead < len(found[2]) or found[1] == "\u2029" or found.end() == len(text)
        yield _Line(start, start + len(text[start : found.start()].rstrip()), found.end(), last, lead > indent)
        start, indent = found.end(), lead
    if start < len(text):
        yield _Line(start, start + len(text[start:].rstrip()), len(text), True, False)


def _wrap_width(text: str) -> int:
    """The width at which a text is hard-wrapped, 0 when it is not. It is when at least a quarter of its single line
    breaks come after a full line, amid a sentence, and before a word without a capital: of wrapped English prose 55 to
    65 % do and of German 45 %, of verse, dialogue and one paragraph per line next to none."""
    broken = [line for line in islice(_lines(text), _SAMPLE) if not line.last]
    if not broken:
        return 0
    lengths = sorted(line.end - line.start for line in broken)
    width = lengths[len(lengths) * 19 // 20]  # the longest may be a heading or a table
    if width not in _WIDTHS:
        return 0
    tight = sum(
        _full(text, line, width) and not _stops(text, line) and not text[line.next].isupper() for line in broken
    )
    return width if tight * 4 >= len(broken) else 0


def _full(text: str, line: _Line, width: int) -> bool:
    """Whether the next line's first word would not have fitted; a tenth of the width is left to ragged wrapping."""
    word = _FIRST_WORD.match(text, line.next)
    return word is not None and line.end - line.start + 1 + len(word[0]) + width // 10 > width


def _stops(text: str, line: _Line) -> bool:
    return text[max(line.start, line.end - 8) : line.end].rstrip(_CLOSERS)[-1:] in _STOPS


# --- atoms: what is not cut any further -------------------------------------------------------------------------------


_STRAIN = (0, 10, 40, 100)  # of a cut at each level, in hundredths of a full span squared
# Neighbours that together fill less than this part of a span are one atom: it bounds the work per atom.
_GRAIN = 16
# Open quotation marks cost sentencex the square of their number: 692 s for a million of them.
_WINDOW = 10_000
_CHINESE = {"cmn": "zh", "yue": "zh"}  # what eSpeak calls Mandarin and Cantonese

# A comma within a number and a dash within a range are none; full-width and Arabic marks need no space after them.
_CLAUSE_END = re.compile(r"[,;:!?–][\"'”’»)\]]*(?=\s)|[，、；：。！？…—،؛؟۔।]+[」』”’）】》〉»]*")
_SPACE = re.compile(r"\s+")


class _Atom(NamedTuple):
    start: int
    end: int
    strain: int  # of ending a span after it


def _atoms(
    text: str, start: int, end: int, language: str, limit: int, inside: Collection[int], level: int, strain: int
) -> Iterator[_Atom]:
    """What is cut at this level, and at the next where it is still too long. `strain` is that of a cut at `end`."""
    levels = (
        partial(_sentence_ends, language=language), _clause_ends, _word_ends,
        partial(_cluster_ends, limit=limit, inside=inside),
    )  # fmt: skip
    cuts = (cut for cut in levels[level](text, start, end) if cut not in inside)
    for first, last in _pieces(text, start, cuts, end, limit // _GRAIN):
        after = strain if last == end else _STRAIN[level]
        if last - first <= limit:
            yield _Atom(first, last, after)
        else:
            yield from _atoms(text, first, last, language, limit, inside, level + 1, after)


def _pieces(text: str, start: int, cuts: Iterable[int], end: int, grain: int) -> Iterator[tuple[int, int]]:
    """What lies between cuts, without white space at the ends; tiny ones are joined up to the grain."""
    held: tuple[int, int] | None = None
    for cut in chain(cuts, (end,)):
        piece = text[start:cut]
        spoken = piece.strip()
        if spoken:
            first = start + len(piece) - len(piece.lstrip())
            last = first + len(spoken)
            if held is not None and last - held[0] <= grain:
                first = held[0]
            elif held is not None:
                yield held
            held = first, last
        start = cut
    if held is not None:
        yield held


def _sentence_ends(text: str, start: int, end: int, *, language: str) -> Iterator[int]:
    from sentencex import segment  # here, because the API and the client read plans and never make one

    tag = language.lower().replace("_", "-").partition("-")[0]
    while start < end:
        window = text[start : min(start + _WINDOW, end)]
        goes_on = start + len(window) < end
        sentences: list[str] = segment(_CHINESE.get(tag, tag), window)
        if goes_on and len(sentences) == 1:
            start += len(window)
            continue
        for sentence in sentences[:-1] if goes_on else sentences:
            start += len(sentence)
            if not _initial(sentence):
                yield start


def _initial(sentence: str) -> bool:
    """Whether it ends in a single capital and a full stop, as in French before "Dupont" (M.), where sentencex cuts."""
    tail = sentence.rstrip()[-3:]
    return tail[-1:] == "." and tail[-2:-1].isupper() and not tail[:-2].isalnum()


def _clause_ends(text: str, start: int, end: int) -> Iterator[int]:
    return (found.end() for found in _CLAUSE_END.finditer(text, start, end))


def _word_ends(text: str, start: int, end: int) -> Iterator[int]:
    return (found.end() for found in _SPACE.finditer(text, start, end))


def _cluster_ends(text: str, start: int, end: int, *, limit: int, inside: Collection[int]) -> Iterator[int]:
    """Cuts of an unbroken run into even parts, between grapheme clusters (UAX 29); one longer than the limit is cut."""
    import regex  # the standard library knows no clusters; here for the same reason as sentencex

    cluster = regex.compile(r"\X")
    while end - start > limit:
        parts = -(-(end - start) // limit)
        aim = -(-(end - start) // parts)
        # A copy, because in place each flag looks back over all flags before it; one character beyond the limit shows
        # whether a cluster ends there.
        window = text[start : min(start + limit + 1, end)]
        ends = [found.end() for found in cluster.finditer(window) if found.end() <= limit]
        ends = [each for each in ends if start + each not in inside]
        start += max((each for each in ends if each <= aim), default=ends[0] if ends else limit)
        while start in inside:
            start -= 1
        yield start


# --- atoms into spans -------------------------------------------------------------------------------------------------


def _evenly(atoms: Sequence[_Atom], limit: int) -> list[tuple[int, int]]:
    """Neighbouring atoms together, into as few spans as will do; of all such ways the one with the least sum of squared
    lengths, which is the most even one, plus the strain of its cuts. Dynamic programming: the best way to end before an
    atom is the best of those one span earlier."""
    best = [(0, 0)]  # before each atom: spans, cost
    begins = []  # the first atom of the span that ends with each atom
    for index, atom in enumerate(atoms):
        ways = []
        for first in range(index, -1, -1):
            length = atom.end - atoms[first].start
            if length > limit:
                break
            count, cost = best[first]
            ways.append((count + 1, cost + 100 * length * length, first))
        count, cost, first = min(ways)
        best.append((count, cost + atom.strain * limit * limit))
        begins.append(first)
    made = []
    index = len(atoms) - 1
    while index >= 0:
        made.append((atoms[begins[index]].start, atoms[index].end))
        index = begins[index] - 1
    return made[::-1]
