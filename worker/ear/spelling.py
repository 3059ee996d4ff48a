"""A text as it is compared: letters and digits alone, numbers in digits, one spelling for what sounds alike.

Whisper writes "$5" for "five dollars", "color" for "colour" and simplified characters for traditional ones. None of
these is a fault of the clip, so the text that was written and the one that was heard both come into this form before
they are compared. The words of the result stand between blanks; scripts without blanks have one word a character.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

from farm.pronunciation import plain

_IN_DIGITS = frozenset({"de", "es", "fr", "it", "nl", "pt"})  # languages whose number words text2num knows
_WITHOUT_BLANKS = frozenset({"zh", "yue", "ja", "th", "lo", "km", "my"})
_KATAKANA = {code: code - 0x60 for code in range(ord("ァ"), ord("ヶ") + 1)}  # to hiragana


def folded(text: str, language: str) -> str:
    """`language`: one of Whisper's, such as en or zh."""
    text = unicodedata.normalize("NFKC", plain(text))
    if language == "en":
        return _words(str(_english()(text)))
    text = text.casefold()
    if language in _IN_DIGITS:
        from text_to_num import alpha2digit

        text = str(alpha2digit(text, language))
    if language in ("zh", "yue"):
        text = str(_simplified().convert(text))
    if language == "ja":
        text = text.translate(_KATAKANA)
    text = _words(unicodedata.normalize("NFD", text))
    return " ".join(text.replace(" ", "")) if language in _WITHOUT_BLANKS else text


def _words(text: str) -> str:
    """Letters, digits and vowel signs of Indic scripts, with one blank between words. Accents go: few are heard."""
    kept = (sign if unicodedata.category(sign)[0] in "LNM" else " " for sign in text if not _is_accent(sign))
    return " ".join("".join(kept).split())


def _is_accent(sign: str) -> bool:
    return "\u0300" <= sign <= "\u036f"


@cache
def _english() -> Any:
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()


@cache
def _simplified() -> Any:
    from opencc import OpenCC

    return OpenCC("t2s")
