"""A manuscript: a text file, cut into chapters at its headings (headings.py).

A heading is spoken as well as shown, so every line of the file stands in exactly one chapter. The marks of Markdown are
not spoken (markdown.py); in any other text all signs are. Only `read` does I/O.
"""

from __future__ import annotations

import codecs
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from farm.documents.charset import codec, is_known, shown_by
from farm.documents.headings import LONGEST_TITLE, Heading, headings_among, markdown_headings, numbered_headings
from farm.documents.markdown import Block, blocks, spoken
from farm.errors import BadInput
from farm.wire import MAX_CHARACTERS

# Encodings that a refusal shows the beginning of the text in, so that its reader can tell which is right.
_CANDIDATES = (
    "windows-1252", "windows-1250", "windows-1251", "koi8-r", "windows-1253", "windows-1254", "windows-1255",
    "windows-1256", "windows-1257", "cp874", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr",
)  # fmt: skip
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MOST_BYTES = 4 * MAX_CHARACTERS
_SHOWN = 30  # characters of such a beginning


@dataclass(frozen=True, slots=True)
class Part:
    title: str
    text: str


def read(name: str, encoding: str | None = None) -> str:
    """The text of the file, or of stdin for "-": by its byte order mark, else by `encoding`, else as its bytes show,
    else UTF-8. Raises BadInput for a file that is blank, can't be read, or is in another encoding."""
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as source:
            raw = source.read(_MOST_BYTES + 1)  # /dev/zero has no end
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror}") from None
    if len(raw) > _MOST_BYTES:
        raise BadInput(
            f"{name} has more than {_MOST_BYTES:,} bytes; a job takes {MAX_CHARACTERS:,} characters, so split it"
        )
    text = _decoded(raw, name, encoding)
    if not text.strip():
        raise BadInput(f"{name} is blank; there is nothing to speak")
    return text


def _decoded(raw: bytes, name: str, encoding: str | None) -> str:
    for mark, marked in _MARKS:
        if raw.startswith(mark):
            raw, encoding = raw.removeprefix(mark), marked
            break
    if encoding is None and (shown := shown_by(raw)) is not None:
        return shown[0]
    if encoding is not None and not is_known(encoding):
        encoding = codec(encoding) or encoding
    try:
        return raw.decode(encoding or "utf-8")
    except LookupError:
        known = ", ".join(_CANDIDATES)
        raise BadInput(f"--encoding {encoding}: there is no such encoding; try one of {known}") from None
    except UnicodeDecodeError as error:
        wrong = f"{name} is not {encoding or 'UTF-8'} (byte {error.start})"
        if encoding is not None:
            raise BadInput(f"{wrong}; name another one with --encoding") from None
        readings = "".join(f"\n  --encoding {one:<14} {shown}" for one, shown in _readings(raw, error.start))
        raise BadInput(f"{wrong}; name its encoding, the one that reads right:{readings}") from None


def _readings(raw: bytes, fault: int) -> list[tuple[str, str]]:
    """The words around the byte that is not UTF-8, in every candidate that can read the whole file."""
    begin = raw.rfind(b"\n", 0, fault) + 1
    found: dict[str, str] = {}
    for encoding in _CANDIDATES:
        try:
            raw.decode(encoding)
            before, after = (
                raw[begin:fault].decode(encoding),
                raw[fault : fault + 4 * _SHOWN].decode(encoding, "ignore"),
            )
        except UnicodeDecodeError:
            continue
        shown = (before[-_SHOWN // 2 :] + after)[:_SHOWN].split("\n")[0].strip()
        if shown.isprintable():
            found.setdefault(shown, encoding)
    return [(encoding, shown) for shown, encoding in found.items()]


def plain(text: str, *, markdown: bool = False) -> str:
    """What is narrated: of Markdown what is read aloud, of any other text all of it. Raises BadInput where nothing is
    left."""
    if not markdown:
        return text
    said = spoken(blocks(_lines(text)))
    if not said:
        raise BadInput("the Markdown has no text that is read aloud; give --no-markdown to narrate it as it is written")
    return said


def chapters(text: str, *, markdown: bool = False) -> list[Part]:
    """Cuts before every heading. Text before the first heading becomes a part without a title; a heading without text
    joins the next part. Raises BadInput where there is no heading."""
    lines = _lines(text)
    if markdown:
        found = blocks(lines)
        marked = [Heading(block.heading, _title(block), at, at) for at, block in enumerate(found) if block.heading]
        numbered = headings_among([_title(block) if block.heading else block.text for block in found])
        said, seam = [block.text for block in found], "\n\n"
    else:
        marked, numbered = markdown_headings(lines), numbered_headings(lines)
        said, seam = _without_marks(lines, marked), "\n"
    headings = _of_chapters(marked) or numbered
    if not headings:
        raise BadInput(
            'there are no chapters: neither Markdown headings ("# Title") nor lines like "Chapter 1", nor "I", "II"'
        )
    return list(_parts(said, headings, seam))


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _title(heading: Block) -> str:
    """The whole; it may be broken."""
    return " ".join(heading.text.split())


def _parts(said: Sequence[str], headings: Sequence[Heading], seam: str) -> Iterator[Part]:
    title, begin = "", 0
    for heading in headings:
        body = seam.join(said[begin : heading.first]).strip()
        if body and body != title:
            yield Part(title[:LONGEST_TITLE], body)
            begin = heading.first
        title = heading.title
    if body := seam.join(said[begin:]).strip():
        yield Part(title[:LONGEST_TITLE], body)


def _of_chapters(headings: Sequence[Heading]) -> list[Heading]:
    """Those of the highest level that occurs more than once: a book's own title is not a chapter."""
    times = Counter(heading.level for heading in headings)
    chapter = min((level for level, count in times.items() if count > 1), default=min(times, default=0))
    return [heading for heading in headings if heading.level == chapter]


def _without_marks(lines: Sequence[str], headings: Sequence[Heading]) -> list[str]:
    """The lines, with the title alone where a heading was."""
    plain = list(lines)
    for heading in headings:
        plain[heading.first : heading.last + 1] = [heading.title, *[""] * (heading.last - heading.first)]
    return plain
