"""The order in which a line of Hebrew or Arabic is read, from where its letters stand on a page.

A PDF says where each letter stands, and nothing of their order. Letters of these scripts follow each other from right
to left; numbers, and words of other scripts, from left to right among them. This is the way back from what the Unicode
Bidirectional Algorithm (UAX #9) shows, in a paragraph from right to left without embeddings.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

_KINDS = {
    "L": "l", "R": "r", "AL": "a", "EN": "n", "AN": "n", "CS": "c", "ES": "s", "ET": "e", "NSM": "m", "WS": "w",
}  # fmt: skip
_STRETCH = re.compile(r"[^ra]+")  # what is not read from right to left
# Words, and a number behind them, as in `Windows 10`. A number that stands apart was read before the words.
_WORDS = re.compile(r"[ln](?:.*l)?(?:[wcseo]?e{0,3}n+(?:[cs]n+)*e{0,3})?")
_NUMBER = re.compile(r"e{0,3}n+(?:[cs]n+)*e{0,3}")
_NUMBER_IN_ARABIC = re.compile(r"n+(?:cn+)*")
_PAIRS = ("()", "[]", "{}", "«»", "‹›")
_BRACKET = re.compile(r"[()\[\]{}«»‹›]")
_ALEFS = "اأإآٱ"
_FORMS = re.compile("[\ufb1d-\ufb4f\ufb50-\ufdff\ufe70-\ufefc]+")  # letters in the forms that joined letters have
_SPACE = 0.18  # of the height of a line: a wider gap is a space


@dataclass(frozen=True, slots=True)
class Letter:
    """One character and its place from left to right, in points. Characters of one glyph, such as a letter with its
    points or a ligature, have one origin."""

    text: str
    origin: float
    left: float
    right: float

    @property
    def place(self) -> tuple[float, float]:
        return self.origin, self.left


def is_from_right(text: str) -> bool:
    """Whether most letters of a page are read from right to left."""
    kinds = [_kind(character) for character in text]
    return sum(kind in "ra" for kind in kinds) > kinds.count("l")


def apart(letters: Iterable[Letter], gap: float) -> list[list[Letter]]:
    """Letters at one height, in parts from left to right that are so many points apart."""
    parts: list[list[Letter]] = []
    end = 0.0
    for letter in sorted(letters, key=lambda each: each.place):
        if not parts or letter.origin - end > gap:
            parts.append([])
            end = letter.right
        parts[-1].append(letter)
        end = max(end, letter.right)
    return parts


def in_order(letters: Iterable[Letter], height: float) -> str:
    """The text of one line of this height, in points."""
    row = _from_left(list(letters), height)
    kinds = "".join(_kind(text[0]) for text in row)
    if not re.search("[ra]", kinds):
        return "".join(row)
    runs = dict(_runs(row, kinds))  # what is read from left to right: end -> start
    said, place = [], len(row)
    while place > 0:
        start = runs.get(place)
        if start is None:
            start = place - 1
            said.append(row[start])
        else:
            said.extend(row[start:place])
        place = start
    return unicodedata.normalize("NFC", _FORMS.sub(_plain, _with_sides(" ".join("".join(said).split()))))


def _from_left(letters: Sequence[Letter], height: float) -> list[str]:
    """Letters with their marks, and spaces, as they stand from left to right."""
    bases = sorted(_from_last([each for each in letters if _kind(each.text) != "m"]), key=lambda each: each.place)
    marks: dict[int, str] = {}
    for mark in (each for each in letters if _kind(each.text) == "m"):
        place = _base_of(mark, bases)
        marks[place] = marks.get(place, "") + mark.text
    starts: dict[float, float] = {}  # origin of a glyph -> where it is black
    for each in letters:
        starts[each.origin] = min(each.left, starts.get(each.origin, each.left))
    row: list[str] = []
    end = None
    for place, base in enumerate(bases):
        if end is not None and base.origin - end > _SPACE * height and not (row[-1].isspace() or base.text.isspace()):
            row.append(" ")
        row.append(base.text + marks.get(place, ""))
        right = base.right + max(0.0, starts[base.origin] - base.origin)  # as much white as on its left
        end = right if end is None else max(end, right)
    return row


def _from_last(bases: Sequence[Letter]) -> Iterator[Letter]:
    """Letters of one ligature may have one place: what is read first stands on the right."""
    for _, glyph in groupby(bases, key=lambda each: each.place):
        together = list(glyph)
        of_alef_first = len(together) == 2 and together[0].text in _ALEFS  # no letter is joined to it from the left
        if _kind(together[0].text) in "ra" and not of_alef_first:
            together.reverse()
        yield from together


def _base_of(mark: Letter, bases: Sequence[Letter]) -> int:
    """The letter of the same glyph, else the nearest."""
    after = bisect(bases, mark.place, key=lambda each: each.place)
    near = range(max(0, after - 2), min(len(bases), after + 2))
    return min(
        near, key=lambda place: (bases[place].origin != mark.origin, abs(bases[place].left - mark.left)), default=0
    )


def _runs(row: Sequence[str], kinds: str) -> Iterable[tuple[int, int]]:
    """(end, start) of each run that is read from left to right."""
    for stretch in _STRETCH.finditer(kinds):
        first = stretch.start()
        if "l" in stretch[0] and (words := _WORDS.search(kinds, first, stretch.end())):
            first = _with_brackets(row, *words.span())
            yield first, words.start()
        before = kinds[stretch.end() : stretch.end() + 1]  # what was read before stands on the right
        number = _NUMBER_IN_ARABIC if before == "a" else _NUMBER
        for found in number.finditer(kinds, first, stretch.end()):
            yield found.end(), found.start()


def _with_brackets(row: Sequence[str], start: int, end: int) -> int:
    """The end of a run after the bracket that closes one within it: `English (word)`."""
    pair = next((pair for pair in _PAIRS if end < len(row) and row[end] in pair), None)
    return end + 1 if pair and sum(text in pair for text in row[start:end]) % 2 else end


def _with_sides(said: str) -> str:
    """Brackets as they open and close. Whether a PDF tells the shape of a bracket or its meaning differs from program
    to program, and what stands beside it tells: nothing stands before an opening bracket, or after a closing one, but
    white space and marks."""
    opened: list[str] = []

    def side(found: re.Match[str]) -> str:
        pair = next(pair for pair in _PAIRS if found[0] in pair)
        before, after = said[max(0, found.start() - 1) : found.start()], said[found.end() : found.end() + 1]
        begins, ends = not _is_of_word(before), not _is_of_word(after)
        opens = begins if begins != ends else pair not in opened
        if opens:
            opened.append(pair)
        elif pair in opened:
            opened.remove(pair)
        return pair[0 if opens else 1]

    return _BRACKET.sub(side, said)


def _is_of_word(character: str) -> bool:
    return character.isalnum() or _kind(character) == "m"


def _kind(character: str) -> str:
    return _KINDS.get(unicodedata.bidirectional(character[:1]) if character else "", "o")


def _plain(forms: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", forms[0])
