"""Text as version 2.5 reads it: cleaned, put into words, with its pronunciation marks, in segments of tokens.

    text ── clean ── without special tokens ── words for numbers ── letter case ── marks ── segments ── ids

Each segment begins with the language's token. A sentence gets the ids that the package gives it, to the last one. What
differs: nobody can smuggle in a special token, marks are kept from the grammars of every language, a mark too long for
a segment is read as it is written, words are not cut in two, and nothing of a text is printed or logged.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from worker.engines.indextts.shapes import Segments
from worker.engines.indextts.text.tokens import HAN, clean
from worker.engines.indextts.text.wording import Tongue, Wording

# Of a segment, the language's own token among them. The package's limit is 120; of an English segment near to it the
# last sentence is lost, at 60 it is not.
MAX_TOKENS = {"en": 60, "zh": 120, "ja": 120, "es": 120, "ar": 120}

_TONGUES: dict[str, Tongue] = {"zh": "zh or en", "en": "zh or en", "es": "es"}  # in others digits stay digits
_LOWER, _UPPER = {"zh", "en", "ja"}, {"es"}  # the case that the model was trained on

_SPECIAL = re.compile(r"<\|[^|]*\|>")
_MARK = re.compile(r"<(?P<written>[^|>]+)\|(?P<spoken>[^>]+)>")  # <行|XING2>, <minute|M IH1 . N AH0 T>
_PLAIN = str.maketrans("＜｜＞", "<|>")  # as the Chinese grammar writes them: a mark is one before it as well
_KANA = re.compile(r"[\u3040-\u309f]+|[\u30a0-\u30ff]+")
_PHONES, _PINYIN = "<|SPECIAL_TOKEN_1|>", "<|SPECIAL_TOKEN_2|>"
_CLAUSE_END = re.compile(r"(?<=[，。！？、；：,.!?;:،؛؟])(?!\d)")  # not within 3.14
_WORD = re.compile(r"\s*\S+\s*$|\s*\S+")


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    mark: bool = False  # in the model's tokens: never cut, and no letter of it changed


class Multilingual:
    """Around the package's tiktoken Encoding. `punctuation` and `japanese` are the package's: which signs become which,
    and spaces between words. `unread` are the ids that the model's own code takes out of every text: those of `!` and
    `"`, which mean start and stop to it. Thread-safe; the same text gives the same segments."""

    def __init__(
        self, encoding: Any, wording: Wording, punctuation: Callable[[str], str], japanese: Callable[[str], str],
        unread: Collection[int],
    ) -> None:  # fmt: skip
        self._encoding, self._wording, self._punctuation, self._japanese = encoding, wording, punctuation, japanese
        self._unread = unread
        self._lock = threading.Lock()  # the tagger of Japanese words is one native object

    def segments(self, text: str, language: str, *, normalize: bool = True) -> Segments:
        """Of any string; `language` is one that the model speaks. No ids where nothing can be spoken: no text,
        punctuation and symbols alone."""
        text = self._punctuation(_without_special(clean(text).translate(_PLAIN)))
        if normalize and language in _TONGUES:
            text = _without_special(self._in_words(text, language))
        start = f"<|{language}|> "
        room = MAX_TOKENS[language] - len(self._encode(start, language))
        segments = [segment for segment in self._cut(text, language, room) if any(map(str.isalnum, segment))]
        ids = [self._encode(start + segment, language) for segment in segments]
        return Segments([[token for token in part if token not in self._unread] for part in ids], [])

    def _in_words(self, text: str, language: str) -> str:
        tongue = _TONGUES[language]
        if tongue == "es":  # the package keeps marks out of its other grammars
            return "".join(
                self._wording.normalize(part, "es") if isinstance(part, str) else part[0] for part in _parts(text)
            )
        # For English without a Han character English it is: the package would read "1984." as Chinese.
        return self._wording.normalize(text, "en" if language == "en" and not HAN.search(text) else tongue)

    def _cut(self, text: str, language: str, room: int) -> list[str]:
        """As few segments as hold it, each of whole clauses where these fit, else of words, else of characters."""

        def fits(text: str) -> bool:
            return len(self._encode(text, language)) <= room

        def units(piece: _Piece) -> Iterator[str]:
            for clause in [piece.text] if piece.mark else _CLAUSE_END.split(piece.text):
                if piece.mark or fits(clause):
                    yield clause
                else:
                    for word in _WORD.findall(clause):
                        yield from [word] if fits(word) else word

        pieces = list(self._pieces(text, language, fits))
        whole = "".join(piece.text for piece in pieces)
        if fits(whole):
            return [whole]
        segments = [""]
        for unit in (unit for piece in pieces for unit in units(piece)):
            if segments[-1] and not fits(segments[-1] + unit):
                segments.append("")
            segments[-1] += unit
        return segments

    def _pieces(self, text: str, language: str, fits: Callable[[str], bool]) -> Iterator[_Piece]:
        """In the letter case that the model was trained on, marks as its tokens."""
        text = text.lower() if language in _LOWER else text.upper() if language in _UPPER else text
        for part in _parts(text):
            plain = part if isinstance(part, str) else part["written"]
            if isinstance(part, re.Match):
                spoken = part["spoken"].upper()
                token = _PINYIN if HAN.search(plain) else _PHONES
                if _KANA.fullmatch(spoken):
                    plain = f" {spoken} "
                elif fits(marked := f"{token}{spoken}{token}"):
                    yield _Piece(marked, mark=True)
                    continue
            if language == "ja":
                with self._lock:
                    plain = self._japanese(plain)
            yield _Piece(plain)

    def _encode(self, text: str, language: str) -> list[int]:
        special = {f"<|{language}|>", _PHONES, _PINYIN}
        ids: list[int] = self._encoding.encode(text, allowed_special=special, disallowed_special=())
        return ids


def _without_special(text: str) -> str:
    """What looks like a token of the model's own, however deep it is nested."""
    while (less := _SPECIAL.sub("", text)) != text:
        text = less
    return text


def _parts(text: str) -> Iterator[str | re.Match[str]]:
    """Pronunciation marks, and what is between them."""
    end = 0
    for mark in _MARK.finditer(text):
        if mark.start() > end:
            yield text[end : mark.start()]
        yield mark
        end = mark.end()
    if end < len(text):
        yield text[end:]
