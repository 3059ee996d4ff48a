"""A text as it is shown: white space collapses, and marks keep their places in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from farm.documents.tree import Mark

_SPACE = re.compile(r"[ \t\r\n\f]+")
CONTROL = {code: None for code in (*range(9), *range(0x0B, 0x20), *range(0x7F, 0xA0)) if code not in (0x0C, 0x0D, 0x85)}


@dataclass(slots=True)
class Line:
    """A text that grows, with its white space as it is shown."""

    pieces: list[str] = field(default_factory=list)
    length: int = 0
    marks: list[Mark] = field(default_factory=list)
    last: str = "\n"

    def add(self, text: str) -> None:
        text = _SPACE.sub(" ", text.translate(CONTROL))
        if self.last in " \n" and text.startswith(" "):
            text = text[1:]
        self._put(text)

    def end(self) -> None:
        """A line end. White space before it is not shown."""
        if self.last == " ":
            self.pieces[-1] = self.pieces[-1][:-1]
            self.length -= 1
        self._put("\n")

    def mark(self, kind: str, value: str) -> None:
        self.marks.append(Mark(self.length, kind, value))

    def taken(self) -> tuple[str, tuple[Mark, ...]]:
        """The text and its marks; the line is empty again."""
        whole = "".join(self.pieces)
        text = whole.strip(" \n")
        lead = len(whole) - len(whole.lstrip(" \n"))
        marks = tuple(replace(mark, at=min(max(0, mark.at - lead), len(text))) for mark in self.marks)
        self.pieces, self.length, self.marks, self.last = [], 0, [], "\n"
        return text, marks

    def _put(self, text: str) -> None:
        if text:
            self.pieces.append(text)
            self.length += len(text)
            self.last = text[-1]
