"""Marks in a text that say how a word is pronounced: what is written, a bar, how it is said.

    <行|XING2>                  one Chinese character, in pinyin with its tone (5 is neutral; ü is written V)
    <minute|M IH1 . N AH0 T>    any other word, in phones of the CMU dictionary, each vowel with its stress 0, 1 or 2;
                                full stops between syllables
    <今日|きょう>                a reading, all in hiragana or all in katakana

A model with marks takes for one all from a `<` over the next bar to the next `>`, whatever stands between, and says it
as best it can; full-width and small signs (＜行｜XING2＞) are the same to it. `faults` finds what it would take for a
mark and could not say, and what was meant as one and would be said as it is written; a text without faults has marks
that are said as they are meant. `<|…|>` is a command to the model and never a mark; engines remove it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from farm.prose import Unit

WRITTEN_MAX = 40  # characters of what is written: it is never cut, and segments have room for more
SAID_MAX = 72  # characters of how it is said: with every letter and digit a token, 54 of a segment's 60


class Fault(NamedTuple):
    position: int  # of its `<`
    quoted: str  # the mark, shortened
    trouble: str

    @property
    def message(self) -> str:
        return f"the mark {self.quoted!r} at character {self.position} {self.trouble}"


def marks(text: str) -> list[Unit]:
    """Those without a fault, in order, each to be read as what is written."""
    return [
        Unit(found.start(), found.end(), found["written"])
        for found in _look(text)
        if found["close"] and _trouble(found) is None
    ]


def faults(text: str) -> Iterator[Fault]:
    """Every mark that can't be said, and why. Takes time linear in the text."""
    for found in _look(text):
        trouble = _trouble(found)
        if trouble is not None:
            quoted = text[found.start() : min(found.end(), found.start() + _QUOTED)]
            yield Fault(found.start(), quoted, trouble)


def plain(text: str) -> str:
    """The text as people read it: of every mark what is written."""
    pieces, position = [], 0
    for mark in marks(text):
        pieces += [text[position : mark.start], mark.shown]
        position = mark.end
    return "".join((*pieces, text[position:]))


# --- what looks like a mark -------------------------------------------------------------------------------------------

_QUOTED = 60  # characters of a mark that a fault shows
_PLAIN = str.maketrans("＜｜＞﹤﹥", "<|><>")
_COMMAND = re.compile(r"<\|[^|]*\|>")
_VEIL = "\ufffc"  # stands for every character of a command
_END = "\n\v\f\r\x1c-\x1e\x85\u2028\u2029"
_BREAK = rf"(?:\r\n|[{_END}])"
# Engines read the end of a line as a space, so either side may go on in the next line, if it ends there. What has begun
# is always consumed, without backtracking: a million `<` take no longer than a million letters.
_LOOK = re.compile(
    rf"<(?P<written>(?!\|)[^|>{_END}]*+(?:{_BREAK}[^|>{_END}]*+(?=[|>]))?|(?=\|[^\s<>|]+>))"
    rf"(?:\|(?P<said>[^>{_END}]*+(?:{_BREAK}[^>{_END}]*+(?=>))?)(?P<close>>?))?"
)
_BROKEN = re.compile(_BREAK)


def _look(text: str) -> Iterator[re.Match[str]]:
    """What a model would take for a mark, and what has a `<` and a bar but no `>`."""
    text = text.translate(_PLAIN)
    if "<" not in text:
        return
    veiled = _COMMAND.sub(lambda command: _VEIL * len(command[0]), text)
    yield from (found for found in _LOOK.finditer(veiled) if found["said"] is not None)


# --- what is wrong with it --------------------------------------------------------------------------------------------

_MEANT = re.compile(r"[A-Za-z\u3040-\u30ff]")  # how a pronunciation begins
_HAN = re.compile("[\u4e00-\u9fff]")  # what the model takes for Chinese
_KANA = re.compile("[\u3040-\u30ff]")
_READING = re.compile("[\u3040-\u309f]+|[\u30a0-\u30ff]+")
_PINYIN = re.compile("([A-Z]+)([1-5])")
_VOWEL = re.compile("A[AEHOWY]|E[HRY]|I[HY]|O[WY]|U[HW]")
_PHONE = re.compile(f"(?:{_VOWEL.pattern})[012]|CH|[DSTZ]H?|HH|JH|NG?|[BFGKLMPRVWY]")

