"""English numbers, dates, times, sums of money and signs, put into words.

    $42.50  forty two dollars and fifty cents      7:30 p.m.       seven thirty p.m.
    2.4     two point four                         14 March 1998   the fourteenth of March, nineteen ninety eight
    3,500   three thousand five hundred            21st            twenty first
    1 1/2   one and one half                       10-20 km        ten to twenty kilometers
    x²      x squared                              555-0134        five five five, zero one three four
    Leo X   Leo the tenth                          farm.org        farm dot org

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
_DOLLARS = {
    "US": "U S", "A": "Australian", "AU": "Australian", "C": "Canadian", "CA": "Canadian", "NZ": "New Zealand",
    "HK": "Hong Kong", "S": "Singapore",
}  # fmt: skip
_PAIRS = {"9/11": "nine eleven", "24/7": "twenty four seven", "50/50": "fifty fifty"}
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
    "mL": "milliliters",
    "cl": "centiliters",
    "dl": "deciliters",
    "L": "liters",
    "hr": "hours",
    "mi": "miles",
    "yd": "yards",
    "ha": "hectares",
    "kWh": "kilowatt hours",
    "kPa": "kilopascals",
    "dB": "decibels",
    "Mbps": "megabits per second",
    "rpm": "revolutions per minute",
    "psi": "pounds per square inch",
    "µm": "micrometers",
    "μm": "micrometers",
    "µg": "micrograms",
    "μg": "micrograms",
    "Ω": "ohms",
    "m/s²": "meters per second squared",
    **{f"{short}{sign}": f"{power} {unit}" for sign, power in (("²", "square"), ("³", "cubic")) for short, unit in
       (("km", "kilometers"), ("cm", "centimeters"), ("mm", "millimeters"), ("m", "meters"), ("ft", "feet"))},
}  # fmt: skip
_ABBREVIATIONS = (
    (r"(?<=\d(?:st|nd|rd|th) )St\.|(?<=[A-Za-z] )St\.(?= [a-z]|[,;:!?)]|\s*$)", "Street"),
    (r"\bSt\.(?= [A-Z])", "Saint"),
    (r"\bAve\.", "Avenue"),
    (r"\bBlvd\.", "Boulevard"),
    (r"\bRd\.", "Road"),
    (r"\bw/o\b", "without"),
    (r"\bw/(?= )", "with"),
    (r"\bCo\.(?= |$)", "Company"),
    (r"\bInc\.", "Incorporated"),
    (r"\bLtd\.", "Limited"),
    (r"\bCorp\.", "Corporation"),
    (r"\bDept\.", "Department"),
    (r"\bRev\.(?= [A-Z])", "Reverend"),
    (r"\bCol\.(?= [A-Z])", "Colonel"),
    (r"\bMaj\.(?= [A-Z])", "Major"),
    (r"\bSen\.(?= [A-Z])", "Senator"),
    (r"\bGov\.(?= [A-Z])", "Governor"),
    (r"\bU\.S\.\s?(?=\$)", "US"),
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
_GREEK = """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron rho sigma sigma tau upsilon phi chi
    psi omega gamma delta theta lambda xi pi sigma phi psi omega
