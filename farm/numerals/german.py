"""German numbers in words: 1042 is eintausendzweiundvierzig.

Ordinals and dates are not here: they take an ending from the sentence (der dritte, am dritten), which a number alone
does not show."""

from __future__ import annotations

DIGITS = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
_TEENS = (
    *("zehn", "elf", "zwölf", "dreizehn", "vierzehn"),
    *("fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"),
)
_TENS = ("", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig")
_SCALES = (("Billion", "Billionen", 12), ("Milliarde", "Milliarden", 9), ("Million", "Millionen", 6))


def cardinal(digits: str) -> str:
    """Up to 15 digits, without a zero in front."""
    value = int(digits)
    if value == 0:
        return DIGITS[0]
    words = []
    for one, many, power in _SCALES:
        count, value = divmod(value, 10**power)
        if count:
            words.append(f"eine {one}" if count == 1 else f"{_below_thousand(count)} {many}")
    thousands, rest = divmod(value, 1000)
    tail = f"{_bound(thousands)}tausend" if thousands else ""
    tail += _below_thousand(rest) if rest else ""
    return " ".join((*words, tail)).strip()


def _below_thousand(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    head = f"{_bound(hundreds)}hundert" if hundreds else ""
    if rest < 10:
        return head + (DIGITS[rest] if rest else "")
    if rest < 20:
        return head + _TEENS[rest - 10]
    tens, ones = divmod(rest, 10)
    return head + (f"{_bound(ones)}und" if ones else "") + _TENS[tens]


def _bound(value: int) -> str:
    """As the first part of a word: ein in einhundert."""
    said = _below_thousand(value)
    return said[:-1] if said.endswith("eins") else said
