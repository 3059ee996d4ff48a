"""English numbers, dates, times, sums of money and signs, put into words.

    $42.50  forty two dollars and fifty cents      7:30 p.m.       seven thirty p.m.
    2.4     two point four                         14 March 1998   the fourteenth of March, nineteen ninety eight
    3,500   three thousand five hundred            21st            twenty first
    1/2     one half                               10-20 km        ten to twenty kilometers

No digit is left in the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from farm.numerals.english import MONTHS, cardinal, one_by_one, ordinal, year

_SHORT_MONTHS = {month[:3]: month for month in MONTHS} | {"Sept": "September"}
_MONEY = {
    "$": ("dollar", "cent"),
    "£": ("pound", "penny"),
    "€": ("euro", "cent"),
    "¥": ("yen", ""),
    "₹": ("rupee", "paisa"),
}
_SHORT_SCALES = {"k": "thousand", "m": "million", "bn": "billion", "b": "billion", "tn": "trillion"}
_FRACTIONS = {2: "half", 4: "quarter"}
_UNITS = {
    "km/h": "kilometers per hour",
    "mph": "miles per hour",
    "m/s": "meters per second",
    "km": "kilometers",
    "cm": "centimeters",
    "mm": "millimeters",
    "m": "meters",
    "kg": "kilograms",
    "mg": "milligrams",
    "g": "grams",
    "lbs": "pounds",
    "lb": "pounds",
    "oz": "ounces",
    "ft": "feet",
    "ml": "milliliters",
    "l": "liters",
    "°C": "degrees Celsius",
    "°F": "degrees Fahrenheit",
    "°": "degrees",
    "kHz": "kilohertz",
    "MHz": "megahertz",
    "GHz": "gigahertz",
    "Hz": "hertz",
    "kB": "kilobytes",
    "KB": "kilobytes",
    "MB": "megabytes",
    "GB": "gigabytes",
    "TB": "terabytes",
    "kW": "kilowatts",
    "W": "watts",
    "V": "volts",
    "%": "percent",
    "min": "minutes",
    "hrs": "hours",
    "sec": "seconds",
    "ms": "milliseconds",
}
_ABBREVIATIONS = (
    (r"\bSt\.(?= [A-Z])", "Saint"),
    (r"\bNo\.(?= ?\d)", "number"),
    (r"\bNos\.(?= ?\d)", "numbers"),
    (r"\bFig\.(?= ?\d)", "figure"),
    (r"\bVol\.(?= ?\d)", "volume"),
    (r"\bpp\.(?= ?\d)", "pages"),
    (r"\bp\.(?= ?\d)", "page"),
    (r"\bvs\.?(?=\s)", "versus"),
    (r"\betc\.", "et cetera"),
    (r"\be\.g\.", "for example"),
    (r"\bi\.e\.", "that is"),
    (r"\bapprox\.", "approximately"),
    (r"\bDr\.(?= )", "Doctor"),
    (r"\bMr\.(?= )", "Mister"),
    (r"\bMrs\.(?= )", "Missus"),
    (r"\bMs\.(?= )", "Miz"),
    (r"\bProf\.(?= )", "Professor"),
    (r"\bJr\.", "Junior"),
    (r"\bSr\.", "Senior"),
    (r"\bGen\.(?= [A-Z])", "General"),
    (r"\bCapt\.(?= [A-Z])", "Captain"),
    (r"\bLt\.(?= [A-Z])", "Lieutenant"),
    (r"\bSgt\.(?= [A-Z])", "Sergeant"),
    (r"\bMt\.(?= [A-Z])", "Mount"),
)
_SIGNS = {
    "&": "and",
    "@": "at",
    "+": "plus",
    "=": "equals",
    "#": "number",
    "%": "percent",
    "§": "section",
    "×": "times",
    "÷": "divided by",
    "±": "plus or minus",
    "°": "degrees",
    "©": "copyright",
    "®": "registered",
    "™": "trademark",
    "<": "less than",
    ">": "greater than",
    "≤": "at most",
    "≥": "at least",
    "≈": "about",
    "∞": "infinity",
    "√": "square root of",
    "−": "minus",
    "$": "dollars",
    "£": "pounds",
    "€": "euros",
    "¥": "yen",
    "₹": "rupees",
    "¢": "cents",
    "½": "one half",
    "¼": "one quarter",
    "¾": "three quarters",
    "‰": "per mille",
    "µ": "micro",
    "π": "pi",
}


def in_words(text: str) -> str:
    for pattern, said in _ABBREVIATIONS:
        text = re.sub(pattern, said, text)
    for rule, say in _RULES:
        text = rule.sub(say, text)
    return "".join(f" {_SIGNS[sign]} " if sign in _SIGNS else sign for sign in text)


# --- decimals ---------------------------------------------------------------------------------------------------------


def _decimal(number: str) -> str:
    whole, _, fraction = number.partition(".")
    return f"{cardinal(whole or '0')} point {one_by_one(fraction)}" if fraction else cardinal(whole)


# --- rules, each for one form -----------------------------------------------------------------------------------------

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_MONTH = rf"(?P<month>{'|'.join(MONTHS)}|(?:{'|'.join(_SHORT_MONTHS)})\b\.?)"
_DAY = r"(?P<day>3[01]|[12]\d|0?[1-9])"
_YEAR = r"(?P<year>1[1-9]\d\d|20\d\d)"


def _plural(unit: str, count: str) -> str:
    if count == "1" or unit == "yen":
        return unit
    return {"penny": "pence", "paisa": "paise"}.get(unit, f"{unit}s")


def _money(found: re.Match[str]) -> str:
    unit, part = _MONEY[found["sign"]]
    whole, _, fraction = found["amount"].replace(",", "").partition(".")
    if found["scale"]:
        written = found["scale"].strip()
        scale = _SHORT_SCALES.get(written.lower(), written)
        return f"{_decimal(found['amount'])} {scale} {_plural(unit, '2')}"
    if fraction and (len(fraction) != 2 or not part):
        return f"{_decimal(found['amount'])} {_plural(unit, '2')}"
    parts = int(fraction or 0)
    said = f"{cardinal(str(parts))} {_plural(part, str(parts))}"
    if not int(whole or 0) and parts:
        return said
    whole = whole or "0"
    return f"{cardinal(whole)} {_plural(unit, whole)}" + (f" and {said}" if parts else "")


def _month(found: re.Match[str]) -> str:
    written = found["month"].rstrip(".")
    return _SHORT_MONTHS.get(written, written)


def _day_first(found: re.Match[str]) -> str:
    the = "" if found["the"] else "the "
    end = f", {year(found['year'])}" if found["year"] else ""
    return f"{found['the'] or ''}{the}{ordinal(found['day'].lstrip('0'))} of {_month(found)}{end}"


def _month_first(found: re.Match[str]) -> str:
    end = f", {year(found['year'])}" if found["year"] else ""
    return f"{_month(found)} {ordinal(found['day'].lstrip('0'))}{end}"


def _numeric_date(found: re.Match[str]) -> str:
    month = MONTHS[int(found["number"]) - 1]
    return f"{month} {ordinal(found['day'].lstrip('0'))}, {year(found['year'])}"


def _time(found: re.Match[str]) -> str:
    hour, minutes, half = cardinal(str(int(found["hour"]))), found["minutes"], found["half"]
    if minutes == "00":
        said = hour if half else f"{hour} o'clock"
    else:
        said = f"{hour} {'oh ' if minutes[0] == '0' else ''}{cardinal(str(int(minutes)))}"
    if found["seconds"]:
        said += f" and {cardinal(str(int(found['seconds'])))} seconds"
    return said + (f" {half[0].upper()} M" if half else "")


def _fraction(found: re.Match[str]) -> str:
    over, under = found["over"], int(found["under"])
    if 2 <= under <= 20 and int(over) < under:
        part = _FRACTIONS.get(under) or ordinal(str(under))
        plural = "" if over == "1" else ("halves" if part == "half" else f"{part}s")
        return f"{cardinal(over)} {plural or part}"
    return f"{cardinal(over)} over {cardinal(found['under'])}"


def _measure(found: re.Match[str]) -> str:
    unit = _UNITS[found["unit"]]
    if found["number"] == "1" and unit != "hertz":
        head, _, tail = unit.partition(" ")
        unit = f"{'foot' if head == 'feet' else head.removesuffix('s')} {tail}".strip()
    return f"{_decimal(found['number'])} {unit}"


def _decade(found: re.Match[str]) -> str:
    said = year(found["digits"]) if len(found["digits"]) == 4 else cardinal(found["digits"])
    return f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"


def _plain(found: re.Match[str]) -> str:
    """With spaces where letters stand beside it: A4, 5G."""
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    number = found[0]
    said = year(number) if re.fullmatch(_YEAR, number) else _decimal(number)
    return f"{' ' if before.isalnum() else ''}{said}{' ' if after.isalnum() else ''}"


_ANY_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_HALF = r"(?P<half>[AaPp])\.?[Mm]\b\.?"


def _rule(pattern: str, say: Callable[[re.Match[str]], str]) -> tuple[re.Pattern[str], Callable[[re.Match[str]], str]]:
    return re.compile(pattern), say


_RULES = (
    _rule(
        rf"(?P<sign>[$£€¥₹])\s?(?P<amount>{_NUMBER})"
        r"(?P<scale>\s?(?:thousand|million|billion|trillion)\b|(?:k|K|m|M|bn|b|B|tn)\b)?",
        _money,
    ),
    _rule(rf"\b{_YEAR}-(?P<number>0[1-9]|1[0-2])-{_DAY}\b", _numeric_date),
    _rule(rf"\b(?P<number>0?[1-9]|1[0-2])/{_DAY}/{_YEAR}\b", _numeric_date),
    _rule(rf"\b(?P<the>[Tt]he )?{_DAY}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? {_YEAR})?(?!\w)", _day_first),
    _rule(rf"\b{_MONTH} {_DAY}(?:st|nd|rd|th)?(?![\d,.]\d|\w)(?:,? {_YEAR}\b)?", _month_first),
    _rule(
        r"\b(?P<hour>[01]?\d|2[0-4]):(?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d))?" + rf"(?:\s?{_HALF})?",
        _time,
    ),
    _rule(rf"\b(?P<hour>1[0-2]|[1-9])\s?{_HALF}", lambda found: f"{cardinal(found['hour'])} {found['half'].upper()} M"),
    _rule(r"\b(?P<digits>\d+)(?:st|nd|rd|th)\b", lambda found: ordinal(found["digits"])),
    _rule(r"(?:\b|['’])(?P<digits>(?:1[1-9]|20)\d0|[2-9]0)['’]?s\b", _decade),
    _rule(r"\b(?P<over>\d{1,4})[/⁄](?P<under>\d{1,4})\b(?![/\d])", _fraction),
    _rule(
        rf"(?P<low>{_NUMBER})\s?[-–]\s?(?=[\d.]*\d\s?(?:{_ANY_UNIT})\b|\d{{1,4}}\b(?!-))(?<=\d[-–]|.\s)",
        lambda found: f"{found['low']} to ",
    ),
    _rule(r"(?<![\w.])[-−](?=[\d.])", lambda found: "minus "),
    _rule(rf"(?P<number>{_NUMBER})\s?(?P<unit>{_ANY_UNIT})(?![\w/])", _measure),
    _rule(r"\b\d+(?:\.\d+){2,}\b", lambda found: " point ".join(map(cardinal, found[0].split(".")))),
    _rule(_NUMBER, _plain),
)
