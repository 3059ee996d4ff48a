"""Chinese numbers in characters: 1042 is 一千零四十二, the 42nd 第四十二."""

from __future__ import annotations

DIGITS = tuple("零一二三四五六七八九")
_UNITS = ("", "十", "百", "千")
_SCALES = ("", "万", "亿", "万亿")


def cardinal(digits: str) -> str:
    """Up to 15 digits, without a zero in front."""
    value = int(digits)
    if value == 0:
        return DIGITS[0]
    groups = []
    while value:
        value, group = divmod(value, 10_000)
        groups.append(group)
    said = ""
    for place in range(len(groups) - 1, -1, -1):
        group = groups[place]
        if group:
            gap = said and group < 1000
            said += (DIGITS[0] if gap else "") + _group(group) + _SCALES[place]
    return said[1:] if said.startswith("一十") else said


def ordinal(digits: str) -> str:
    return f"第{cardinal(digits)}"


def date(year_digits: str, month: int | None, day: int | None) -> str:
    said = "".join(DIGITS[int(digit)] for digit in year_digits) + "年" if year_digits else ""
    said += f"{cardinal(str(month))}月" if month else ""
    return said + (f"{cardinal(str(day))}日" if day else "")


def _group(value: int) -> str:
    """Below 10,000."""
    said, skipped = "", False
    for place in range(3, -1, -1):
        digit = value // 10**place % 10
        if not digit:
            skipped = bool(said)
            continue
        said += (DIGITS[0] if skipped else "") + DIGITS[digit] + _UNITS[place]
        skipped = False
    return said
