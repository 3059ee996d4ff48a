"""Whether eSpeak NG spoke all of a text.

It cuts text off without a word where one of its fixed buffers is full (eSpeak NG 1.52: translate.h, synthesize.h):

    buffer                             holds             what is lost
    the text of a clause               800 bytes         the end of the clause
    the words of a clause              300               the end of the clause
    the phonemes of a clause           1000              the end of the clause
    the phonemes of a word             200 bytes         the end of the word
    a number                           32 digits         is read in another way, and its end is lost as that of a word

So a text is proven to be whole where it fits into all of these with room to spare. What the text alone does not tell,
the events of the synthesis do: where each clause ended, and how many phonemes it and its longest word had. Nothing here
is a guess on the language: it is asked whether a buffer can have been full.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

# Of the 1000, 15 are kept free by eSpeak; some are dropped between that buffer and the events, at most one a word.
_PHONEMES = 600
# A word that was cut off has 123 or more, counted as below, in each of its 148 languages (benchmarks/sweep.py).
_PHONEMES_OF_A_WORD = 110
_BYTES = 780
_WORDS = 290
_LONG_NUMBER = re.compile(r"\d{33}")
_UNNAMED = 40  # letters behind the last word that eSpeak named: it joins a few short words, as in Korean and Chinese
_INSERTED = 2  # blanks at most that eSpeak puts between two kinds of characters
_SMALL = _BYTES // 4  # bytes of a text that fits however it is written: a Hangul syllable of 3 bytes becomes 9


class Clause(NamedTuple):
    """A clause as eSpeak's events tell of it."""

    end: int  # where it ends in the text, in characters
    phonemes: int
    longest_word: int  # phonemes of the longest word, a stressed one counted twice, and one for each part of a number
    last_word: int  # where the last word begins, counted from 1; 0 without a word


def is_whole(text: str, clauses: Iterable[Clause]) -> bool:
    """Whether none of eSpeak's buffers can have been full when it spoke `text`, one line, in these clauses."""
    start = 0
    for clause in clauses:
        if clause.phonemes > _PHONEMES or clause.longest_word > _PHONEMES_OF_A_WORD:
            return False
        if not _fits(text[start : clause.end]):
            return False
        if _unnamed(text[max(start, clause.last_word - 1) : clause.end], clause) > _UNNAMED:
            return False
        start = max(start, clause.end)
    return not any(map(str.isalnum, text[start:]))


def _fits(clause: str) -> bool:
    """Whether the text of a clause fits into eSpeak's buffers for text, words and digits."""
    size = len(clause.encode())
    if size > _SMALL and (size := _size(clause)) > _BYTES:
        return False
    if _LONG_NUMBER.search(clause):
        return False
    return len(clause) <= _WORDS or len(clause.split()) + _changes(clause) <= _WORDS


def _size(clause: str) -> int:
    """Bytes at most of what eSpeak makes of a clause: Hangul in its letters, and blanks between words."""
    letters = sum(len(character.encode()) * (3 if "\uac00" <= character <= "\ud7a3" else 1) for character in clause)
    return letters + _INSERTED * _changes(clause)


def _changes(clause: str) -> int:
    """How often eSpeak may begin a word without a blank in the text, or put in one more."""
    kinds = [_kind(character) for character in clause if not character.isspace()]
    return sum(one != other or other == "ideograph" for one, other in pairwise(kinds))


def _kind(character: str) -> str:
    """Characters of different kinds are never in one word."""
    category = unicodedata.category(character)
    if category == "Lo" and character > "\u3040" and not "\uac00" <= character <= "\ud7a3":
        return "ideograph"
    if category == "Lu":
        return "capital"
    return {"L": "letter", "M": "letter", "N": "digit"}.get(category[0], "sign")


def _unnamed(tail: str, clause: Clause) -> int:
    """Letters and digits behind the last word, of what a clause has from there on."""
    behind = tail.partition(" ")[2] if clause.last_word else tail
    return sum(map(str.isalnum, behind))
