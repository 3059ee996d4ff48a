"""The chapters of a document on the command line: shown as a list, and chosen by their numbers."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from farm.cli.screen import line, remark, show, table
from farm.errors import BadInput
from farm.wire import Document, DocumentRules

_RANGE = re.compile(r"(\d{1,6})(?:\s*-\s*(\d{1,6}))?")
_DOCUMENT = (".epub", ".docx", ".pdf", ".fb2", ".fb2.zip", ".html", ".htm", ".xhtml")


def is_document(name: str) -> bool:
    """Whether the farm has to read it, because a text file is not what it is."""
    return name.lower().endswith(_DOCUMENT)


def numbers(text: str) -> list[int]:
    """Of `3-7,9`. Raises argparse.ArgumentTypeError."""
    found: list[int] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise argparse.ArgumentTypeError(f"{text!r} is not like 3-7,9; put FILE before --chapters")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last:
            raise argparse.ArgumentTypeError(f"{part.strip()!r} is no range of chapters; the first is 1")
        found += range(first, last + 1)
    return found


def rule(text: str) -> tuple[str, str]:
    """Of `notes=inline`. Raises argparse.ArgumentTypeError."""
    name, _, value = text.partition("=")
    name = name.replace("-", "_")
    if name not in DocumentRules.model_fields:
        raise argparse.ArgumentTypeError(
            f"there is no rule {name!r}; there are {', '.join(DocumentRules.model_fields)}"
        )
    return name, value


def ids(document: Document, chosen: list[int]) -> list[str]:
    """Raises BadInput for a chapter that the document does not have."""
    beyond = next((number for number in chosen if number > len(document.chapters)), None)
    if beyond is not None:
        raise BadInput(
            f"there is no chapter {beyond}: {document.filename} has {len(document.chapters)}; --list shows them"
        )
    return [document.chapters[number - 1].id for number in dict.fromkeys(chosen)]


def list_chapters(given: argparse.Namespace, document: Document) -> None:
    show(given, document, lambda: _tell(document))


def _tell(document: Document) -> None:
    said = document.metadata
    line(" · ".join(filter(None, (said.title or document.filename, said.author, said.language, document.kind))))
    if document.encoding_from == "guess":
        remark(f"its encoding looks like {document.encoding}; if words are wrong, name it with --encoding")
    for warning in document.warnings:
        remark(f"note: {warning}")
    table(("", "chapter", "characters", "left out", "first words"), _rows(document))
    included = sum(chapter.included for chapter in document.chapters)
    line(f"{included} of {len(document.chapters)} chapters, {document.characters:,} characters")


def _rows(document: Document) -> Iterator[tuple[object, ...]]:
    for number, chapter in enumerate(document.chapters, 1):
        title = "  " * (chapter.depth - 1) + (chapter.title or "(no title)")
        out = (chapter.left_out or "").replace("_", " ")
        yield number, title, f"{chapter.characters:,}", out, chapter.first_words[:50]
