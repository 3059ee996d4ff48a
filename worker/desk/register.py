"""The register of a result: where in its audio each of its passages lies. By it the next revision of a job takes from
the result before what did not change, and neither joins, measures nor encodes it again.

    objects of the passages without their sound, one after another, and a line feed
    {"crc32": …, "passages": {name: [place, size, byte, bytes, sample]}}    of an object, and of its sound in the audio

It lies among the files of its result, is counted with them, and goes with them. A passage that is taken by it is that
which would be made, to the bit: it has the checksum of its sound. A FLAC keeps frames, an M4B or MP3 packets, a WAV
samples. From an Opus file, or one that is encoded without FFmpeg, nothing can be taken, so it has no register; nor has
a short recording, which is made again in no time.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Self

from farm.errors import ObjectMissing
from farm.layout import register_key
from farm.storage import Storage
from farm.store import Store, revisions
from farm.wire import Output
from worker.desk.passage import Passage, is_packed, with_sound, without_sound

_Place = tuple[int, int, int, int, int]
_NOTHING: Mapping[str, _Place] = MappingProxyType({})


class RegisterDamaged(Exception):
    """A result does not have what its register says, so nothing is taken from it."""


class Register:
    """Of the result of `audio_key`. Without places there is nothing to be taken."""

    def __init__(
        self, storage: Storage, audio_key: str = "", data: bytes = b"", places: Mapping[str, _Place] = _NOTHING
    ) -> None:
        self._storage, self._audio, self._data, self._places = storage, audio_key, data, places

    @classmethod
    def before(cls, store: Store, storage: Storage, job: str, revision: int) -> Self:
        """Of the latest result before this revision of a job; empty where there is none."""
        results = list(store.run(revisions.earlier(job)).values()) if revision > 1 else []
        if not results:
            return cls(storage)
        audio = results[-1].result.audio_key
        try:
            data = storage.get(register_key(audio))
        except ObjectMissing:
            return cls(storage)
        return cls(storage, audio, data, _places(data))

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def passage(self, name: str, chapter: int) -> Passage:
        """Raises RegisterDamaged where the result is gone by now, or is not what it was."""
        place, size, start, length, sample = self._places[name]
        try:
            sound = self._storage.get(self._audio, start, length)
        except ObjectMissing:
            raise RegisterDamaged from None
        passage = with_sound(self._data[place : place + size], chapter, sample, sound)
        if passage is None:
            raise RegisterDamaged
        return passage


def keeps_passages(output: Output) -> bool:
    """Whether passages can be taken from a recording again."""
    return output.format in ("wav", "flac") or is_packed(output)


class RegisterFile:
    """Writes a register while its recording is bound: some MB an hour, which need not lie in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._sizes: list[int] = []
        self._crc = 0

    def add(self, passage: Passage, output: Output) -> None:
        """In the order of the recording."""
        data = without_sound(passage, output)
        self._crc = zlib.crc32(data, self._crc)
        self._sizes.append(self._file.write(data))

    def finish(self, names: Iterable[str], sounds: Iterable[tuple[int, int]], samples: Iterable[int]) -> None:
        """Of each passage its name, the first byte and the bytes of its sound in the audio, and its first sample.
        Passages that sound the same have one name."""
        objects = zip(accumulate(self._sizes, initial=0), self._sizes, strict=False)
        table = {
            name: (*at, *sound, sample) for name, at, sound, sample in zip(names, objects, sounds, samples, strict=True)
        }
        self._file.write(b"\n" + json.dumps({"crc32": self._crc, "passages": table}).encode())

    def close(self) -> None:
        """Also where it was not finished."""
        self._file.close()


def _places(data: bytes) -> Mapping[str, _Place]:
    """Nothing of one that is damaged, which is as good as missing."""
    end = data.rfind(b"\n")
    try:
        head = json.loads(data[end + 1 :])
    except ValueError:
        return _NOTHING
    if head["crc32"] != zlib.crc32(memoryview(data)[:end]):
        return _NOTHING
    return {name: tuple(place) for name, place in head["passages"].items()}