# The finals that each initial of Mandarin has. J, Q, X, L and N have V for ü, and Y does not.
_FINALS = {
    "": "A AI AN ANG AO E EI EN ER O OU",
    "B": "A AI AN ANG AO EI EN ENG I IAN IAO IE IN ING O U",
    "P": "A AI AN ANG AO EI EN ENG I IAN IAO IE IN ING O OU U",
    "M": "A AI AN ANG AO E EI EN ENG I IAN IAO IE IN ING IU O OU U",
    "F": "A AN ANG EI EN ENG O OU U",
    "D": "A AI AN ANG AO E EI ENG I IA IAN IAO IE ING IU ONG OU U UAN UI UN UO",
    "T": "A AI AN ANG AO E ENG I IAN IAO IE ING ONG OU U UAN UI UN UO",
    "N": "A AI AN ANG AO E EI EN ENG I IAN IANG IAO IE IN ING IU ONG U UAN UO V VE",
    "L": "A AI AN ANG AO E EI ENG I IA IAN IANG IAO IE IN ING IU ONG OU U UAN UN UO V VE",
    "G": "A AI AN ANG AO E EI EN ENG ONG OU U UA UAI UAN UANG UI UN UO",
    "K": "A AI AN ANG AO E EN ENG ONG OU U UA UAI UAN UANG UI UN UO",
    "H": "A AI AN ANG AO E EI EN ENG ONG OU U UA UAI UAN UANG UI UN UO",
    **dict.fromkeys(("J", "Q", "X"), "I IA IAN IANG IAO IE IN ING IONG IU V VAN VE VN"),
    "ZH": "A AI AN ANG AO E EN ENG I ONG OU U UA UAI UAN UANG UI UN UO",
    "CH": "A AI AN ANG AO E EN ENG I ONG OU U UA UAI UAN UANG UI UN UO",
    "SH": "A AI AN ANG AO E EI EN ENG I OU U UA UAI UAN UANG UI UN UO",
    "R": "AN ANG AO E EN ENG I ONG OU U UA UAN UI UN UO",
    "Z": "A AI AN ANG AO E EI EN ENG I ONG OU U UAN UI UN UO",
    "C": "A AI AN ANG AO E EN ENG I ONG OU U UAN UI UN UO",
    "S": "A AI AN ANG AO E EN ENG I ONG OU U UAN UI UN UO",
    "Y": "A AN ANG AO E I IN ING O ONG OU U UAN UE UN",
    "W": "A AI AN ANG EI EN ENG O U",
}
_SYLLABLES = frozenset(initial + final for initial, finals in _FINALS.items() for final in finals.split())


def _trouble(found: re.Match[str]) -> str | None:
    """Why the model can't say it as it was meant; None where it can, and where nothing was meant."""
    written, said = found["written"], found["said"]
    if not found["close"]:
        meant = 0 < len(written) <= WRITTEN_MAX and written.isprintable() and "<" not in written
        meant = meant and written == written.strip() and _MEANT.match(said) is not None
        return "is not closed; end it with `>` on its line, or put spaces around the signs" if meant else None
    if _VEIL in written or _VEIL in said:
        return "has a command `<|…|>` in it; remove that"
    if "<" in written:
        return "begins at the first `<`, and would take all up to the bar for a word; say that sign in words"
    if "<" in said:
        return "has another `<` in its pronunciation; close it before the next begins"
    if _BROKEN.search(written) or _BROKEN.search(said):
        return "runs over the end of a line; write it on one line"
    if not said.strip() or not any(map(str.isalnum, written)):
        return "has an empty side; write a word before the bar and its pronunciation after it"
    if written != written.strip() or said != said.strip():
        return "has a space at the edge of a side; remove it"
    if len(written) > WRITTEN_MAX or len(said) > SAID_MAX:
        return f"is too long; mark single words, of at most {WRITTEN_MAX} characters, said in at most {SAID_MAX}"
    return _unsaid(written, said.upper())


def _unsaid(written: str, said: str) -> str | None:
    """What can't be pronounced. The model reads kana as kana, else pinyin for Chinese characters and phones for all
    other words, in capitals or not."""
    if _KANA.search(said):
        if _READING.fullmatch(said):
            return None
        return "has kana and something else in its reading; expected hiragana alone, or katakana, to which ー belongs"
    if _HAN.search(written):
        syllable = _PINYIN.fullmatch(said)
        if len(written) == 1 and syllable is not None and syllable[1] in _SYLLABLES:
            return None
        return (
            f"says {written!r} as {said!r}; expected one character and one syllable of pinyin with its tone 1 to 5, "
            "like XING2, with V for ü (LV4, JV1), or a reading in kana"
        )
    for phone in re.split(" (?:[.] )?", said):
        if _PHONE.fullmatch(phone):
            continue
        if _VOWEL.fullmatch(phone):
            return f"has the vowel {phone!r} without its stress; expected {phone}0, {phone}1 or {phone}2"
        return (
            f"has {phone!r} where a phone is expected; write phones of the CMU dictionary with a space between them "
            "and full stops between syllables, like M IH1 . N AH0 T"
        )
    return None
