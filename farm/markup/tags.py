"""Markup in short tags, in the forms that people know from Kokoro-FastAPI, ebook2audiobook and abogen.

    [pause:1.5s]  [pause:800ms]  [pause:3]     silence, in place of the usual
    [voice:anna] … [/voice]                    one of the cast, or a voice; to the next [voice:…] without an end
    [rate:0.9] … [/rate]                       times the speed of the job
    [emotion:sad:0.6] … [/emotion]             for models with emotions; the strength may be left out
    <<CHAPTER_MARKER:Title>>                   opens a chapter, in the chapter's own voice

A tag with a known word is a tag, and refused where its value is wrong. Every other bracket is text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from farm.markup.composer import Composer
from farm.markup.means import FASTEST, SLOWEST, Fault, Means
from farm.script import PLAIN, Delivery, Script

MAX_TITLE = 200
_TAG = re.compile(r"\[(?P<end>/?)(?P<word>pause|voice|rate|emotion)(?:\]|:(?P<value>[^\[\]\n]*)(?P<close>\]?))", re.I)
_MARKER = re.compile(r"<<CHAPTER_MARKER(?::(?P<title>[^<>\n]*)(?P<close>>>)?)?")
_LENGTH = re.compile(r"(?P<number>[0-9]{1,6}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})\s*(?P<unit>ms|s)?", re.I)
_NUMBER = re.compile(r"[0-9]{1,3}(?:\.[0-9]{0,6})?|\.[0-9]{1,6}")
_SHOWN = 40  # characters of a tag that a refusal quotes


@dataclass(frozen=True, slots=True)
class Part:
    """A chapter that a marker opens: text[start:end] is its input. Without a title it is the beginning."""

    title: str | None
    start: int
    end: int
    at: int  # of its marker


def parts(text: str) -> tuple[list[Part], list[Fault]]:
    """The text, cut at its chapter markers. What is blank before the first one is no chapter."""
    faults: list[Fault] = []
    found: list[Part] = []
    title, start, at = None, 0, 0
    for marker in _MARKER.finditer(text):
        fault = _fault_of(marker)
        if fault is not None:
            faults.append(Fault(marker.start(), fault))
            continue
        found.append(Part(title, start, marker.start(), at))
        if title is not None and not text[start : marker.start()].strip():
            faults.append(Fault(at, "this chapter has no text; write some behind its marker, or remove it"))
        title, start, at = marker["title"].strip(), marker.end(), marker.start()
    found.append(Part(title, start, len(text), at))
    if title is not None and not text[start:].strip():
        faults.append(Fault(at, "this chapter has no text; write some behind its marker, or remove it"))
    return [part for part in found if part.title is not None or text[part.start : part.end].strip()], faults


def _fault_of(marker: re.Match[str]) -> str | None:
    if not marker["close"]:
        return "a chapter marker is written <<CHAPTER_MARKER:Title>>, on one line"
    title = marker["title"].strip()
    if not title or len(title) > MAX_TITLE:
        return f"a chapter marker needs a title of 1 to {MAX_TITLE} characters, like <<CHAPTER_MARKER:The Inn>>"
    return None


def read(text: str, means: Means) -> tuple[Script, list[Fault]]:
    """The script of one chapter, without markers. The script is of use where there is no fault."""
    composer = Composer(means)
    delivery, at = PLAIN, 0
    opened: set[str] = set()
    for tag in _TAG.finditer(text):
        composer.words(at, tag.start(), text[at : tag.start()], delivery)
        delivery = _Tag(tag, composer, opened).heard(delivery)
        at = tag.end()
    composer.words(at, len(text), text[at:], delivery)
    return composer.script(), composer.faults


class _Tag:
    def __init__(self, found: re.Match[str], composer: Composer, opened: set[str]) -> None:
        self._composer, self._at, self._opened = composer, found.start(), opened
        self._what = found[0][:_SHOWN]
        self._word = found["word"].lower()
        self._ends = bool(found["end"])
        self._value = None if found["value"] is None else found["value"].strip()
        self._is_closed = found["value"] is None or bool(found["close"])

    def heard(self, delivery: Delivery) -> Delivery:
        """What holds behind the tag."""
        if not self._is_closed:
            return self._refuse(delivery, "is not closed; end it with ] on its line")
        if self._ends:
            return self._ended(delivery)
        if not self._value:
            return self._refuse(delivery, f"has no value; write it like {_EXAMPLES[self._word]}")
        if self._word == "pause":
            return self._paused(delivery)
        self._opened.add(self._word)
        if self._word == "voice":
            return self._composer.spoken_by(self._at, self._value, delivery)
        return self._at_rate(delivery) if self._word == "rate" else self._in_mood(delivery)

    def _ended(self, delivery: Delivery) -> Delivery:
        if self._word == "pause" or self._value is not None:
            return self._refuse(delivery, "is no tag; [/voice], [/rate] and [/emotion] end what they name")
        if self._word not in self._opened:
            return self._refuse(delivery, f"ends what has not begun; open it with {_EXAMPLES[self._word]}")
        self._opened.remove(self._word)
        if self._word == "voice":
            return replace(delivery, speaker=None)
        return replace(delivery, rate=1.0) if self._word == "rate" else replace(delivery, emotion=None)

    def _paused(self, delivery: Delivery) -> Delivery:
        length = _LENGTH.fullmatch(self._value or "")
        if length is None:
            return self._refuse(delivery, "has no length; write seconds or milliseconds, like [pause:1.5s] or 800ms")
        unit_ms = 1 if (length["unit"] or "s").lower() == "ms" else 1000
        self._composer.pause(self._at, round(float(length["number"]) * unit_ms), self._what)
        return delivery

    def _at_rate(self, delivery: Delivery) -> Delivery:
        if not _NUMBER.fullmatch(self._value or ""):
            return self._refuse(delivery, f"has no rate; expected a number from {SLOWEST:g} to {FASTEST:g}")
        return self._composer.at_rate(self._at, float(self._value or 1), delivery, self._what)

    def _in_mood(self, delivery: Delivery) -> Delivery:
        text, colon, strength = (self._value or "").partition(":")
        text, strength = text.strip(), strength.strip()
        if not text or (colon and not (_NUMBER.fullmatch(strength) and float(strength) <= 1)):
            return self._refuse(
                delivery, "is no emotion; write words and a strength from 0 to 1, like [emotion:sad:0.6]"
            )
        return self._composer.in_mood(self._at, text, float(strength) if colon else 1.0, delivery, self._what)

    def _refuse(self, delivery: Delivery, why: str) -> Delivery:
        self._composer.refuse(self._at, f"{self._what} {why}")
        return delivery


_EXAMPLES = {"pause": "[pause:1.5s]", "voice": "[voice:anna]", "rate": "[rate:0.9]", "emotion": "[emotion:sad:0.6]"}
