"""A manuscript: a text file in UTF-8, cut into chapters at its headings.

A heading is spoken as well as shown, so every line of the file stands in exactly one chapter. Only `read` does I/O.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from farm.errors import BadInput

_MARKDOWN = re.compile(r"(#{1,6})\s+(.+?)\s*#*\s*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_NUMBERED = re.compile(
    r"(?:chapter|part|kapitel|teil|cap[ií]tulo|parte|chapitre|partie|capitolo)\s+(?:\d+|[ivxlcdm]+|\w+)(?:\s*[.:–—-]\s*.*)?$"
    r"|第[0-9〇零一二两三四五六七八九十百]+[章回節节].*$",
    re.IGNORECASE,
)
_TITLE_MAX = 200  # characters, the limit of a chapter's title on the wire


@dataclass(frozen=True, slots=True)
class Part:
    title: str
    text: str


def read(name: str) -> str:
    """The file's text, or stdin's for "-"."""
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{name} is not UTF-8 (byte {error.start}); convert it first: iconv -f WINDOWS-1252 -t UTF-8 {name}"
        ) from None
    if not text.strip():
        raise BadInput(f"{name} is blank; there is nothing to speak")
    return text


def chapters(text: str) -> list[Part]:
    """Cuts before every heading. Text before the first heading becomes a part without a title; a heading without text
    joins the next part. Raises BadInput where there is no heading."""
    lines = text.splitlines()
    marked = _markdown(lines)
    cuts = _chapter_level(marked) or _numbered(lines)
    if not cuts:
        raise BadInput('there are no chapters: neither Markdown headings ("# Title") nor lines like "Chapter 1"')
    plain = [marked[n][1] if n in marked else line for n, line in enumerate(lines)]
    parts: list[Part] = []
    title, begin = "", 0
    for cut in [*cuts, len(lines)]:
        body = "\n".join(plain[begin:cut]).strip()
        if body and (body != title or cut == len(lines)):
            parts.append(Part(title, body))
            begin = cut
        if cut < len(lines):
            title = " ".join(plain[cut].split())[:_TITLE_MAX]
    return parts


def _markdown(lines: list[str]) -> dict[int, tuple[int, str]]:
    """Line number -> level and title of every Markdown heading outside code."""
    headings: dict[int, tuple[int, str]] = {}
    fenced = False
    for number, line in enumerate(lines):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and (match := _MARKDOWN.match(line)):
            headings[number] = (len(match[1]), match[2])
    return headings


def _chapter_level(headings: dict[int, tuple[int, str]]) -> list[int]:
    """The lines of the highest level that occurs more than once: a book's own title is not a chapter."""
    times = Counter(level for level, _ in headings.values())
    chapter = min((level for level, count in times.items() if count > 1), default=min(times, default=0))
    return [number for number, (level, _) in headings.items() if level == chapter]


def _numbered(lines: list[str]) -> list[int]:
    """Lines like "Chapter 3: The Storm" that stand after a blank line."""
    return [
        number
        for number, line in enumerate(lines)
        if len(line) <= _TITLE_MAX and _NUMBERED.match(line.strip()) and (number == 0 or not lines[number - 1].strip())
    ]
