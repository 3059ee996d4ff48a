"""Media Overlays of EPUB 3: which element of a page is marked while which stretch of an audio file is heard.

Each page has a SMIL file of its own. A stretch begins with its sentence and ends where the next one begins, or with the
file, so that pauses are heard. https://www.w3.org/TR/epub-33/#sec-media-overlays
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from xml.sax.saxutils import quoteattr

from farm.audio_formats import AudioFormat

ACTIVE_CLASS = "readalong-active"
STYLE = f""".{ACTIVE_CLASS} {{ background-color: #ffe9a8; color: #1a1a1a; }}
"""
SMIL = "application/smil+xml"

# Of the formats of a recording those that every reader of EPUB plays: suffix in the book, and media type.
AUDIO: Mapping[AudioFormat, tuple[str, str]] = MappingProxyType(
    {"mp3": (".mp3", "audio/mpeg"), "m4b": (".m4a", "audio/mp4"), "opus": (".ogg", "audio/ogg; codecs=opus")}
)


@dataclass(frozen=True, slots=True)
class Heard:
    """A sentence in the audio file of its chapter. `text` is as it is written, and `lead` the white space before it in
    its segment; `end_ms` is where the next one begins."""

    segment: int
    part: int  # of its segment, from 0
    chapter: int
    lead: str
    text: str
    begin_ms: int
    end_ms: int

    @property
    def id(self) -> str:
        return f"s{self.segment}-{self.part}" if self.part else f"s{self.segment}"


@dataclass(frozen=True, slots=True)
class Par:
    """`id` is that of an element of the page; `audio` is a place as the SMIL file names it."""

    id: str
    audio: str
    begin_ms: int
    end_ms: int


_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """Text as XML can hold it: a form feed, for one, is a space."""
    return _NOT_XML.sub(" ", text)


def smil(page: str, pars: Iterable[Par]) -> bytes:
    """`page` is its place as the SMIL file names it."""
    rows = "".join(
        f'<par id="par-{number}"><text src={quoteattr(f"{page}#{par.id}")}/>'
        f'<audio src={quoteattr(par.audio)} clipBegin="{clock(par.begin_ms)}" clipEnd="{clock(par.end_ms)}"/></par>\n'
        for number, par in enumerate(pars)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<smil xmlns="http://www.w3.org/ns/SMIL" xmlns:epub="http://www.idpf.org/2007/ops" version="3.0">\n'
        f'<body><seq id="page" epub:textref={quoteattr(page)}>\n{rows}</seq></body>\n</smil>\n'
    ).encode()


def lasting_ms(pars: Iterable[Par]) -> int:
    return sum(par.end_ms - par.begin_ms for par in pars)


def clock(milliseconds: int) -> str:
    """As SMIL and media:duration write it: 83.020s."""
    return f"{milliseconds // 1000}.{milliseconds % 1000:03}s"
