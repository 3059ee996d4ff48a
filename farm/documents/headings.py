"""Headings of a text: Markdown's, by CommonMark, and lines such as "Chapter 2 The Storm", "Epilogue" or 第十二章.

Such lines are recognised in the languages of `_WORDS`, `_COUNTED` and `_NAMES`. In all others, mark chapters with `#`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markdown_it.token import Token

from farm.documents.markdown import parsed, shown

LONGEST_TITLE = 200  # characters, the limit of a chapter's title on the wire

# "Chapter" before its number.
_WORDS = (
    "chapter|part|book|section|kapitel|teil|abschnitt|buch|cap[ií]tulo|capítol|parte|libro|livro|chapitre|partie|livre|capitolo"
    "|stave|canto|volume|letter|act|episode|tale|band|akt|aufzug|gesang|brief|tomo|tome|acte|acto|atto|том|книга|действие"
    "|hoofdstuk|deel|del|rozdział|część|глава|часть|розділ|частина|kapitola|capitolul|bölüm|luku|κεφάλαιο"
)
_ONES = (
    "one two three four five six seven eight nine first second third fourth fifth sixth seventh eighth ninth "
    "ein eins eine zwei drei vier fünf sechs sieben acht neun "
    "un una uno dos tres cuatro cinco seis siete ocho nueve primero primera segundo segunda tercero tercera "
    "deux trois quatre cinq sept huit neuf premier première due tre quattro cinque sei sette otto nove primo prima "
    "um uma dois duas três quatro sete oito primeiro primeira один два три первая вторая третья"
)
_TEENS = (
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen tenth eleventh twelfth "
    "zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn "
    "diez once doce trece catorce quince dix onze douze treize quatorze quinze "
    "dieci undici dodici tredici dez doze treze"
)
_TENS = (
    "twenty thirty forty fifty sixty seventy eighty ninety zwanzig dreißig vierzig fünfzig "
    "veinte treinta cuarenta vingt trente quarante venti trenta vinte trinta"
)
_ROMAN = r"(?=[ivxlc])c{0,3}(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})"
_NUMBER = (
    rf"(?:\d+|{_ROMAN}|(?:{'|'.join(_TENS.split())})(?:[- ](?:{'|'.join(_ONES.split())}))?"
    rf"|{'|'.join(_TEENS.split())}|{'|'.join(_ONES.split())})"
)
_NUMBERED = re.compile(rf"(?:{_WORDS})\s+(?:the\s+)?{_NUMBER}\b(?P<rest>.*)$", re.IGNORECASE)
# The number before "chapter": 第十二章, 제3장, 3. fejezet.
_NUMERALS = "0-9〇零一二三四五六七八九十百千万萬兩两壹貳贰叁參肆伍陸陆柒捌玖拾佰仟廿卅"
_COUNTED = re.compile(
    rf"(?:第\s*[{_NUMERALS}]+\s*[章回節节卷部集篇話话幕]|제\s*\d+\s*[장부편화]|\d+\.\s+(?:fejezet|rész|kapitola|kafli))(?P<rest>.*)$",
    re.IGNORECASE,
)
# Chapters that have a name in place of a number, and stand alone on their line or before a title: "Epilogue: Home".
_NAMES = (
    "prologue|epilogue|interlude|foreword|preface|introduction|afterword|prolog|epilog|vorwort|nachwort|zwischenspiel"
    "|prólogo|epílogo|prefacio|prefácio|introducción|introdução|épilogue|préface|avant-propos|postface"
    "|prologo|epilogo|prefazione|voorwoord|nawoord|proloog|epiloog|пролог|эпилог|предисловие|послесловие"
    "|序章|序幕|楔子|引子|终章|終章|尾声|尾聲|番外|后记|後記|プロローグ|エピローグ|あとがき|프롤로그|에필로그"
)
_NAMED = re.compile(rf"(?:{_NAMES})(?:\s*[.:：]?|\s*[:：—–-]\s*\S(?P<rest>.*))$", re.IGNORECASE)
_SEPARATED = re.compile(r"\s*[.:：、·—–-]\s*\S|\s*[.:：]?\s*$")
_SENTENCE_END = re.compile(r"[.,;:。，；：]$")


@dataclass(frozen=True, slots=True)
class Heading:
    """Lines `first` to `last`, counted from 0, are the heading `title`. Level 1 is the highest."""

    level: int
    title: str
    first: int
    last: int


def markdown_headings(lines: Sequence[str]) -> list[Heading]:
    """Headings outside code, lists and quotes."""
    return list(_headings(parsed(lines)))


def _headings(tokens: Sequence[Token]) -> Iterator[Heading]:
    """Without those that have no title: a line of `#` alone is a scene break."""
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map is not None:
            title = " ".join(shown(content).split())
            if title:
                yield Heading(int(token.tag[1:]), title, token.map[0], token.map[1] - 1)


def numbered_headings(lines: Sequence[str]) -> list[Heading]:
    """Lines such as "Chapter 3: The Storm" after a blank line, a page break, or at the beginning."""
    return [
        Heading(1, line.strip(), number, number)
        for number, line in enumerate(lines)
        if (number == 0 or not lines[number - 1].strip() or line.startswith("\f")) and is_numbered(line)
    ]


def is_numbered(line: str) -> bool:
    """Whether the line numbers or names a chapter, and is no sentence that begins like one. Full-width forms count as
    plain."""
    text = unicodedata.normalize("NFKC", line).strip()
    if len(text) > LONGEST_TITLE:
        return False
    if found := _NUMBERED.match(text):
        rest = found["rest"]
        if _SEPARATED.match(rest):
            return True
        title = rest.strip()
        return rest.startswith(" ") and not title[:1].islower() and not _SENTENCE_END.search(title)
    if found := _COUNTED.match(text):
        rest = found["rest"]
        return not rest.strip() or rest[0] in " :、·—–-" or not _SENTENCE_END.search(rest)
    if found := _NAMED.match(text):
        return not _SENTENCE_END.search(found["rest"] or "")
    return False