"""
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
    "⅓": "one third",
    "⅔": "two thirds",
    "≠": "is not equal to",
    **dict(zip("αβγδεζηθικλμνξορσςτυφχψωΓΔΘΛΞΠΣΦΨΩ", _GREEK.split(), strict=True)),
}


def in_words(text: str) -> str:
    text = _ADDRESS.sub(_address, text)
    for pattern, said in _ABBREVIATIONS:
        text = re.sub(pattern, said, text)
    for rule, say in _RULES:
        text = rule.sub(say, text)
    return "".join(f" {_SIGNS[sign]} " if sign in _SIGNS else sign for sign in text)


# --- addresses --------------------------------------------------------------------------------------------------------

_DOMAINS = "com|org|net|edu|gov|int|info|io|dev|app|uk|us|eu|de|fr|ca|au"
_ADDRESS = re.compile(
    r"(?:https?://|www\.)[^\s<>\"“”]*[\w/=]|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    rf"|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:{_DOMAINS})\b(?:/[^\s<>\"“”]*[\w/=])?"
)
_IN_ADDRESSES = {
    ".": "dot", "/": "slash", ":": "colon", "-": "dash", "_": "underscore", "?": "question mark", "=": "equals",
    "&": "and", "#": "hash", "~": "tilde", "@": "at", "+": "plus", "%": "percent",
}  # fmt: skip


def _address(found: re.Match[str]) -> str:
    """Of a page or a mailbox, each sign by its name."""
    return "".join(f" {_IN_ADDRESSES[sign]} " if sign in _IN_ADDRESSES else sign for sign in found[0])


# --- decimals ---------------------------------------------------------------------------------------------------------


def _decimal(number: str) -> str:
    whole, _, fraction = number.partition(".")
    return f"{cardinal(whole or '0')} point {one_by_one(fraction)}" if fraction else cardinal(whole)


# --- rules, each for one form -----------------------------------------------------------------------------------------

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_MONTH = rf"(?P<month>{'|'.join(MONTHS)}|(?:{'|'.join(_SHORT_MONTHS)})\b\.?)"
_DAY = r"(?P<day>3[01]|[12]\d|0?[1-9])"
_YEAR = r"(?P<year>1\d\d\d|20\d\d)"
_SUM = r"(?P<amount>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:,\d\d(?!\d)|\.\d+)?|\.\d+)"
_SCALE = r"(?P<scale>\s?(?:thousand|million|billion|trillion)\b|(?:k|K|m|M|bn|b|B|tn)\b)?"
_SIGN = r"(?:\b(?P<of>US|AU?|CA?|NZ|HK|S))?(?P<sign>[$£€¥₹])\s?"


def _plural(unit: str, count: str) -> str:
    if count == "1" or unit == "yen":
        return unit
    return {"penny": "pence", "paisa": "paise"}.get(unit, f"{unit}s")


def _money(found: re.Match[str]) -> str:
    unit, part = _MONEY[found["sign"]]
    of = _DOLLARS.get(found["of"] or "")
    amount = re.sub(r",(?=\d\d$)", ".", found["amount"])
    whole, _, fraction = amount.replace(",", "").partition(".")
    said = cardinal(whole or "0")
    named = f"{of} {{}}" if of else "{}"
    if found["scale"]:
        written = found["scale"].strip()
        scale = _SHORT_SCALES.get(written.lower(), written)
        return f"{_decimal(amount)} {scale} {named.format(_plural(unit, '2'))}"
    if fraction and (len(fraction) != 2 or not part):
        return f"{_decimal(amount)} {named.format(_plural(unit, '2'))}"
    parts = int(fraction or 0)
    small = f"{cardinal(str(parts))} {_plural(part, str(parts))}"
    if not int(whole or 0) and parts:
        return small
    return f"{said} {named.format(_plural(unit, whole or '0'))}" + (f" and {small}" if parts else "")


def _below_zero(found: re.Match[str]) -> str:
    return f"minus {found['sign'] or found['lead']}"


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
    return f"{month} {ordinal(found['day'].lstrip('0'))}, {year(found['year'])}{' ' if found[0].endswith('T') else ''}"


def _time(found: re.Match[str]) -> str:
    hour, minutes, half = cardinal(str(int(found["hour"]))), found["minutes"], found["half"]
    if minutes == "00":
        said = hour if half else f"{hour} o'clock"
    else:
        said = f"{hour} {'oh ' if minutes[0] == '0' else ''}{cardinal(str(int(minutes)))}"
    if found.groupdict().get("seconds"):
        said += f" and {cardinal(str(int(found['seconds'])))} seconds"
    return said + (f" {half[0].upper()} M" if half else "")


def _fraction(found: re.Match[str]) -> str:
    over, under = found["over"], int(found["under"])
    if 2 <= under <= 20 and int(over) < under:
        part = _FRACTIONS.get(under) or ordinal(str(under))
        plural = "" if over == "1" else ("halves" if part == "half" else f"{part}s")
        return f"{cardinal(over)} {plural or part}"
    return f"{cardinal(over)} over {cardinal(found['under'])}"


def _mixed(found: re.Match[str]) -> str:
    return f"{cardinal(found['whole'])} and {_fraction(found)}"


def _measure(found: re.Match[str]) -> str:
    unit = _UNITS[found["unit"]]
    if found["number"] == "1" and unit != "hertz":
        lead = re.match("(?:square |cubic )?", unit)
        power = lead[0] if lead else ""
        head, _, tail = unit.removeprefix(power).partition(" ")
        unit = f"{power}{'foot' if head == 'feet' else head.removesuffix('s')} {tail}".strip()
    return f"{_decimal(found['number'])} {unit}"


def _range(found: re.Match[str]) -> str:
    """`747-400` is none: it falls, and is too long to be the score of a game or the end of a span of years."""
    low = found["low"].replace(",", "")
    high = re.match(r"[\d,]*\d", found.string[found.end() :])
    falls = high is not None and low.isdigit() and int(high[0].replace(",", "")) < int(low)
    is_short = high is not None and len(low) in (1, 2, 4) and len(high[0]) <= 2
    return f"{found['low']} " if falls and not is_short else f"{found['low']} to "


def _groups(found: re.Match[str]) -> str:
    """Of a telephone number or the like: digit by digit, with a pause between its groups."""
    plus = "plus " if found[0].startswith("+") else ""
    return plus + ", ".join(map(one_by_one, re.findall(r"\d+", found[0])))


_POWERS = {"²": "squared", "³": "cubed"}
_RAISED = str.maketrans(dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", [*"0123456789", "plus ", "minus "], strict=True)))


def _power(found: re.Match[str]) -> str:
    raised = found[0].translate(_RAISED)
    return f" {_POWERS.get(found[0]) or f'to the power of {raised}'}"


def _to_the_power(found: re.Match[str]) -> str:
    return f" to the power of {found['digits']}"


# --- Roman numerals ---------------------------------------------------------------------------------------------------

_ROMAN = r"(?P<roman>(?=[IVX])X{0,3}(?:IX|IV|V?I{0,3}))(?![IVX])"
_VALUES = {"I": 1, "V": 5, "X": 10}
_COUNTED = """
    Chapter Book Part Act Scene Volume Canto Section Article Figure Table Phase Title Psalm War Bowl Vatican Grade
    Stage Type Class Level Appendix Episode
