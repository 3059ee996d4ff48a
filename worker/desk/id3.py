"""The tag in front of an MP3: ID3v2.3 with chapters (CHAP, CTOC), a cover (APIC), and a comment that players show.

FFmpeg writes such tags too. Its comment is a frame that only FFmpeg reads as one, and its list of chapters has one byte
for their number, which a book of 256 chapters passes: here the list is one of lists. See https://id3.org/id3v2.3.0 and
https://id3.org/id3v2-chapters-1.0.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence

from worker.desk.book import Picture, Placed

# The frame of each tag. What has none is a TXXX of its name, as FFmpeg writes and reads it.
_FRAMES: Mapping[str, str] = {
    "title": "TIT2", "artist": "TPE1", "album": "TALB", "album_artist": "TPE2", "composer": "TCOM", "genre": "TCON",
    "copyright": "TCOP", "track": "TRCK",
}  # fmt: skip
_YEAR = re.compile(r"\d{4}(?!\d)")
_DAY = re.compile(r"\d{4}-(\d\d)-(\d\d)(?!\d)")
_MOST_ENTRIES = 255  # of a CTOC
_TOP_LEVEL, _ORDERED = 2, 1
_NO_PLACE = b"\xff" * 8  # in bytes of the file: the times count
_FRONT_COVER = 3


def id3_tag(tags: Mapping[str, str], chapters: Sequence[Placed], picture: Picture | None) -> bytes:
    """As long for other times of the same chapters."""
    frames = [*_texts(tags), *_chapters(chapters)]
    if picture is not None:
        head = b"\0" + picture.media_type.encode() + b"\0" + bytes([_FRONT_COVER]) + b"\0"
        frames.append(_frame("APIC", head + picture.data))
    body = b"".join(frames)
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + body


def _texts(tags: Mapping[str, str]) -> Iterator[bytes]:
    for name, text in tags.items():
        if name == "comment":
            yield _frame("COMM", _encoding(text) + b"eng" + _string("", text) + _encoded(text))
        elif name == "date" and (year := _YEAR.match(text)):
            yield _frame("TYER", _encoding(year[0]) + _encoded(year[0]))
            if day := _DAY.match(text):
                yield _frame("TDAT", _encoding(text) + _encoded(day[2] + day[1]))
        elif name in _FRAMES:
            yield _frame(_FRAMES[name], _encoding(text) + _encoded(text))
        else:
            yield _frame("TXXX", _encoding(text) + _string(name, text) + _encoded(text))


def _chapters(chapters: Sequence[Placed]) -> Iterator[bytes]:
    ids = [f"ch{number}".encode() for number in range(len(chapters))]
    if len(ids) <= _MOST_ENTRIES:
        yield _contents(b"toc", _TOP_LEVEL | _ORDERED, ids)
    else:
        parts = [ids[first : first + _MOST_ENTRIES] for first in range(0, len(ids), _MOST_ENTRIES)]
        yield _contents(b"toc", _TOP_LEVEL | _ORDERED, [f"toc{number}".encode() for number in range(len(parts))])
        for number, part in enumerate(parts):
            yield _contents(f"toc{number}".encode(), _ORDERED, part)
    for id, chapter in zip(ids, chapters, strict=True):
        title = _frame("TIT2", _encoding(chapter.title) + _encoded(chapter.title))
        times = struct.pack(">II", chapter.start_ms, chapter.end_ms)
        yield _frame("CHAP", id + b"\0" + times + _NO_PLACE + title)


def _contents(id: bytes, flags: int, entries: Sequence[bytes]) -> bytes:
    return _frame("CTOC", id + b"\0" + bytes([flags, len(entries)]) + b"".join(entry + b"\0" for entry in entries))


def _frame(name: str, body: bytes) -> bytes:
    return name.encode() + struct.pack(">IH", len(body), 0) + body


# Latin-1 is read rightly by all where it is ASCII; all other text is UTF-16 with its mark.
def _encoding(text: str) -> bytes:
    return b"\0" if text.isascii() else b"\1"


def _encoded(text: str, like: str | None = None) -> bytes:
    return text.encode() if (text if like is None else like).isascii() else b"\xff\xfe" + text.encode("utf-16-le")


def _string(text: str, like: str) -> bytes:
    """One that ends with a zero, in the encoding of the text that it describes."""
    return _encoded(text, like) + (b"\0" if like.isascii() else b"\0\0")
