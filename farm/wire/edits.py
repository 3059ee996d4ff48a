"""What a job that is there already is changed with."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from farm.wire.choices import at_most_one, given_or_said
from farm.wire.fields import MAX_CHAPTERS, MAX_CHARACTERS, ChapterNumber, Name, Request, Seed, Text, Words, number
from farm.wire.requests import TEXTS, Chapter, DocumentChoice, Narration


class SegmentEdit(Request):
    """Other words for one sentence, another voice, or both."""

    model_config = ConfigDict(json_schema_extra=given_or_said("text", "voice"))

    index: Annotated[int, Field(ge=0, le=10**6), BeforeValidator(number)]
    text: Words | None = Field(
        None,
        description="in place of what stands there, in the job's markup; empty: it is left out. Absent: it stays",
    )
    voice: Name | None = Field(
        None,
        description="who speaks it: one of the cast or a voice; null: who speaks what is around it. Absent: it stays",
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.text is None and not self.says_voice:
            raise ValueError("give a text, a voice, or both")
        return self

    @property
    def says_voice(self) -> bool:
        return "voice" in self.model_fields_set


_NEW_TEXTS = ("segments", *TEXTS)  # an edit has at most one of them


class JobEdit(Narration):
    """PATCH /v1/jobs/{id}. What it sets is changed, and everything else stays: fields as a whole, of `output` those
    that it names. The text by sentences, or all of it anew."""

    model_config = ConfigDict(json_schema_extra=at_most_one(*_NEW_TEXTS))

    segments: Annotated[list[SegmentEdit], Field(min_length=1, max_length=1_000)] | None = Field(
        None, description="other words or voices for some sentences, by their numbers in this revision"
    )
    left_out: Annotated[list[ChapterNumber], Field(max_length=MAX_CHAPTERS)] | None = Field(
        None,
        description="chapters that are not spoken, by their numbers in /v1/jobs/{id}/contents; all others are. "
        "They are kept, and can be taken in again",
    )
    input: Text | None = Field(None, description="all of the text anew; this, chapters, document or segments")
    chapters: Annotated[list[Chapter], Field(min_length=1, max_length=MAX_CHAPTERS)] | None = None
    document: DocumentChoice | None = Field(
        None, description="other chapters of an uploaded document, or by other rules"
    )

    @model_validator(mode="after")
    def _one_text(self) -> Self:
        if len(self.changed & set(_NEW_TEXTS)) > 1:
            raise ValueError("give at most one of segments, input, chapters and document")
        if self.left_out is not None and self.renews_text:
            raise ValueError("left_out is about the chapters that the job has; leave it out, or the new text")
        if self.chapters and sum(len(chapter.input) for chapter in self.chapters) > MAX_CHARACTERS:
            raise ValueError(f"the chapters together have more than {MAX_CHARACTERS:,} characters; split the job")
        return self

    @property
    def renews_text(self) -> bool:
        return any(getattr(self, name) is not None for name in TEXTS)

    @property
    def changed(self) -> frozenset[str]:
        """The fields that it sets. A text that is null is none."""
        texts = {name for name in (*_NEW_TEXTS, "left_out") if getattr(self, name) is None}
        return frozenset(self.model_fields_set - texts)


class SegmentRetry(Request):
    """POST /v1/jobs/{id}/segments/{n}/retry."""

    seed: Seed | None = Field(None, description="of the new take; the one after the segment's when absent")
