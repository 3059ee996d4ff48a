"""How much of what is heard may differ from what was written: the only table of thresholds of the ear.

    tell    more wrong letters than this share, or a gap of this many letters: the clip is told of
    again   more wrong letters than this share, or this many wrong words in a row: the clip is rendered once more

docs/voices.md shows the table with the figures that chose it. All of this is pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Report:
    """What the ear says of one clip; shares are of the letters that were written."""

    heard: str
    words: int  # written
    wrong: float  # letters that are wrong, missing or too many, as a share of those written
    run: int  # the longest row of words that are wrong, missing or too many
    gap: int  # the longest row of letters that are missing or too many


@dataclass(frozen=True, slots=True)
class Limits:
    tell: float = 0.05
    again: float = 0.10
    run: int = 4  # at 3, two good clips of 304 were made again
    short: float = 0.5  # both shares, for a text of up to five words, of which any ear mishears some
    weak: bool = False  # good clips are misheard so often that a finding is no more than a hint


_SHORT = 5  # words

LIMITS: Mapping[str, Limits] = {
    "en": Limits(),  # the only language in which enough good clips were heard: benchmarks/gate.py
}
OTHERS = Limits(tell=0.30, again=0.30, run=5, weak=True)

_VERSION = 1  # raised when the comparison, the spelling or the rules change a verdict


class Verdict(Enum):
    GOOD = "good"
    TOLD = "told"
    BAD = "bad"  # so much that another take is worth its price


def verdict(report: Report, language: str) -> Verdict:
    limits = limits_of(language)
    short = report.words <= _SHORT
    if report.wrong > (limits.short if short else limits.again) or (not short and report.run >= limits.run):
        return Verdict.BAD
    if report.wrong > (limits.short if short else limits.tell):
        return Verdict.TOLD
    return Verdict.GOOD


def limits_of(language: str) -> Limits:
    return LIMITS.get(whisper_language(language), OTHERS)


def whisper_language(tag: str) -> str:
    """pt-br -> pt: the part of a tag that Whisper knows."""
    return re.split("[-_]", tag.casefold())[0]


def revision(weights: str, libraries: str) -> str:
    """Changes whenever the same clips might get other verdicts."""
    table = {language: asdict(limits) for language, limits in sorted(LIMITS.items())}
    said = f"{_VERSION} {weights} {libraries} {table} {asdict(OTHERS)}"
    return hashlib.sha256(said.encode()).hexdigest()[:8]