"""
_RULERS = """
    Henry Louis Charles George Edward Richard William James Elizabeth Mary Catherine Peter Paul John Pius Benedict Leo
    Gregory Clement Innocent Urban Boniface Alexander Nicholas Frederick Philip Ferdinand Francis Napoleon Wilhelm
    Friedrich Ivan Alfonso Carlos Felipe Otto Rudolf Maximilian Joseph Leopold Christian Gustav Gustavus Carl Karl
    Harald Haakon Olav Margaret Margrethe Albert Robert David Constantine Justinian Theodosius Ptolemy Ramesses Ramses
    Thutmose Amenhotep Darius Xerxes Artaxerxes Cyrus Mehmed Selim Suleiman Murad Hamid Pedro Umberto Emmanuel Sixtus
    Julius Celestine Eugene Honorius Stephen Matthias Sigismund Casimir Baldwin Theodore Michael Basil
"""


def _either(names: str) -> str:
    return "|".join(name for given in names.split() for name in (given, given.upper()))


def _joined_digits(found: re.Match[str]) -> str:
    return re.sub(r"\D", "", found[0])


def _sum_from(found: re.Match[str]) -> str:
    """The lower of two sums; the sign is that of the higher."""
    return f"{_decimal(found['low'])} to {found['of'] or ''}{found['sign']}"


def _height(found: re.Match[str]) -> str:
    return f"{found['feet']} ft {found['inches']} inches"


def _span_of_years(found: re.Match[str]) -> str:
    return f"{year(found['first'])} {found['last']}"


def _value(roman: str) -> str:
    values = [_VALUES[sign] for sign in roman]
    return str(sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True)))


def _ruler(found: re.Match[str]) -> str:
    return f"{found['name']} the {ordinal(_value(found['roman']))}"


def _counted(found: re.Match[str]) -> str:
    return f"{found['name']} {cardinal(_value(found['roman']))}"


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
    # A single I may be the pronoun: "Part I liked".
    _rule(rf"\b(?P<name>{_either(_COUNTED)}) {_ROMAN}\b(?!(?<=\bI) [a-z])", _counted),
    _rule(rf"\b(?P<name>{_either(_RULERS)}) {_ROMAN}\b(?!(?<=\bI) [a-z])(?!(?<=\b[IVX])\. ?[A-Z])", _ruler),
    _rule(rf"\b{_ROMAN}\b(?<=\w\w)(?=(?:th)? centur)", lambda found: ordinal(_value(found["roman"]))),
    _rule(rf"\b(?P<name>[A-Z][a-z]{{3,}}) (?!XXX?\b){_ROMAN}\b(?<=\w\w)", _counted),
    # Thousands apart, as they are written elsewhere: 1 000 000, 1.000.000, 12,34,567.
    _rule(r"(?<![\d.,+])[1-9]\d{0,2}(?:[\u00a0\u202f\u2009]\d{3})+(?!\d)", _joined_digits),
    _rule(r"(?<![\d.,+])[1-9]\d{0,2}(?:(?: \d{3}){2,}| 000)(?![\d-])", _joined_digits),
    _rule(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3}){2,}(?![\d.])", _joined_digits),
    _rule(r"(?<![\d.,])[1-9]\d?(?:,\d\d)+,\d{3}(?![\d,])", _joined_digits),
    _rule(r"(?<![\w.])[-−](?P<sign>[$£€¥₹])(?=\s?[\d.])|(?P<lead>[$£€¥₹])[-−](?=\d)", _below_zero),
    _rule(rf"{_SIGN}(?P<low>[\d.]*\d)\s?[-–]\s?[$£€¥₹]?(?=[\d.]*\d)", _sum_from),
    _rule(rf"{_SIGN}{_SUM}{_SCALE}", _money),
    _rule(rf"(?<![\d.,]){_SUM}\s?(?P<scale>\b)?(?P<of>\b)?(?P<sign>[$£€¥₹])(?!\d)", _money),
    _rule(rf"\b{_YEAR}-(?P<number>0[1-9]|1[0-2])-{_DAY}(?:T(?=\d)|\b)", _numeric_date),
    _rule(rf"\b(?P<number>0?[1-9]|1[0-2])/{_DAY}/{_YEAR}\b", _numeric_date),
    _rule(rf"\b{_DAY}/(?P<number>0?[1-9]|1[0-2])/{_YEAR}\b", _numeric_date),
    _rule(rf"\b{_DAY}\.(?P<number>0?[1-9]|1[0-2])\.{_YEAR}\b", _numeric_date),
    _rule(rf"\b(?P<the>[Tt]he )?{_DAY}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? {_YEAR})?(?!\w)", _day_first),
    _rule(rf"\b{_MONTH} {_DAY}(?:st|nd|rd|th)?(?![\d,.]\d|\w)(?:,? {_YEAR}\b)?", _month_first),
    _rule(
        r"\b(?P<hour>[01]?\d|2[0-4]):(?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d))?" + rf"(?:\s?{_HALF})?",
        _time,
    ),
    _rule(rf"\b(?P<hour>1[0-2]|0?[1-9])\.(?P<minutes>[0-5]\d)\s?{_HALF}", _time),
    _rule(rf"\b(?P<hour>1[0-2]|[1-9])\s?{_HALF}", lambda found: f"{cardinal(found['hour'])} {found['half'].upper()} M"),
    _rule(
        r"\b(?P<digits>\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th|ST|ND|RD|TH)\b",
        lambda found: ordinal(found["digits"].replace(",", "")),
    ),
    _rule(r"(?:\b|['’])(?P<digits>(?:1[1-9]|20)\d0|[2-9]0)['’]?s\b", _decade),
    _rule(r"\b(?P<feet>\d{1,2})'\s?(?P<inches>\d{1,2})(?:[\"”]|'')", _height),
    _rule(r"(?<![\w.+-])(?:9/11|24/7|50/50)(?![\w/])", lambda found: _PAIRS[found[0]]),
    _rule(r"\b(?P<first>1[5-9]\d\d|20\d\d)/(?P<last>\d\d)\b(?!/)", _span_of_years),
    _rule(r"\+\d[\d ()-]{6,18}\d(?!\w)|(?<![\w.,-])(?:1[ -])?\(?\d{3}\)?[ -]\d{3}-\d{4}(?![\w-])", _groups),
    _rule(r"(?<![\w.,-])\d{3}-(?!\d\d00)\d{4}(?![\w-])|(?<![\w.,-])\d+(?:-\d+){2,}(?![\w-])", _groups),
    _rule(r"\b(?P<whole>\d{1,3}) (?P<over>\d{1,2})[/⁄](?P<under>\d{1,2})\b(?![/\d])", _mixed),
    _rule(r"(?<=\d)\s?(?=[½¼¾⅓⅔])", lambda found: " and "),
    _rule(r"\b(?P<over>\d{1,4})[/⁄](?P<under>\d{1,4})\b(?![/\d])", _fraction),
    _rule(
        rf"(?P<low>{_NUMBER})\s?[-–]\s?(?=[\d.]*\d\s?(?:{_ANY_UNIT})\b|\d{{1,4}}\b(?!-))(?<=\d[-–]|.\s)",
        _range,
    ),
    _rule(r"(?<=\d)\s?[*·]\s?(?=\d)", lambda found: " times "),
    _rule(r"~\s?(?=\d)", lambda found: "about "),
    _rule(r"(?<=[\w)])\^(?P<digits>[-−]?\d+)", _to_the_power),
    _rule(r"(?<![\w.])[-−](?=[\d.])", lambda found: "minus "),
    _rule(rf"(?P<number>{_NUMBER})\s?(?P<unit>{_ANY_UNIT})(?![\w/])", _measure),
    _rule(r"(?:(?<=\d)|(?<=\b[A-Za-z])|(?<=\)))[⁺⁻]?[⁰¹²³⁴-⁹]+", _power),
    _rule(r"[⁺⁻]?[⁰¹²³⁴-⁹]+", lambda found: f" {found[0].translate(_RAISED)} "),
    _rule(r"\b\d+(?:\.\d+){2,}\b", lambda found: " point ".join(map(cardinal, found[0].split(".")))),
    _rule(_NUMBER, _plain),
)
