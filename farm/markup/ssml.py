"""SSML: what of the Speech Synthesis Markup Language is read, and the refusal of all else by its place.

ELEMENTS has every element with its attributes. What is not there is refused, and nothing is left out silently. White
space is XML's: a line break is a space, a blank line ends a paragraph, as <p> does. expat parses, because it knows the
place of everything; a DOCTYPE is refused before any entity could exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple
from xml.parsers import expat

from farm.markup.composer import Composer
from farm.markup.means import MAX_PAUSE_MS, Fault, Means, alphabets
from farm.markup.say_as import KINDS, say_as
from farm.pronunciation import faults as mispronounced
from farm.script import PLAIN, Delivery, Script

MAX_BYTES = 1_000_000  # of UTF-8, of one chapter
MAX_DEPTH = 32
NAMESPACE = "http://www.w3.org/2001/10/synthesis"


class Element(NamedTuple):
    attributes: tuple[str, ...]
    needed: tuple[str, ...] = ()
    holds: str = "elements"  # or "text" alone, or "nothing"
    not_in: tuple[str, ...] = ()  # elements that it can't stand in, at any depth


ELEMENTS: Mapping[str, Element] = MappingProxyType(
    {
        "speak": Element(("version", "xmlns", "xml:lang")),
        "p": Element(("xml:lang",), not_in=("p", "s")),
        "s": Element(("xml:lang",), not_in=("s",)),
        "break": Element(("time", "strength"), holds="nothing"),
        "voice": Element(("name",), ("name",)),
        "prosody": Element(("rate",), ("rate",)),
        "sub": Element(("alias",), ("alias",), "text"),
        "phoneme": Element(("alphabet", "ph"), ("ph",), "text"),
        "say-as": Element(("interpret-as", "format"), ("interpret-as",), "text"),
        "lang": Element(("xml:lang",), ("xml:lang",)),
    }
)
STRENGTHS_MS = MappingProxyType({"none": 0, "x-weak": 100, "weak": 250, "medium": 500, "strong": 900, "x-strong": 1500})
RATES = MappingProxyType({"x-slow": 0.5, "slow": 0.8, "medium": 1.0, "fast": 1.25, "x-fast": 1.6, "default": 1.0})

_TIME = re.compile(r"\+?(?P<number>[0-9]{1,6}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})(?P<unit>ms|s)")
_PERCENT = re.compile(r"(?P<sign>[+-]?)(?P<number>[0-9]{1,4}(?:\.[0-9]{0,4})?)(?P<unit>%?)")
_LINE_END = re.compile(r"[ \t]*\n[ \t\n]*")
_REFERENCE = re.compile("&(?:#[0-9]+|#x[0-9A-Fa-f]+|[a-z]+);")
_SHOWN = 40  # characters of a name that a refusal quotes


class _Ended(Exception):
    """No more can be read."""


class _Open(NamedTuple):
    """An element that is open, and what holds within it."""

    name: str
    at: int
    delivery: Delivery
    attributes: Mapping[str, str] = MappingProxyType({})
    is_known: bool = True


def read(text: str, means: Means) -> tuple[Script, list[Fault]]:
    """The script of one chapter. The script is of use where there is no fault."""
    reader = _Reader(text, Composer(means))
    reader.read()
    return reader.composer.script(), reader.composer.faults


class _Reader:
    def __init__(self, text: str, composer: Composer) -> None:
        self.composer = composer
        self._text, self._source = text, text.encode()
        self._open: list[_Open] = []
        self._held: list[str] = []  # the text of an element that holds nothing else
        self._run: list[tuple[int, int, str]] = []  # start, end and text of what stands without a tag between
        self._byte = self._character = 0  # a place that is known in both
        self._gap = False  # a paragraph ends before the next words

    def read(self) -> None:
        if len(self._source) > MAX_BYTES:
            self.composer.refuse(0, f"this SSML has {len(self._source):,} bytes, more than {MAX_BYTES:,}; divide it "
                                 "into chapters")  # fmt: skip
            return
        parser = expat.ParserCreate("utf-8")
        self._parser = parser
        parser.buffer_text = False
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.ordered_attributes = True
        try:
            parser.Parse(self._source, True)
        except _Ended:
            pass
        except expat.ExpatError as error:
            position = min(self._place(max(0, parser.ErrorByteIndex)), len(self._text) - 1)
            self.composer.refuse(position, f"this is not well-formed XML ({expat.ErrorString(error.code)}); an SSML "
                                 "text is <speak>…</speak>, with &lt; for < and &amp; for &")  # fmt: skip

    # --- what expat finds -------------------------------------------------------------------------------------------

    def _start(self, name: str, listed: list[str]) -> None:
        at = self._here()
        self._flush()
        attributes = dict(zip(listed[::2], listed[1::2], strict=True))
        delivery = self._open[-1].delivery if self._open else PLAIN
        if len(self._open) >= MAX_DEPTH:
            self._end_with(at, f"elements stand in one another more than {MAX_DEPTH} deep; flatten them")
        if not self._allowed(name, attributes, at):
            self._open.append(_Open(name, at, delivery, is_known=False))
            return
        if ELEMENTS[name].holds == "text":
            self._held.clear()
        else:
            delivery = self._opened(name, attributes, at, delivery)
        self._open.append(_Open(name, at, delivery, attributes))

    def _end(self, name: str) -> None:
        self._flush()
        closed = self._open.pop()
        at = self._here()
        if not closed.is_known:
            return
        if ELEMENTS[name].holds == "text":
            self._said(closed, at)
        elif name == "p":
            self._gap = True
        elif name == "s":
            self._sentence(at, closed.delivery)

    def _characters(self, data: str) -> None:
        start = self._here()
        around = self._open[-1]
        if not around.is_known:
            return
        if ELEMENTS[around.name].holds == "text":
            self._held.append(data)
        elif ELEMENTS[around.name].holds == "nothing":
            if data.strip():
                self.composer.refuse(start, f"<{around.name}> holds no text; close it as <{around.name}/>")
        else:
            self._run.append((start, self._end_of(start, data), data))

    def _doctype(self, *_: object) -> None:
        self._end_with(self._here(), "a DOCTYPE is not read, because it could define entities; remove it")

    def _instruction(self, target: str, _: str) -> None:
        self.composer.refuse(self._here(), f"the processing instruction <?{target[:_SHOWN]}?> is not read; remove it")

    # --- elements ---------------------------------------------------------------------------------------------------

    def _allowed(self, name: str, attributes: Mapping[str, str], at: int) -> bool:
        element = ELEMENTS.get(name)
        refuse = self.composer.refuse
        if element is None:
            refuse(at, f"<{name[:_SHOWN]}> is not read here; there are {_list(ELEMENTS)}")
            return False
        around = [each.name for each in self._open]
        if (name == "speak") != (not around):
            refuse(at, "the outermost element is <speak>, and it stands nowhere else")
        elif around and ELEMENTS.get(around[-1], ELEMENTS["speak"]).holds != "elements":
            refuse(at, f"<{name}> can't stand in <{around[-1]}>, which holds {ELEMENTS[around[-1]].holds} alone")
        elif within := next((each for each in element.not_in if each in around), None):
            refuse(at, f"<{name}> can't stand in <{within}>")
        elif unknown := [each for each in attributes if not self._has(name, each)]:
            allowed = _list(element.attributes)
            refuse(at, f"<{name}> has no attribute {unknown[0][:_SHOWN]!r} here; it has {allowed}")
        elif missing := [each for each in element.needed if not attributes.get(each, "").strip()]:
            refuse(at, f"<{name}> needs the attribute {missing[0]}")
        else:
            return True
        return False

    @staticmethod
    def _has(name: str, attribute: str) -> bool:
        is_of_xml = name == "speak" and (attribute.startswith("xmlns:") or attribute == "xsi:schemaLocation")
        return is_of_xml or attribute in ELEMENTS[name].attributes

    def _opened(self, name: str, attributes: Mapping[str, str], at: int, delivery: Delivery) -> Delivery:
        """What holds within the element."""
        if name == "break":
            self._break(attributes, at)
        elif name == "voice":
            delivery = self.composer.spoken_by(at, attributes["name"].strip(), delivery)
        elif name == "prosody":
            delivery = self._at_rate(attributes["rate"].strip(), at, delivery)
        elif name == "p":
            self._gap = True
        elif name == "s":
            self._sentence(at, delivery)
        elif name == "speak":
            self._version(attributes, at)
        if tag := attributes.get("xml:lang"):
            delivery = self.composer.in_language(at, tag.strip(), delivery, f"<{name}>")
        return delivery

    def _version(self, attributes: Mapping[str, str], at: int) -> None:
        if attributes.get("version", "1.1") not in ("1.0", "1.1"):
            self.composer.refuse(at, "<speak> has a version other than 1.0 and 1.1")
        if attributes.get("xmlns", NAMESPACE) != NAMESPACE:
            self.composer.refuse(at, f"<speak> has another xmlns than {NAMESPACE}; leave it out")

    def _break(self, attributes: Mapping[str, str], at: int) -> None:
        time, strength = attributes.get("time"), attributes.get("strength", "medium")
        if strength not in STRENGTHS_MS:
            self.composer.refuse(at, f"<break> has the strength {strength[:_SHOWN]!r}; there are {_list(STRENGTHS_MS)}")
            return
        pause_ms = STRENGTHS_MS[strength]
        if time is not None:
            length = _TIME.fullmatch(time.strip())
            if length is None:
                self.composer.refuse(at, f"<break> has the time {time[:_SHOWN]!r}; expected seconds or milliseconds, "
                                     f"like 1.5s or 800ms, up to {MAX_PAUSE_MS // 1000}s")  # fmt: skip
                return
            pause_ms = round(float(length["number"]) * (1 if length["unit"] == "ms" else 1000))
        self.composer.pause(at, pause_ms, "<break>")

    def _at_rate(self, rate: str, at: int, delivery: Delivery) -> Delivery:
        found = _PERCENT.fullmatch(rate)
        if rate in RATES:
            factor = RATES[rate]
        elif found is not None and found["unit"]:
            share = float(found["number"]) / 100
            factor = {"": share, "+": delivery.rate * (1 + share), "-": delivery.rate * (1 - share)}[found["sign"]]
        elif found is not None and not found["sign"]:
            factor = float(found["number"])
        else:
            self.composer.refuse(at, f"<prosody> has the rate {rate[:_SHOWN]!r}; expected 0.5 to 2, 50% to 200%, +20%, "
                                 f"-20%, or one of {_list(RATES)}")  # fmt: skip
            return delivery
        return self.composer.at_rate(at, factor, delivery, "<prosody>")

    # --- text -------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Text without a tag in it, in stretches whose characters stand in the input as they are."""
        if not self._run:
            return
        run, self._run = self._run, []
        delivery = self._open[-1].delivery
        text = _LINE_END.sub(_joined, "".join(data for *_, data in run))
        self._paragraph_before(run[0][0], text, delivery)
        place = 0
        for start, end, length in _contiguous(run):
            self.composer.words(start, end, text[place : place + length], delivery)
            place += length

    def _said(self, element: _Open, at: int) -> None:
        """An element that is said in place of its text."""
        written = "".join(self._held)
        start, end = element.at, self._close(at)
        self._paragraph_before(start, written, element.delivery)
        what = f"<{element.name}>"
        spoken = self._spoken(element, written.strip())
        if spoken is not None:
            self.composer.instead(start, end, written, spoken, element.delivery, what)

    def _spoken(self, element: _Open, written: str) -> str | None:
        attributes = element.attributes
        if element.name == "sub":
            return attributes["alias"]
        if element.name == "phoneme":
            return self._phoneme(element, written)
        kind = attributes["interpret-as"].strip()
        if kind not in KINDS:
            self.composer.refuse(element.at, f"<say-as> has no {kind[:_SHOWN]!r} here; there are {_list(KINDS)}")
            return None
        try:
            language = self.composer.language_of(element.delivery)
            return say_as(written, kind, attributes.get("format"), language) if written else ""
        except ValueError as error:
            self.composer.refuse(element.at, f"<say-as> {error}")
            return None

    def _phoneme(self, element: _Open, written: str) -> str | None:
        alphabet = element.attributes.get("alphabet", "ipa").strip().removeprefix("x-")
        known = alphabets(self.composer.means.card)
        if alphabet not in known:
            model = self.composer.means.card.name
            there = f"it reads {_list(known)}" if known else "it reads none; write the word as it sounds with <sub>"
            self.composer.refuse(element.at, f"<phoneme>: model {model!r} does not read the alphabet "
                                 f"{alphabet[:_SHOWN]!r}; {there}")  # fmt: skip
            return None
        mark = f"<{written}|{element.attributes['ph'].strip()}>"
        fault = next(mispronounced(mark), None)
        if fault is not None and written:
            self.composer.refuse(element.at, f"<phoneme> {fault.trouble}")
            return None
        return mark

    def _sentence(self, at: int, delivery: Delivery) -> None:
        self.composer.stop(at)
        self.composer.words(at, at, " ", delivery)

    def _paragraph_before(self, at: int, written: str, delivery: Delivery) -> None:
        if self._gap and written.strip():
            self.composer.words(at, at, "\n\n", delivery)
            self._gap = False

    # --- places -----------------------------------------------------------------------------------------------------

    def _here(self) -> int:
        return self._place(self._parser.CurrentByteIndex)

    def _place(self, byte: int) -> int:
        """In characters, of a place in bytes; they rise."""
        if byte < self._byte:
            return len(self._source[:byte].decode(errors="ignore"))
        self._character += len(self._source[self._byte : byte].decode(errors="ignore"))
        self._byte = byte
        return self._character

    def _end_of(self, start: int, data: str) -> int:
        """Where text ends that begins at `start`: a reference and a line end are longer there than what they mean."""
        reference = _REFERENCE.match(self._text, start) if len(data) == 1 else None
        if reference is not None:
            return reference.end()
        if self._text.startswith(data, start):
            return start + len(data)
        return start + (2 if self._text.startswith("\r\n", start) else 1)

    def _close(self, at: int) -> int:
        """Behind the tag that begins at `at`."""
        return self._text.index(">", at) + 1 if self._text.startswith("</", at) else at

    def _end_with(self, at: int, message: str) -> None:
        self.composer.refuse(at, message)
        raise _Ended


def _contiguous(run: Sequence[tuple[int, int, str]]) -> Iterator[tuple[int, int, int]]:
    """Start, end and length of the pieces of a run, those joined that stand in the input as they are, without anything
    between them."""
    first = last = run[0][0]
    for start, end, data in run:
        if end - start == len(data) and start == last:
            last = end
            continue
        if last > first:
            yield first, last, last - first
        first, last = start, end
        if end - start != len(data):
            yield start, end, len(data)
            first = end
    if last > first:
        yield first, last, last - first


def _joined(found: re.Match[str]) -> str:
    """A single line end as a space; a blank line ends a paragraph. As long as before."""
    return found[0] if found[0].count("\n") > 1 else found[0].replace("\n", " ")


def _list(names: Mapping[str, object] | tuple[str, ...]) -> str:
    return ", ".join(names)
