"""Caches of conditioned references: voices, and the vectors of emotion clips.

A voice of 15 s takes about 3 MB, and 40 times as long to make as to find. Keys are content digests, so a file with new
content is another voice.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import torch

from worker.engines.indextts.shapes import Voice

Kept = TypeVar("Kept")
Make = Callable[[Sequence[str]], Sequence[Kept | Exception]]  # of audio files, in one batch


class Cache(Generic[Kept]):
    """Drops the least recently used first. Thread-safe; two threads that want the same new voice make it once."""

    def __init__(self, make: Make[Kept], size: Callable[[Kept], int], limit: int) -> None:
        """`size` gives the bytes of one; `limit` is the bytes of all together."""
        self._make, self._size, self._limit = make, size, limit
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, references: Mapping[str, str]) -> dict[str, Kept | Exception]:
        """From digest -> audio file to digest -> vector or voice. New ones are made in one batch. One that can't be
        made is answered with the reason, and tried again when it is wanted again.

        Whatever is answered stays until the next call, even where it alone exceeds the limit."""
        with self._lock:
            missing = [digest for digest in references if digest not in self._kept]
            made = self._make([references[digest] for digest in missing]) if missing else []
            self.hits += len(references) - len(missing)
            self.misses += len(missing)
            answer: dict[str, Kept | Exception] = {}
            for digest, made_now in zip(missing, made, strict=True):
                answer[digest] = made_now
                if not isinstance(made_now, Exception):
                    self._kept[digest] = made_now
                    self.bytes += self._size(made_now)
            for digest in references:
                if digest in self._kept:
                    self._kept.move_to_end(digest)
                    answer[digest] = self._kept[digest]
            self._evict(references)
            return answer

    def _evict(self, wanted: Mapping[str, str]) -> None:
        while self.bytes > self._limit and (oldest := next(iter(self._kept))) not in wanted:
            self.bytes -= self._size(self._kept.pop(oldest))


class VoiceCache(Cache[Voice]):
    def __init__(self, make: Make[Voice], bytes: int) -> None:
        super().__init__(make, lambda voice: voice.bytes, bytes)


class EmotionCache(Cache[torch.Tensor]):
    """Of vectors (D,), 5 KB each."""

    def __init__(self, make: Make[torch.Tensor], bytes: int = 4 << 20) -> None:
        super().__init__(make, lambda vector: vector.nbytes, bytes)
