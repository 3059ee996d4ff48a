"""Puts what lexicons say into the script of a chapter: once, before it is cut, and never inside of what is said
otherwise already."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from farm.errors import BadInput
from farm.lexicon.entries import read_entries
from farm.lexicon.matcher import Match, Matcher
from farm.pronunciation import marks, plain
from farm.script import Laid, Script, Stop, Words
from farm.wire import Model


class Matched(NamedTuple):
    """A word that a lexicon had, by its places in the input of its chapter."""

    start: int
    end: int
    written: str
    spoken: str
    lexicon: int  # its place among the job's


class Lexicons:
    """Of a job, in the order of their precedence."""

    def __init__(self, documents: tuple[bytes, ...]) -> None:
        self._entries = [read_entries(document) for document in documents]
        self._matchers: dict[str, Matcher] = {}

    def applied(self, script: Script, language: str, card: Model, *, has_marks: bool) -> tuple[Script, list[Matched]]:
        """The script with what is said for the words that are found; `language` is that of the job. Raises BadInput
        where that is longer than a segment may be."""
        items: list[Words | Stop] = []
        matched: list[Matched] = []
        for group in _groups(script):
            if isinstance(group, Stop):
                items.append(group)
                continue
            delivery = group[0].delivery
            spoken = delivery.language or language
            laid, at = Laid(Script(tuple(group))), 0
            for found in self._matches(laid.text, spoken, has_marks=has_marks) if group[0].spoken is None else ():
                _refuse_long(found, laid.text, card, spoken)
                written, (start, end) = laid.text[found.start : found.end], laid.source(found.start, found.end)
                items += laid.words(at, found.start)
                items.append(Words(start, end, written, found.spoken, delivery))
                matched.append(Matched(start, end, written, found.spoken, found.lexicon))
                at = found.end
            items += laid.words(at, len(laid.text)) if at else group
        return Script(tuple(items)), matched

    def _matches(self, text: str, language: str, *, has_marks: bool) -> Iterator[Match]:
        """In order, none of them within a mark of pronunciation."""
        matcher, at = self._matcher(language), 0
        for end, following in (
            *((mark.start, mark.end) for mark in (marks(text) if has_marks else ())),
            (len(text), 0),
        ):
            for found in matcher.matches(text[at:end]):
                yield found._replace(start=at + found.start, end=at + found.end)
            at = following

    def _matcher(self, language: str) -> Matcher:
        if language not in self._matchers:
            self._matchers[language] = Matcher(self._entries, language)
        return self._matchers[language]


@lru_cache(2)
def lexicons(documents: tuple[bytes, ...]) -> Lexicons:
    """Kept, because many jobs in a row have the same: 10,000 entries take 0.2 s."""
    return Lexicons(documents)


def _groups(script: Script) -> Iterator[Stop | list[Words]]:
    """Stops, words with something said in their place, and what stands together in one delivery."""
    held: list[Words] = []
    for item in script.items:
        joins = isinstance(item, Words) and item.spoken is None
        if held and not (joins and item.delivery == held[0].delivery):  # type: ignore[union-attr]
            yield held
            held = []
        if joins:
            held.append(item)  # type: ignore[arg-type]
        else:
            yield item if isinstance(item, Stop) else [item]
    if held:
        yield held


def _refuse_long(found: Match, text: str, card: Model, language: str) -> None:
    most = card.languages[language].max_characters
    if len(plain(found.spoken)) > most:
        raise BadInput(
            f"lexicons: {text[found.start : found.end]!r} is said in {len(found.spoken)} characters, and model "
            f"{card.name!r} takes {most} at once; give it a shorter alias",
            code="alias_too_long", pointer=f"/lexicons/{found.lexicon}",
        )  # fmt: skip
