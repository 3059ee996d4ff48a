"""The text front end of version 2.5, for five languages, with pronunciation marks.

    text ── clean ── without special tokens ── words for numbers ── letter case ── marks ── segments ── ids

Each segment begins with the token of its language. A sentence gets exactly the ids that the package gives it. Five
things differ. A text can't smuggle in a special token. Marks are kept from the grammars of every language. A mark that
is too long for a segment is read as it is written. Words are not cut in two. No text is printed or logged.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from worker.engines.indextts.shapes import Segments
from worker.engines.indextts.text.bilingual import HAN, clean
from worker.engines.indextts.text.wording import Tongue, Wording

# Of a segment, the token of the language among them. The package's limit is 120. An English segment near to that limit
# loses its last sentence; at 60 it does not.
MAX_TOKENS = {"en": 60, "zh": 120, "ja": 120, "es": 120, "ar": 120}

_TONGUES: dict[str, Tongue] = {"zh": "zh or en", "en": "zh or en", "es": "es"}  # other languages keep their digits
_LOWER, _UPPER = {"zh", "en", "ja"}, {"es"}  # the case that the model was trained on

_SPECIAL = re.compile(r"<\|[^|]*\|>")
_MARK = re.compile(r"<(?P<written>[^|>]+)\|(?P<spoken>[^>]+)>")  # <行|XING2>, <minute|M IH1 . N AH0 T>
_PLAIN = str.maketrans("＜｜＞", "<|>")  # as the Chinese grammar writes them: a mark is one before it as well
_KANA = re.compile(r"[\u3040-\u309f]+|[\u30a0-\u30ff]+")
_PHONES, _PINYIN = "<|SPECIAL_TOKEN_1|>", "<|SPECIAL_TOKEN_2|>"
_CLAUSE_END = re.compile(r"(?<=[，。！？、；：,.!?;:،؛؟])(?!\d)")  # not within 3.14
_WORD = re.compile(r"\s*\S+\s*$|\s*\S+")


@dataclass(frozen=True, slots=True)
class _Fragment:
    text: str
    mark: bool = False  # in the model's tokens: never cut, and no letter of it changed


class MultilingualSegmenter:
    """Around the package's tiktoken Encoding. Thread-safe; the same text gives the same segments.

    `punctuation` and `japanese` are the package's: the first replaces signs, the second puts spaces between words.
    `unread` are ids that the model's own code takes out of every text: those of `!` and `"`, which it reads as start
    and stop.
    """

    def __init__(
        self, encoding: Any, wording: Wording, punctuation: Callable[[str], str], japanese: Callable[[str], str],
        unread: Collection[int],
    ) -> None:  # fmt: skip
        self._encoding, self._wording, self._punctuation, self._japanese = encoding, wording, punctuation, japanese
        self._unread = unread
        self._lock = threading.Lock()  # the tagger of Japanese words is one native object

    def segments(self, text: str, language: str, *, normalize: bool = True) -> Segments:
        """Of any string, in a `language` that the model speaks. There are no ids where nothing can be spoken: no text,
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
                self._wording.normalize(plain, "es") if isinstance(plain, str) else plain[0]
                for plain in _split_at_marks(text)
            )
        # A text in English without a Han character is English: the package would read "1984." in Chinese.
        return self._wording.normalize(text, "en" if language == "en" and not HAN.search(text) else tongue)

    def _cut(self, text: str, language: str, room: int) -> list[str]:
        """As few segments as possible: of whole clauses where these fit, else of words, else of characters."""

        def fits(text: str) -> bool:
            return len(self._encode(text, language)) <= room

        def units(fragment: _Fragment) -> Iterator[str]:
            for clause in [fragment.text] if fragment.mark else _CLAUSE_END.split(fragment.text):
                if fragment.mark or fits(clause):
                    yield clause
                else:
                    for word in _WORD.findall(clause):
                        yield from [word] if fits(word) else word

        fragments = list(self._fragments(text, language, fits))
        whole = "".join(fragment.text for fragment in fragments)
        if fits(whole):
            return [whole]
        segments = [""]
        for unit in (unit for fragment in fragments for unit in units(fragment)):
            if segments[-1] and not fits(segments[-1] + unit):
                segments.append("")
            segments[-1] += unit
        return segments

    def _fragments(self, text: str, language: str, fits: Callable[[str], bool]) -> Iterator[_Fragment]:
        """The text in the letter case that the model was trained on, its marks written as the model's tokens."""
        text = text.lower() if language in _LOWER else text.upper() if language in _UPPER else text
        for found in _split_at_marks(text):
            plain = found if isinstance(found, str) else found["written"]
            if isinstance(found, re.Match):
                spoken = found["spoken"].upper()
                token = _PINYIN if HAN.search(plain) else _PHONES
                if _KANA.fullmatch(spoken):
                    plain = f" {spoken} "
                elif fits(marked := f"{token}{spoken}{token}"):
                    yield _Fragment(marked, mark=True)
                    continue
            if language == "ja":
                with self._lock:
                    plain = self._japanese(plain)
            yield _Fragment(plain)

    def _encode(self, text: str, language: str) -> list[int]:
        special = {f"<|{language}|>", _PHONES, _PINYIN}
        ids: list[int] = self._encoding.encode(text, allowed_special=special, disallowed_special=())
        return ids


def _without_special(text: str) -> str:
    """The text without anything that looks like a token of the model's own, however deep it is nested."""
    while (less := _SPECIAL.sub("", text)) != text:
        text = less
    return text


def _split_at_marks(text: str) -> Iterator[str | re.Match[str]]:
    """The pronunciation marks of a text as matches, and the text between them as strings."""
    end = 0
    for mark in _MARK.finditer(text):
        if mark.start() > end:
            yield text[end : mark.start()]
        yield mark
        end = mark.end()
    if end < len(text):
        yield text[end:]
