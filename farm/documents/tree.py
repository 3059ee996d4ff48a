"""The tree of a document: chapters of blocks, as every reader makes it and the rules read it.

    Document   kind, metadata, warnings, how its characters were read
    └─ Chapter    title, depth in the contents, what it is (`types`)
       └─ Block      heading, paragraph, quote, item, note, table, code, image or break
          ├─ Mark       a place in its text to which something belongs that is not spoken by itself: a note, an image
          └─ Block      what a quote, an item or a note holds

The text of a block is what its reader sees, with white space as it is shown; a line end in it is a line end there. The
marks are no part of the text. So rules can only take whole blocks and marks away, or put them in.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from farm.documents.metadata import Metadata
from farm.errors import ObjectMissing

_FORMAT = 1


class Kind(StrEnum):
    HEADING = "h"
    PARAGRAPH = "p"
    QUOTE = "q"
    ITEM = "i"
    NOTE = "n"
    TABLE = "t"
    CODE = "c"
    IMAGE = "m"
    BREAK = "b"


@dataclass(frozen=True, slots=True)
class Mark:
    """`at` is a place in the text of its block, in characters."""

    at: int
    kind: str  # "note" or "image"
    value: str  # the name of the note; the description of the image


@dataclass(frozen=True, slots=True)
class Block:
    """`types` say what it is a part of, by the words of the EPUB vocabulary: toc, footnote, copyright-page, …; and
    `wrapped`: its line ends are those of a page; `running-head` and `page-number`: it repeats on pages."""

    kind: Kind
    text: str = ""  # of a table its caption, of an image its description
    level: int = 0  # of a heading, from 1
    name: str = ""  # of a note, by which marks know it; of an item its number as it is shown: "3."
    types: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()  # of a table
    children: tuple[Block, ...] = ()

    def within(self) -> Iterator[Block]:
        """The block and all that it holds, in the order of the text."""
        yield self
        for child in self.children:
            yield from child.within()


@dataclass(frozen=True, slots=True)
class Chapter:
    """`id` is c1, c2, … in the order of the document."""

    id: str
    title: str
    depth: int  # 1 is the highest
    blocks: tuple[Block, ...]
    types: tuple[str, ...] = ()  # what all of its blocks are


@dataclass(frozen=True, slots=True)
class Document:
    kind: str  # epub, docx, pdf, markdown, html, fb2, text
    chapters: tuple[Chapter, ...]
    metadata: Metadata = field(default_factory=Metadata)
    warnings: tuple[str, ...] = ()
    encoding: str = ""  # that its characters were read in, where the kind has no encoding of its own
    encoding_from: str = ""  # "mark", "declared", "given", "utf-8" or "guess"

    def to_json(self) -> str:
        """Without the bytes of the cover."""
        said: dict[str, Any] = {"format": _FORMAT, "kind": self.kind, "metadata": json.loads(self.metadata.to_json())}
        for name in ("warnings", "encoding", "encoding_from"):
            if value := getattr(self, name):
                said[name] = value
        said["chapters"] = [
            _lean({"id": one.id, "title": one.title, "depth": one.depth, "types": one.types})
            | {"blocks": [_said(block) for block in one.blocks]}
            for one in self.chapters
        ]
        return json.dumps(said, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, said: str | bytes, cover: bytes | None = None) -> Document:
        """Raises ObjectMissing for what no release has written."""
        try:
            stored = json.loads(said)
            if stored["format"] != _FORMAT:
                raise ValueError(stored["format"])
            return cls(
                kind=stored["kind"],
                metadata=Metadata.from_json(json.dumps(stored["metadata"]), cover),
                warnings=tuple(stored.get("warnings", ())),
                encoding=stored.get("encoding", ""),
                encoding_from=stored.get("encoding_from", ""),
                chapters=tuple(
                    Chapter(
                        one["id"], one.get("title", ""), one["depth"], tuple(map(_read, one["blocks"])),
                        tuple(one.get("types", ())),
                    )
                    for one in stored["chapters"]
                ),
            )  # fmt: skip
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ObjectMissing(
                "the document in storage is damaged; upload it again", code="document_damaged"
            ) from None

    def pack(self) -> bytes:
        return gzip.compress(self.to_json().encode(), compresslevel=3, mtime=0)

    @classmethod
    def unpack(cls, data: bytes, cover: bytes | None = None) -> Document:
        """`cover` are the bytes that were kept beside it. Raises ObjectMissing where it is damaged."""
        try:
            said = gzip.decompress(data)
        except (OSError, EOFError):
            said = b""
        return cls.from_json(said, cover)


def number(chapters: Iterable[tuple[str, int, Sequence[Block]]]) -> tuple[Chapter, ...]:
    """Chapters of (title, depth, blocks), numbered. What all blocks of a chapter are, the chapter is."""
    return tuple(
        Chapter(f"c{place}", title, depth, tuple(blocks), shared_types(blocks))
        for place, (title, depth, blocks) in enumerate(chapters, 1)
    )


def shared_types(blocks: Sequence[Block]) -> tuple[str, ...]:
    """What all of them are. A break says nothing."""
    telling = [block for block in blocks if block.kind is not Kind.BREAK]
    if not telling:
        return ()
    return tuple(one for one in telling[0].types if all(one in block.types for block in telling))


# --- the stored form: a field that is at its default is left out ------------------------------------------------------


def _said(block: Block) -> dict[str, Any]:
    return _lean(
        {
            "k": block.kind.value, "t": block.text, "l": block.level, "n": block.name, "y": block.types,
            "m": [(mark.at, mark.kind, mark.value) for mark in block.marks], "r": block.rows,
            "c": [_said(child) for child in block.children],
        }
    )  # fmt: skip


def _read(said: dict[str, Any]) -> Block:
    return Block(
        Kind(said["k"]), said.get("t", ""), said.get("l", 0), said.get("n", ""), tuple(said.get("y", ())),
        tuple(Mark(*mark) for mark in said.get("m", ())), tuple(map(tuple, said.get("r", ()))),
        tuple(map(_read, said.get("c", ()))),
    )  # fmt: skip


def _lean(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value}
