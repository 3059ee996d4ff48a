"""Passages: the stretches of a long job that the desk joins and encodes by themselves, while the rest is rendered.

A passage is a chapter, or some ten minutes of a longer one, cut between paragraphs. Where a job is cut depends on its
plan alone, so every desk cuts it alike. A job that is shorter than a passage is joined as a whole, at its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from farm.audio_formats import BOOK_FORMATS
from farm.segment import Segment
from farm.wire import Output

PASSAGE_MS = 600_000  # estimated; a passage lies in memory, 26 MB of it at 22,050 Hz
_MS_PER_BYTE = 60  # of text in UTF-8: of English, and of Chinese with three bytes a character


class Cuts:
    """Lets rows pass, in the order of the plan, and notes where passages end."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._paragraph_ms = output.pause_ms.paragraph
        self._ends: list[int] = []
        self._ms = self._in_passage_ms = 0

    def noted(self, rows: Iterable[Segment]) -> Iterator[Segment]:
        last: Segment | None = None
        for row in rows:
            if last is not None and self._ends_with(last, row):
                self._ends.append(row.index)
                self._in_passage_ms = 0
            lasts_ms = (row.target_duration_ms or _MS_PER_BYTE * len(row.said.encode())) + row.pause_ms
            self._ms += lasts_ms
            self._in_passage_ms += lasts_ms
            yield row
            last = row
        if last is not None:
            self._ends.append(last.index + 1)

    @property
    def ends(self) -> tuple[int, ...]:
        """For each passage, the number of the segment after it. Complete once every row has passed."""
        return tuple(self._ends)

    @property
    def worthwhile(self) -> bool:
        """Whether the job is long enough for passages, and its result can be joined from them. With one gain for the
        whole recording a wav or flac is not: nothing can be encoded before the last clip is there (decision 4)."""
        can_be_joined = _is_bound(self._output) or not self._output.has_gain
        return can_be_joined and is_long(self._ms) and len(self._ends) > 1

    def _ends_with(self, last: Segment, row: Segment) -> bool:
        if row.chapter != last.chapter:
            return True
        is_paragraph = last.pause_ms >= self._paragraph_ms
        return self._in_passage_ms >= PASSAGE_MS * (1 if is_paragraph else 2)


def passages(rows: Iterable[Segment], output: Output) -> list[list[Segment]]:
    """The rows of each passage of a job, or of a chapter of it; empty where the job is joined as a whole."""
    cuts = Cuts(output)
    every = list(cuts.noted(rows))
    if not (cuts.worthwhile or _is_bound(output)):
        return []
    first = every[0].index if every else 0
    return [every[start - first : end - first] for start, end in pairwise((first, *cuts.ends))]


def is_long(milliseconds: int) -> bool:
    """Whether a recording is longer than a passage."""
    return milliseconds > PASSAGE_MS


def _is_bound(output: Output) -> bool:
    """Whether a result of any length is made of passages. Those that share a gain are samples until it is known."""
    return output.format in BOOK_FORMATS or output.gain_per_chapter or output.per_chapter
