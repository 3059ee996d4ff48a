"""The silence around the clips of a job: between them as the plan says, before each chapter, and after the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from farm.planning import Pauses
from farm.segment import Segment


@dataclass(frozen=True, slots=True)
class Silence:
    """In milliseconds, around one clip."""

    before: int
    after: int


def silences(
    rows: Sequence[Segment], pauses: Pauses, *, begins_chapter: bool = True, ends_job: bool = True
) -> list[Silence]:
    """Around each row of those that follow each other in a recording."""
    chapters = [None if begins_chapter else rows[0].chapter, *(row.chapter for row in rows)] if rows else []
    last = rows[-1] if rows and ends_job else None
    return [
        Silence(
            pauses.before_chapter if row.chapter != before else 0,
            pauses.end if row is last else row.pause_ms,
        )
        for row, before in zip(rows, chapters, strict=False)
    ]
