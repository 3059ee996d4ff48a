"""The script of a chapter: what is written there, what is spoken in its place, and how.

    Words      a stretch of text; with `spoken` it is said as that, as one thing that is never cut
    Stop       a place where a segment ends, with a pause of its own or the usual one
    Delivery   who speaks a stretch, how fast, in which mood and language, where it differs from the job

Every kind of markup makes a script, and planning reads nothing else: a plain text is a script of one stretch. Items
rise by their places in the chapter's input. `Laid` is the script as planning sees it: one text that is spoken, and
where each character of it comes from.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple


class Speaker(NamedTuple):
    name: str  # as the text calls it: one of the cast, or a voice
    voice: str  # a built-in voice's name, or an uploaded one's content digest
    uploaded: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a field says nothing, the chapter's own counts."""

    speaker: Speaker | None = None
    rate: float = 1.0  # times the speed of the job
    emotion: str | None = None  # as a manner has it
    language: str | None = None  # as the model card writes it


PLAIN = Delivery()


@dataclass(frozen=True, slots=True)
class Words:
    """`start` and `end` are places in the input of the chapter. Where these have as many characters between them as
    `written`, each is one of it; else they belong to it as a whole."""

    start: int
    end: int
    written: str
    spoken: str | None = None  # in place of what is written; it has a letter or a digit, and no space at its ends
    delivery: Delivery = PLAIN

    @property
    def said(self) -> str:
        return self.written if self.spoken is None else self.spoken


class Stop(NamedTuple):
    at: int  # in the input
    pause_ms: int | None = None  # of silence there, in place of the usual; None for that


@dataclass(frozen=True, slots=True)
class Script:
    items: tuple[Words | Stop, ...]

    @classmethod
    def plain(cls, text: str) -> Script:
        return cls((Words(0, len(text), text),))

    @property
    def words(self) -> Iterator[Words]:
        return (item for item in self.items if isinstance(item, Words))

    def taken_over(self, turns: Sequence[tuple[int, int, Speaker]]) -> Script:
        """The script with other speakers between places of the input. Turns rise, and none lies over another."""
        items: list[Words | Stop] = []
        first = 0
        for item in self.items:
            if isinstance(item, Stop):
                items.append(item)
                continue
            while first < len(turns) and turns[first][1] <= item.start:
                first += 1
            items += _shared_out(item, turns, first)
        return Script(tuple(items))


class Laid:
    """The text of a script as it is spoken, with what belongs to places in it."""

    def __init__(self, script: Script) -> None:
        self._words = list(script.words)
        self._starts = [0]
        for words in self._words:
            self._starts.append(self._starts[-1] + len(words.said))
        self.text = "".join(words.said for words in self._words)
        self.stops = tuple(self._placed(script))

    @property
    def replaced(self) -> Iterator[tuple[int, int]]:
        """Stretches that are said in place of what is written."""
        for words, (start, end) in zip(self._words, pairwise(self._starts), strict=True):
            if words.spoken is not None:
                yield start, end

    @property
    def stretches(self) -> list[tuple[int, Delivery]]:
        """Where each stretch of one delivery begins, also behind a stop; in order."""
        begins = {0: PLAIN} if not self._words else {}
        last: Delivery | None = None
        for words, start in zip(self._words, self._starts, strict=False):
            if words.delivery != last and words.said:
                begins[start] = last = words.delivery
        begins |= {place: self.delivery(place) for place, _ in self.stops if place not in begins}
        return sorted(begins.items(), key=lambda found: found[0])

    def delivery(self, place: int) -> Delivery:
        return self._words[self._index(place)].delivery if self._words else PLAIN

    def written(self, start: int, end: int) -> str:
        """What is written where text[start:end] is spoken."""
        pieces = []
        for number in range(self._index(start), self._index(end - 1) + 1):
            words, begin = self._words[number], self._starts[number]
            if words.spoken is None:
                pieces.append(words.written[max(0, start - begin) : end - begin])
            else:
                pieces.append(words.written)
        return "".join(pieces)

    def words(self, start: int, end: int) -> Iterator[Words]:
        """Those of text[start:end], where nothing is said in place of another."""
        for number in range(self._index(start), self._index(end - 1) + 1 if start < end else 0):
            words, begin = self._words[number], self._starts[number]
            first, last = max(0, start - begin), min(len(words.written), end - begin)
            if _is_one_to_one(words):
                at = words.start
                yield Words(at + first, at + last, words.written[first:last], None, words.delivery)
            elif first < last:
                yield Words(words.start, words.end, words.written[first:last], None, words.delivery)

    def source(self, start: int, end: int) -> tuple[int, int]:
        """The places in the input between which text[start:end] stands."""
        return self._origin(start)[0], self._origin(end - 1)[1]

    def places(self, sources: Iterable[int]) -> frozenset[int]:
        """Of the first characters at or behind these places of the input that are no white space."""
        wanted = sorted(sources)
        found, number = set(), 0
        for place in wanted:
            while number < len(self._words) and self._words[number].end <= place:
                number += 1
            if number == len(self._words):
                break
            words, begin = self._words[number], self._starts[number]
            at = begin + (max(0, place - words.start) if _is_one_to_one(words) else 0)
            while at < len(self.text) and self.text[at].isspace():
                at += 1
            found.add(at)
        return frozenset(found)

    def _placed(self, script: Script) -> Iterator[tuple[int, int | None]]:
        place = 0
        for item in script.items:
            if isinstance(item, Stop):
                yield place, item.pause_ms
            else:
                place += len(item.said)

    def _index(self, place: int) -> int:
        return max(0, min(bisect_right(self._starts, place), len(self._words)) - 1)

    def _origin(self, place: int) -> tuple[int, int]:
        """Of one character."""
        number = self._index(place)
        words = self._words[number]
        if not _is_one_to_one(words):
            return words.start, words.end
        at = words.start + place - self._starts[number]
        return at, at + 1


def _shared_out(words: Words, turns: Sequence[tuple[int, int, Speaker]], first: int) -> Iterator[Words]:
    """The words, parted where another speaks. Those that can't be parted are spoken by whom their beginning belongs
    to. Turns before `first` end before the words."""
    at = words.start
    while first < len(turns) and (turn := turns[first])[0] < words.end and at < words.end:
        start, end, speaker = turn
        taken = replace(words.delivery, speaker=speaker)
        if not _is_one_to_one(words):
            yield replace(words, delivery=taken) if start <= at else words
            return
        if at < start:
            yield _between(words, at, start)
        yield replace(_between(words, max(at, start), min(end, words.end)), delivery=taken)
        at, first = min(end, words.end), first + 1
    if at < words.end or at == words.start:
        yield _between(words, at, words.end) if at > words.start else words


def _between(words: Words, start: int, end: int) -> Words:
    """Those between two places of the input, of words that can be parted."""
    return replace(words, start=start, end=end, written=words.written[start - words.start : end - words.start])


def _is_one_to_one(words: Words) -> bool:
    return words.spoken is None and len(words.written) == words.end - words.start
