"""Finds the words of lexicons in a text, in time linear in the text, whatever the words are.

Text and entries are cut into tokens: words, single characters of scripts that are written without spaces, and marks. A
tree of tokens holds all entries, so that one walk from each token finds the longest; no entry has more than sixty. A
word is found whole or not at all: `'s` is no part of it, and any other apostrophe within a word is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from farm.lexicon.entries import MAX_WRITTEN, Entry

if TYPE_CHECKING:
    import regex

# Chinese, Japanese, Thai, Lao, Burmese, Khmer: each character is a token.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\ua9e0-\ua9ff\uaa60-\uaa7f"
    r"\u2e80-\u2fff\u3005-\u3007\u3021-\u312f\u31a0-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_WORD = rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{_UNSPACED}]]++"
_INNER = rf"(?:['’](?![sS](?![\p{{L}}\p{{M}}\p{{N}}]))[[\p{{L}}\p{{M}}\p{{N}}_]--[{_UNSPACED}]]++)*+"
_ELIDING = frozenset({"fr", "it", "ca"})  # in which an apostrophe parts two words: l'Anna
_END = ""  # the key of an entry at its node; no token is empty


class Match(NamedTuple):
    """text[start:end] is said as `spoken`."""

    start: int
    end: int
    spoken: str
    lexicon: int  # its place among the job's


class _Token(NamedTuple):
    start: int
    end: int
    text: str


class _Found(NamedTuple):
    spoken: str
    lexicon: int


class Matcher:
    """Of all entries of some lexicons that count in a language; the first of them has precedence."""

    def __init__(self, lexicons: Sequence[Iterable[Entry]], language: str) -> None:
        self._pattern = _pattern(language.lower().partition("-")[0] in _ELIDING)
        self._exact: dict[str, Any] = {}
        self._folded: dict[str, Any] = {}
        self._beginnings: dict[str, _Found] = {}
        self._folded_beginnings: dict[str, _Found] = {}
        for number, entries in enumerate(lexicons):
            for entry in entries:
                if entry.counts_in(language):
                    self._add(entry, _Found(entry.spoken, number))
        self._longest = max(map(len, (*self._beginnings, *self._folded_beginnings)), default=0)

    def matches(self, text: str) -> Iterator[Match]:
        """In order, without overlaps: the longest from the left, and of two alike that of the first lexicon."""
        tokens = self._tokens(text)
        ahead: deque[_Token] = deque()
        position = 0
        while True:
            while len(ahead) <= MAX_WRITTEN and (token := next(tokens, None)) is not None:
                ahead.append(token)
            if not ahead:
                return
            begins = ahead[0].start >= position and self._may_begin(ahead[0].text)
            found = self._at(ahead) if begins else None
            if found is not None:
                yield found
                position = found.end
            ahead.popleft()

    def _may_begin(self, token: str) -> bool:
        """Whether an entry may begin with the token: nearly no word of a text does, so most end here."""
        return token in self._exact or self._longest > 0 or token.casefold() in self._folded

    def _add(self, entry: Entry, found: _Found) -> None:
        folds = entry.case == "any"
        if entry.match == "prefix":
            table = self._folded_beginnings if folds else self._beginnings
            table.setdefault(_key(entry.written, folds=folds), found)
            return
        node = self._folded if folds else self._exact
        for token in self._tokens(entry.written):
            node = node.setdefault(_key(token.text, folds=folds), {})
        node.setdefault(_END, found)

    def _at(self, ahead: Sequence[_Token]) -> Match | None:
        """The longest that begins with the first of these tokens."""
        found = (
            self._walk(ahead, self._exact, folds=False), self._walk(ahead, self._folded, folds=True),
            self._beginning(ahead[0]),
        )  # fmt: skip
        return min(filter(None, found), key=lambda each: (-each.end, each.lexicon), default=None)

    @staticmethod
    def _walk(ahead: Sequence[_Token], node: dict[str, Any], *, folds: bool) -> Match | None:
        best = None
        for token in ahead:
            following = node.get(_key(token.text, folds=folds))
            if following is None:
                break
            node = following
            if (found := node.get(_END)) is not None:
                best = Match(ahead[0].start, token.end, *found)
        return best

    def _beginning(self, token: _Token) -> Match | None:
        """The longest beginning of a word that an entry has; the rest of the word stays."""
        for length in range(min(self._longest, len(token.text)), 0, -1):
            head = token.text[:length]
            found = self._beginnings.get(head) or self._folded_beginnings.get(head.casefold())
            if found is not None:
                return Match(token.start, token.start + length, *found)
        return None

    def _tokens(self, text: str) -> Iterator[_Token]:
        return (_Token(found.start(), found.end(), found[0]) for found in self._pattern.finditer(text))


@lru_cache(2)
def _pattern(elides: bool) -> regex.Pattern[str]:
    import regex  # the standard library knows no letters with their marks; here, because a client matches nothing

    return regex.compile(rf"(?V1)[{_UNSPACED}]|{_WORD}{'' if elides else _INNER}|\s+|[^\s]")


def _key(token: str, *, folds: bool) -> str:
    """White space is one space, so that a phrase may run over a line end; a blank line is none."""
    if token.isspace():
        return " " if token.count("\n") < 2 else token
    return token.casefold() if folds else token
