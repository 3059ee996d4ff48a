"""What is read out of a span: its text, but for what only the page has put into it.

A line end is read as a space, as engines do it, so it stays as it is in what they get. At two kinds of line ends a
space would be wrong, and they go:

    unneces- / sary    unnecessary    a divided word: its whole occurs in the text, or nothing speaks for a compound
    well- / known      well-known     a compound: it occurs so elsewhere, or its language says so
    守塔人 / 走下        守塔人走下        a script without spaces

A scene break, which is a span only where a text has nothing else, is read as a silence. Offsets stay those of the
writer's own text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property

from farm.prose.paragraphs import DIVIDERS, is_scene_break

_SILENCE = "…"
_END = r"[^\S\n\v\f\r\x1c-\x1e\x85\u2028\u2029]*(?:\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029])\s*"
_HYPHENS = "".join(sorted(DIVIDERS))  # the plain one comes first
_LETTER = r"(?:[^\W\d_]|[\u0300-\u036f])"
_DIVIDED = re.compile(
    rf"(?<![^\W_])(?<![\u0300-\u036f])(?P<head>(?:{_LETTER}|\d)+)(?P<hyphen>[{_HYPHENS}]){_END}(?P<tail>{_LETTER}+)"
)
_WORD = re.compile(rf"{_LETTER}+(?:[{_HYPHENS}]{_LETTER}+)*")
_ANY_END = re.compile("[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")

# Chinese, Japanese, Thai, Lao, Burmese, Khmer; not Korean, which has spaces.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\ua9e0-\ua9ff\uaa60-\uaa7f"
    "\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff60\uff61-\uff9f\U00020000-\U0003ffff"
)
_UNSPACED_END = re.compile(rf"(?<=[{_UNSPACED}]){_END}(?=[{_UNSPACED}])")

# Before these a hyphen at a line end is one of the word's own: "Vor-/und Nachteile" keeps its space as well.
_AND = {
    "de": "und oder bis sowie bzw noch als", "en": "and or to nor", "nl": "en of tot", "sv": "och eller samt",
    "da": "og eller samt", "nb": "og eller samt", "no": "og eller samt", "fi": "ja tai", "et": "ja või",
}  # fmt: skip
_HEADS = {
    "en": "well half twenty thirty forty fifty sixty seventy eighty ninety",
    "fr": "peut celui celle ceux demi",
    "ru": "кое",  # and those of _WHOLE
    "uk": "казна хтозна",
}
_TAILS = {
    "fr": "il elle on je tu ils elles nous vous ce moi toi lui leur le la les y en là ci même mêmes être",
    "pt": "se me te lhe lhes nos vos o a os as lo la los las no na",
    "ro": "o l i le mi ți ne vă se a",
    "ca": "se me te li els la lo los les hi ho en ne nos vos",
    "ru": "то нибудь либо ка таки за под",
    "uk": "то небудь таки за під",
}  # only behind a whole word: "dit-/il", "кто-/то"
# Words whose parts tell that they were no halves: кто-/то, по-/моему, из-/за, disait-/il.
_WHOLE = {
    "en": re.compile("self-(?!ish|less|same|hood)[a-z]+|so-called|vice-versa"),
    "ru": re.compile(
        "(?:кто|что|где|куда|когда|как|почему|зачем|откуда|сколько|чей|чья|чьё|как(?:ой|ая|ое|ие|ого|ом|ую|их))-то"
        "|[а-яё]+-(?:нибудь|либо)|по-(?:(?:мо|тво|сво|наш|ваш|прежн|настоящ|хорош)ему"
        "|(?:друг|нов|стар|ин|разн|прост|добр)ому|[а-яё]+(?:ски|цки|ьи))|(?:всё|все|так|опять|прямо|довольно)-таки"
        "|из-(?:за|под)"
    ),
    "uk": re.compile(
        "(?:хто|що|де|куди|коли|як|чому|який|яка|яке|які)-то|[а-яєіїґ']+-небудь|по-(?:[а-яєіїґ]+(?:ськи|ому|єму))"
    ),
    "fr": re.compile("[a-zéèêàâîôûç']+[tdsz]-(?:ils?|elles?|on|en|y)"),
}
_WITHIN = frozenset(
    {"à", "dire", "in", "of", "to", "the", "and", "by", "up", "at", "on", "de", "la", "le", "en", "sur"}
)  # mother-in-/law


class Reading:
    """Of the spans of some texts, whose words it knows."""

    def __init__(self, texts: Iterable[str], language: str) -> None:
        self._texts = texts
        tag = language.lower().replace("_", "-").partition("-")[0]
        self._whole = _WHOLE.get(tag)
        self._and, self._heads, self._tails = (
            frozenset(words.get(tag, "").split()) for words in (_AND, _HEADS, _TAILS)
        )

    def of(self, span: str) -> str:
        """What is to be spoken; the span itself, in nearly every case."""
        if is_scene_break(span, 0, len(span)):
            return _SILENCE
        if _ANY_END.search(span) is None:
            return span
        return _DIVIDED.sub(self._joined, _UNSPACED_END.sub("", span))

    def _joined(self, found: re.Match[str]) -> str:
        head, tail, hyphen = found["head"], found["tail"], found["hyphen"]
        if hyphen in "\u00ad\u00ac":  # these are seen at line ends alone
            return head + tail
        first, last = head.casefold(), tail.casefold()
        if last in self._and:
            return f"{head}{hyphen} {tail}"
        is_title = tail[0].isupper() and not (len(tail) > 1 and head.isupper() and tail.isupper())
        if first + last in self._words:
            return head + tail
        around = found.string[found.start() - 1 : found.start()], found.string[found.end() : found.end() + 1]
        is_compound = (
            is_title or len(head) == 1 or head[-1].isdigit() or first == last or first in self._heads
            or (self._whole is not None and self._whole.fullmatch(f"{first}-{last}") is not None)
            or (last in self._tails and first in self._words) or f"{first}-{last}" in self._words
            or ("-" in around and (first in _WITHIN or last in _WITHIN))
        )  # fmt: skip
        return f"{head}{hyphen}{tail}" if is_compound else head + tail

    @cached_property
    def _words(self) -> frozenset[str]:
        """Of all texts, without the halves of divided words: 5,000,000 characters take 1.5 s, where there is one."""
        words: set[str] = set()
        for text in self._texts:
            whole = _DIVIDED.sub(" ", text).casefold()
            words.update(re.sub(f"[{_HYPHENS}]", "-", found[0]) for found in _WORD.finditer(whole))
        return frozenset(words)
