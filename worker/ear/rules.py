"""How much of what is heard may differ from what was written: the only table of thresholds of the ear.

    tell    more wrong letters than this share: the clip is told of, and so is one of which the last words are not heard
    held_s  a word lasts so much longer than its letters explain, or has no time at all: told of as well
    again   more wrong letters than this share, or this many wrong words in a row: the clip is rendered once more

Wrong letters and words count only where the ear finds what it heard likelier than what was written: it writes a word at
a time, and a slip in the first one may lead to a sentence in which it believes less than in the text.

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
    end: str = ""  # the last words that were written, where nothing was heard in their place
    likelier: float | None = None  # what was heard than what was written, as a logarithm; None where nothing tells
    extra: float = 0.0  # letters more than were written, as a share of these
    lost: str = ""  # a written word to which no time of the clip belongs
    held: str = ""  # the written word that lasts the longest beyond what its letters explain
    held_s: float = 0.0  # and by how much


@dataclass(frozen=True, slots=True)
class Limits:
    tell: float = 0.05
    again: float = 0.10
    run: int = 4  # at 3, two good clips of 304 were made again
    short: float = 0.5  # both shares, for a text of up to five words, of which any ear mishears some
    held_s: float = 0.45  # seconds that a word lasts longer than its letters explain; one of 152 good clips has 0.41
    weak: bool = False  # good clips are misheard so often that a finding is no more than a hint


_SHORT = 5  # words
_LOOP = 0.5  # letters more than were written, as a share of these; a phrase that is said twice adds less to a sentence

LIMITS: Mapping[str, Limits] = {
    "en": Limits(),  # the only language in which enough good clips were heard: benchmarks/gate.py
}
OTHERS = Limits(tell=0.30, again=0.30, run=5, weak=True)

_VERSION = 3  # raised when the comparison, the spelling or the rules change a verdict


class Verdict(Enum):
    GOOD = "good"
    TOLD = "told"
    BAD = "bad"  # so much that another take is worth its price


def verdict(report: Report, language: str) -> Verdict:
    limits = limits_of(language)
    if _is_otherwise(report, limits, limits.again):
        return Verdict.BAD
    return Verdict.TOLD if finding(report, language) else Verdict.GOOD


def finding(report: Report, language: str) -> str:
    """What the owner of a clip is told, in words; "" of a good one. Where words stand says nothing of a short text, nor
    by a weak ear."""
    limits = limits_of(language)
    if _is_otherwise(report, limits, limits.tell):
        return f"{report.wrong:.0%} of its letters are heard otherwise"
    if report.words <= _SHORT or limits.weak:
        return ""
    if report.end:
        return f"its end is not heard, '{report.end}'"
    if report.lost:
        return f"'{report.lost}' has no place in it and may be missing"
    if report.held_s > limits.held_s:
        longer = f"{report.held_s:.1f} s longer than that explains"
        return f"at '{report.held}' it lasts {longer}, so something may be said twice"
    return ""


def _is_otherwise(report: Report, limits: Limits, share: float) -> bool:
    """Whether more letters than this share are heard otherwise, or too many words in a row."""
    if report.likelier is not None and report.likelier <= 0:
        return False
    if report.words <= _SHORT:
        return report.wrong > limits.short
    return report.wrong > share or report.run >= limits.run


def is_loop(report: Report) -> bool:
    """Whether the ear seems to repeat itself, which is no fault of the clip."""
    return report.extra > _LOOP


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
