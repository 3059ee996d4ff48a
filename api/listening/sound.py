"""The clips of one job as its recording has them: trimmed and made soft at their edges, in the model's own sample rate,
before loudness, limiter, room tone and another rate. Its calls block."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from farm.layout import clip_key
from farm.plan import PAGE
from farm.plan_reader import PlanReader
from farm.segment import Segment
from farm.silences import silences
from farm.sound.flac import STREAMINFO_END, Pcm, decode, frames_of
from farm.sound.timeline import Piece, Timeline
from farm.storage import Storage
from farm.wire import Output

_PAGES = 3  # of the plan in memory: that which grows, and two for listeners


class JobSound:
    """Each call raises ObjectMissing where the plan or a clip is missing, ClipCorrupt where a clip is damaged."""

    def __init__(self, storage: Storage, job: str, output: Output, revision: int = 1) -> None:
        reader = PlanReader(storage, job, revision)
        self.sample_rate, self.total = reader.plan.sample_rate, reader.plan.total
        self._storage, self._output = storage, output
        self._page = lru_cache(_PAGES)(reader.page)

    def row(self, index: int) -> Segment:
        return self._page(index // PAGE)[index % PAGE]

    def rows(self, first: int, end: int) -> Iterator[Segment]:
        return map(self.row, range(first, end))

    def silence_before(self, row: Segment, before: Segment | None) -> int:
        """Samples of silence between the clip that is heard before, and that of this row."""
        follows = [row] if before is None else [before, row]
        *earlier, own = silences(follows, self._output.pause_ms, begins_chapter=True, ends_job=False)
        return self._samples(own.before) + sum(self._samples(each.after) for each in earlier)

    def silence_at_end(self) -> int:
        return self._samples(self._output.pause_ms.end)

    def frames(self, row: Segment) -> int:
        """Samples of its clip. A clip that is not trimmed says so itself."""
        if self._output.trim_dbfs is None:
            return frames_of(self._storage.get(clip_key(row.digest), 0, STREAMINFO_END))
        return len(self.clip(row))

    def clip(self, row: Segment) -> Pcm:
        pcm = decode(self._storage.get(clip_key(row.digest)), self.sample_rate).pcm
        timeline = Timeline(self.sample_rate, self._output.trim_dbfs)
        return np.concatenate([pcm[:0], *timeline.blocks([Piece(pcm, pause_ms=0)])])

    def _samples(self, ms: int) -> int:
        return ms * self.sample_rate // 1000
