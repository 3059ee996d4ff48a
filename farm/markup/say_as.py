"""What `say-as` says: letters one by one, digits, numbers, dates and telephone numbers, in words.

The words are those of farm/numerals, for the languages that have them there; letters one by one need no words.
"""

from __future__ import annotations

import re

from farm.numerals import LONGEST, NUMERALS, Numerals

KINDS = ("characters", "spell-out", "digits", "cardinal", "ordinal", "date", "telephone")
FORMATS = ("mdy", "dmy", "ymd", "md", "dm", "ym", "my", "y")  # of a date
MAX_CONTENT = 60  # characters

_SIGNED = {
    "en": ". dot - dash _ underscore / slash @ at : colon + plus # hash & and * star",
    "de": ". Punkt - Strich _ Unterstrich / Schrägstrich @ at : Doppelpunkt + plus # Raute & und * Stern",
}
_SIGNS = {language: dict(zip(said.split()[::2], said.split()[1::2], strict=True)) for language, said in _SIGNED.items()}
_SEPARATORS = re.compile(r"[\s./()\-–]+")


def say_as(content: str, kind: str, form: str | None, language: str) -> str:
    """What is said. Raises ValueError, in words, for what can't be."""
    content = content.strip()
    if len(content) > MAX_CONTENT:
        raise ValueError(f"has {len(content)} characters, more than {MAX_CONTENT}; say less at once")
    if form is not None and kind != "date":
        raise ValueError(f"has a format, which belongs to a date alone; remove it from {kind}")
    primary = language.lower().partition("-")[0]
    if kind in ("characters", "spell-out"):
        return _spelled(content, primary)
    numerals = NUMERALS.get(primary)
    if numerals is None:
        known = ", ".join(sorted(NUMERALS))
        raise ValueError(f"{kind} has no reader for {language!r}; there is one for {known}. Write the words instead")
    return _OF_KIND[kind](content, form, numerals, language)


def _spelled(content: str, primary: str) -> str:
    numerals, signs = NUMERALS.get(primary), _SIGNS.get(primary, {})
    said = []
    for letter in content:
        if letter.isalpha():
            said.append(letter.upper() if len(letter.upper()) == 1 else letter)
        elif letter.isascii() and letter.isdigit():
            said.append(numerals.digits[int(letter)] if numerals else letter)
        elif letter in signs:
            said.append(signs[letter])
        elif not letter.isspace():
            raise ValueError(f"has {letter!r}, which has no name here to be spelled by; write it as a word")
    return " ".join(said)


def _digits(content: str, _: str | None, numerals: Numerals, __: str) -> str:
    return _one_by_one(_SEPARATORS.sub("", content), numerals)


def _one_by_one(digits: str, numerals: Numerals) -> str:
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"has {digits!r} where digits are expected")
    return numerals.joint.join(numerals.digits[int(digit)] for digit in digits)


def _cardinal(content: str, _: str | None, numerals: Numerals, __: str) -> str:
    sign = content[:1] if content[:1] in ("-", "−", "+") else ""
    digits = _whole(content[len(sign) :])
    word = {"": "", "+": numerals.plus}.get(sign, numerals.minus)
    return numerals.joint.join(filter(None, (word, numerals.cardinal(digits))))


def _ordinal(content: str, _: str | None, numerals: Numerals, language: str) -> str:
    if numerals.ordinal is None:
        raise ValueError(f"ordinal has no reader for {language!r}, where its ending depends on the sentence; write it")
    return numerals.ordinal(_whole(re.sub("(?:st|nd|rd|th|[.ºª])$", "", content)))


def _whole(content: str) -> str:
    digits = re.sub("(?<=[0-9])[,\u202f\u00a0 '’](?=[0-9]{3}(?![0-9]))", "", content)
    if not (digits.isascii() and digits.isdigit()) or len(digits) > LONGEST:
        raise ValueError(f"has {content!r} where a whole number of at most {LONGEST} digits is expected")
    return digits.lstrip("0") or "0"


def _date(content: str, form: str | None, numerals: Numerals, language: str) -> str:
    if numerals.date is None:
        raise ValueError(f"date has no reader for {language!r}, where its ending depends on the sentence; write it")
    form = form or "ymd"
    if form not in FORMATS:
        raise ValueError(f"has the format {form!r}; expected one of {', '.join(FORMATS)}")
    parts = [part for part in re.split(r"[\s./\-–]+", content) if part]
    if form == "ymd" and len(parts) == 1 and re.fullmatch("[0-9]{8}", content):
        parts = [content[:4], content[4:6], content[6:]]
    if len(parts) != len(form) or not all(part.isascii() and part.isdigit() and len(part) <= 4 for part in parts):
        raise ValueError(f"has {content!r}, which is no date in the format {form}, like {_example(form)}")
    found = dict(zip(form, parts, strict=True))
    month, day = (int(found[letter]) if letter in found else None for letter in "md")
    if month is not None and not 1 <= month <= 12:
        raise ValueError(f"has the month {month}; expected 1 to 12 (format {form})")
    if day is not None and not 1 <= day <= _days(month, found.get("y")):
        raise ValueError(f"has the day {day}, which that month does not have (format {form})")
    return numerals.date(found.get("y", "").lstrip("0"), month, day)


def _days(month: int | None, year: str | None) -> int:
    if month == 2:
        number = int(year) if year else 4
        return 29 if number % 4 == 0 and (number % 100 or number % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _example(form: str) -> str:
    return "-".join({"y": "1998", "m": "3", "d": "14"}[letter] for letter in form)


def _telephone(content: str, _: str | None, numerals: Numerals, __: str) -> str:
    """Digit by digit, with a comma at each gap."""
    plus = content.startswith("+")
    groups = [group for group in _SEPARATORS.split(content.removeprefix("+")) if group]
    if not groups:
        raise ValueError("has no digits")
    said = ", ".join(_one_by_one(group, numerals) for group in groups)
    return f"{numerals.plus} {said}" if plus else said


_OF_KIND = {"digits": _digits, "cardinal": _cardinal, "ordinal": _ordinal, "date": _date, "telephone": _telephone}
