"""English numbers in words: 1042 is one thousand forty two, 42nd forty second, 1998 nineteen ninety eight."""

from __future__ import annotations

_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
         "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")  # fmt: skip
_TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
DIGITS = _ONES[:10]
_SCALES = ("", "thousand", "million", "billion", "trillion", "quadrillion")
_LONGEST = 15  # digits of a number that is read as one; more are read digit by digit
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def cardinal(digits: str) -> str:
    """Digits, with commas or without. What has a zero in front, or more than 15 digits, is read digit by digit."""
    digits = digits.replace(",", "")
    if len(digits) > _LONGEST or (digits[0] == "0" and len(digits) > 1):
        return one_by_one(digits)
    value = int(digits)
    if value == 0:
        return "zero"
    groups = []
    for scale in _SCALES:
        value, group = divmod(value, 1000)
        if group:
            groups.append(f"{_hundreds(group)} {scale}".strip())
    return " ".join(reversed(groups))


def ordinal(digits: str) -> str:
    head, _, last = cardinal(digits).rpartition(" ")
    regular = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return f"{head} {_ORDINALS.get(last, regular)}".strip()


def year(digits: str) -> str:
    century, rest = int(digits[:2]), int(digits[2:])
    if century % 10 == 0 and rest < 10:
        return cardinal(digits)
    if rest == 0:
        return f"{cardinal(str(century))} hundred"
    return f"{cardinal(str(century))} {'oh ' if rest < 10 else ''}{cardinal(str(rest))}"


def one_by_one(digits: str) -> str:
    return " ".join(_ONES[int(digit)] for digit in digits)


def _hundreds(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    words = [f"{_ONES[hundreds]} hundred"] if hundreds else []
    if 0 < rest < 20:
        words.append(_ONES[rest])
    elif rest:
        tens, ones = divmod(rest, 10)
        words.append(f"{_TENS[tens]} {_ONES[ones]}" if ones else _TENS[tens])
    return " ".join(words)


def date(year_digits: str, month: int | None, day: int | None) -> str:
    """Each part may be missing: an empty year, no month or no day."""
    said = MONTHS[month - 1] if month else ""
    if day:
        said = f"{said} {ordinal(str(day))}" if said else f"the {ordinal(str(day))}"
    if not year_digits:
        return said
    spoken = year(year_digits) if len(year_digits) == 4 and year_digits[0] != "0" else cardinal(year_digits)
    return f"{said}, {spoken}" if day else f"{said} {spoken}".strip()
