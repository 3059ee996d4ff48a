"""The text of a job: its chapters as one JSON document. A short one travels with accept, a long one lies in storage
first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from farm.layout import edited_text_key, text_key
from farm.spec import Spec
from farm.wire import Chapter


class Turn(NamedTuple):
    """A stretch of a chapter's input, in characters, that an edit gave to another voice."""

    start: int
    end: int
    voice: str  # one of the cast, or a voice


class StoredChapter(Chapter):
    """A chapter as a job keeps it, with what edits have made of it."""

    turns: tuple[Turn, ...] = ()  # in their order, none over another
    left_out: bool = False  # it is kept, and not spoken


def write_text(chapters: Sequence[Chapter]) -> str:
    rows = []
    for chapter in chapters:
        row: dict[str, object] = {"input": chapter.input}
        if chapter.title:
            row["title"] = chapter.title
        if chapter.voice:
            row["voice"] = chapter.voice
        if chapter.target_duration_ms:
            row["target_duration_ms"] = chapter.target_duration_ms
        if chapter.headings:
            row["headings"] = chapter.headings
        if isinstance(chapter, StoredChapter):
            if chapter.turns:
                row["turns"] = chapter.turns
            if chapter.left_out:
                row["left_out"] = True
        rows.append(row)
    return json.dumps({"chapters": rows}, ensure_ascii=False, separators=(",", ":"))


def stored_text_key(job: str, spec: Spec) -> str:
    """Where the text of a job lies in storage, once it does."""
    return edited_text_key(job, spec.text) if spec.text else text_key(job)


def read_text(document: str | bytes) -> list[StoredChapter]:
    """The chapters, not validated again: accepting them did that."""
    return [
        StoredChapter.model_construct(
            title=row.get("title", ""),
            input=row["input"],
            voice=row.get("voice"),
            target_duration_ms=row.get("target_duration_ms"),
            headings=row.get("headings", []),
            turns=tuple(Turn(*turn) for turn in row.get("turns", ())),
            left_out=row.get("left_out", False),
        )
        for row in json.loads(document)["chapters"]
    ]


def read_spoken(document: str | bytes) -> list[StoredChapter]:
    """The chapters that are spoken. Plans, manifests and segments count these alone."""
    return [chapter for chapter in read_text(document) if not chapter.left_out]
