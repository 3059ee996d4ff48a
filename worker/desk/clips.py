"""The clips of one job in storage, fetched in order and some way ahead, or checked for missing and damaged ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from farm.errors import ClipCorrupt, ObjectMissing
from farm.layout import clip_key
from farm.segment import Segment
from farm.sound.flac import Decoded, decode
from farm.storage import Storage

_FETCHERS = 8
_AHEAD = 32  # clips in memory at once; a clip of 20 s is about 1 MB


class Clips:
    def __init__(self, storage: Storage, sample_rate: int) -> None:
        self._storage, self._sample_rate = storage, sample_rate

    def fetched(self, rows: Sequence[Segment]) -> Iterator[tuple[Segment, Decoded]]:
        """Fetched and decoded ahead on other cores. Raises ObjectMissing, or ClipCorrupt, at the first bad clip."""
        with ThreadPoolExecutor(_FETCHERS, "fetch") as pool:
            ahead: deque[tuple[Segment, Future[Decoded]]] = deque()
            try:
                for row in rows:
                    ahead.append((row, pool.submit(self._clip, row)))
                    if len(ahead) > _AHEAD:
                        first, clip = ahead.popleft()
                        yield first, clip.result()
                for first, clip in ahead:
                    yield first, clip.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def missing(self, rows: Sequence[Segment]) -> list[int]:
        """The indices of all segments without a good clip; a power cut may cause many. Deletes damaged clips."""
        with ThreadPoolExecutor(_FETCHERS, "look") as pool:
            return [row.index for row, is_good in zip(rows, pool.map(self._is_good, rows), strict=True) if not is_good]

    def _is_good(self, row: Segment) -> bool:
        try:
            self._clip(row)
        except ObjectMissing:
            return False
        except ClipCorrupt:
            self._storage.delete(clip_key(row.digest))  # or it would be found, and settled as if it were good
            return False
        return True

    def _clip(self, row: Segment) -> Decoded:
        return decode(self._storage.get(clip_key(row.digest)), self._sample_rate)
