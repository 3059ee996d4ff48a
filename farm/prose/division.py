"""A paragraph into pieces that fit: the fewest, of even length, cut at the best places that there are.

Sentences, clauses, words and grapheme clusters are tried in this order, each only where a piece of the one before is
too long. What is left are atoms, and neighbouring atoms are put together again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from farm.prose.abbreviations import usage
from farm.prose.sentences import CLOSING, OPENING, Verdict, judge, may_part, sentence_ends


def divided(
    text: str, start: int, end: int, language: str, limit: int, inside: Collection[int]
) -> list[tuple[int, int]]:
    """The pieces of text[start:end], none longer than `limit`, never cut at a place that is `inside` of a unit."""
    if end - start <= limit:
        return [(start, end)]
    atoms = _atoms(text, start, end, language, limit, inside, 0, 0)
    pieces: list[tuple[int, int]] = []
    while block := list(islice(atoms, _BLOCK)):
        pieces += _evenly(block, limit)
    return pieces


# --- atoms: what is not cut any further -------------------------------------------------------------------------------

_STRAIN = (0, 10, 40, 60, 100)  # of a cut at each level, in hundredths of a full span squared
# Neighbours that together fill less than this part of a span are one atom: it bounds the work per atom.
_GRAIN = 16
_BLOCK = 20_000  # atoms that are put together at a time: no paragraph of prose has as many, and memory is bounded

# A comma within a number and a dash within a range are none; full-width and Arabic marks need no space after them.
_CLAUSE_END = re.compile(
    r"[,;:!?–][\"'”’»)\]]*(?=\s)|(?!(?<=\d)[，、：،]\d)[，、；：。！？…—،؛؟۔।។៕။།።፣։]+[」』”’）】》〉»]*"
)
_FULL_STOP = re.compile(r"\.[\"'”’»)\]]*\s+")
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
        partial(sentence_ends, language=language), partial(_clause_ends, language=language),
        partial(_phrase_ends, language=language), _word_ends, partial(_cluster_ends, limit=limit, inside=inside),
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


def _clause_ends(text: str, start: int, end: int, *, language: str) -> Iterator[int]:
    """With the full stops of which it is doubtful that they end a sentence."""
    rules = usage(language)
    ends = [found.end() for found in _CLAUSE_END.finditer(text, start, end)]
    stops = (found.end() for found in _FULL_STOP.finditer(text, start, end))
    ends += (cut for cut in stops if judge(text, start, cut, end, rules) is not Verdict.NONE)
    return iter(sorted(ends))


def _phrase_ends(text: str, start: int, end: int, *, language: str) -> Iterator[int]:
    """Between words that may be parted."""
    rules = usage(language)
    return (cut for cut in _word_ends(text, start, end) if may_part(text, start, cut, end, rules))


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
        ends = [each for each in ends if not _clings(text, start + each)] or ends
        least = end - start - (parts - 1) * limit  # a shorter part would make one more of them
        words = [each for each in ends if each >= least and 2 * each >= aim and _parts_words(text, start + each)]
        if words:
            start += min(words, key=lambda each: abs(each - aim))
        else:
            ends = [each for each in ends if not _runs_on(text, start + each)] or ends
            start += max((each for each in ends if each <= aim), default=ends[0] if ends else limit)
        while start in inside:
            start -= 1
        yield start


def _clings(text: str, cut: int) -> bool:
    """Whether a mark would be parted from what it closes or opens."""
    return text[cut] in CLOSING or text[cut] in "，、；：。！？…,.;:!?ー々" or text[cut - 1] in OPENING


# In scripts without spaces these show where a word begins: in Japanese a sign after hiragana, in Thai a vowel that
# is written before its consonant, in Chinese what follows 的; in an address its marks.
_WORD_BEGINS = re.compile(
    r"(?<=[\u3041-\u309f])(?<![おご])(?=[\u30a1-\u30fa\u4e00-\u9fffA-Za-z0-9])|(?=[\u0e40-\u0e44])|(?<=[的们們])(?![确確])"
    r"|(?<=[A-Za-z0-9][/?&#=_.-])(?=[A-Za-z0-9])"
)
_RUNS_ON = re.compile(r"(?<=[\u30a1-\u30ff])(?=[\u30a1-\u30ff])|(?<=[A-Za-z0-9])(?=[A-Za-z0-9])|(?<=[\u0e40-\u0e44])")


def _parts_words(text: str, cut: int) -> bool:
    return _WORD_BEGINS.match(text, cut) is not None


def _runs_on(text: str, cut: int) -> bool:
    return _RUNS_ON.match(text, cut) is not None


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
