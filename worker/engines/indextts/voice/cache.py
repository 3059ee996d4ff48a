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
    """Drops the least recently used first. Thread-safe; two threads that want the same new voice make it once, and a
    thread that wants known ones does not wait for new ones."""

    def __init__(self, make: Make[Kept], size: Callable[[Kept], int], limit: int) -> None:
        """`size` gives the bytes of one; `limit` is the bytes of all together."""
        self._make, self._size, self._limit = make, size, limit
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._lock = threading.Lock()  # of what is kept
        self._making = threading.Lock()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, digest: str) -> Kept | None:
        """What is kept under the digest. It waits for nothing that is being made."""
        with self._lock:
            found = self._kept.get(digest)
            if found is not None:
                self._kept.move_to_end(digest)
                self.hits += 1
            return found

    def get(self, references: Mapping[str, str]) -> dict[str, Kept | Exception]:
        """From digest -> audio file to digest -> vector or voice. New ones are made in one batch. One that can't be
        made is answered with the reason, and tried again when it is wanted again.

        Whatever is answered stays until the next call, even where it alone exceeds the limit."""
        answer: dict[str, Kept | Exception] = {}
        if not self._missing(references, answer):
            self._count(len(references), {}, references)
            return answer
        with self._making:
            answer.clear()
            missing = self._missing(references, answer)  # another thread may have made some meanwhile
            made = self._make([references[digest] for digest in missing]) if missing else []
            new = dict(zip(missing, made, strict=True))
            self._count(len(answer), new, references)
        return answer | new

    def _missing(self, references: Mapping[str, str], answer: dict[str, Kept | Exception]) -> list[str]:
        """The digests that are not kept; those that are go into the answer."""
        with self._lock:
            for digest in references:
                if digest in self._kept:
                    self._kept.move_to_end(digest)
                    answer[digest] = self._kept[digest]
            return [digest for digest in references if digest not in answer]

    def _count(self, hits: int, made: Mapping[str, Kept | Exception], wanted: Mapping[str, str]) -> None:
        with self._lock:
            self.hits += hits
            self.misses += len(made)
            for digest, one in made.items():
                if not isinstance(one, Exception):
                    self._kept[digest] = one
                    self.bytes += self._size(one)
            self._evict(wanted)

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
