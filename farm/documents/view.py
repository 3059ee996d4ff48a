"""What a client sees of a document before it makes a job of it: metadata, warnings, and each chapter without its
text."""

from __future__ import annotations

import json

from farm.documents.rules import Reading, left_out
from farm.documents.tree import Document
from farm.wire import DocumentChapter, DocumentRules

_FIRST_WORDS = 80  # characters
_MOST_WARNINGS = 100


def view_of(document: Document) -> str:
    """JSON, with the fields of farm.wire.Document that come from the document itself. Chapters as the rules have them
    when nobody sets one."""
    rules = DocumentRules()
    out = left_out(document, rules)
    reading = Reading(document, rules)
    chapters = []
    for chapter in document.chapters:
        text = reading.spoken(chapter, chosen=chapter.id in out).text
        chapters.append(
            DocumentChapter(
                id=chapter.id, title=chapter.title, depth=chapter.depth, characters=len(text),
                first_words=_first_words(text), included=chapter.id not in out, left_out=out.get(chapter.id),
            )
        )  # fmt: skip
    metadata = json.loads(document.metadata.to_json())
    metadata.pop("cover", None)
    said = {
        "kind": document.kind, "metadata": metadata, "warnings": list(document.warnings[:_MOST_WARNINGS]),
        "encoding": document.encoding or None, "encoding_from": document.encoding_from or None,
        "chapters": [chapter.model_dump() for chapter in chapters],
        "characters": sum(chapter.characters for chapter in chapters if chapter.included),
    }  # fmt: skip
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def _first_words(text: str) -> str:
    words = " ".join(text[: 4 * _FIRST_WORDS].split())
    return words if len(words) <= _FIRST_WORDS else words[:_FIRST_WORDS].rsplit(" ", 1)[0] + " …"
