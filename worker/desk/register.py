"""The register of a result: where in its audio each of its passages lies. By it the next revision of a job takes from
the result before what did not change, and neither joins, measures nor encodes it again.

    {"crc32": …, "passages": {name: [place, size, byte, bytes, sample]}}    one line of JSON
    objects of the passages without their sound, which lies in the audio from that byte and that sample on

It lies among the files of its result, is counted with them, and goes with them. A passage that is taken by it is that
which would be made, to the bit: it has the checksum of its sound. A FLAC keeps frames, an M4B or MP3 packets, a WAV
samples. From an Opus file, or one that is encoded without FFmpeg, nothing can be taken, so it has no register; nor has
a short recording, which is made again in no time.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType
from typing import Self

from farm.errors import ObjectMissing
from farm.layout import register_key
from farm.storage import Storage
from farm.store import Store, revisions
from farm.wire import Output
from worker.desk.passage import Passage, is_packed, with_sound


@dataclass(frozen=True, slots=True)
class Entry:
    """A passage of a result: its object without its sound, and where that lies in the audio."""

    object: bytes
    start: int  # byte
    length: int
    sample: int


_NOTHING: Mapping[str, Entry] = MappingProxyType({})


class RegisterDamaged(Exception):
    """A result does not have what its register says, so nothing is taken from it."""


class Register:
    """Of the result of `audio_key`. Without entries there is nothing to be taken."""

    def __init__(self, storage: Storage, audio_key: str = "", entries: Mapping[str, Entry] = _NOTHING) -> None:
        self._storage, self._audio, self._entries = storage, audio_key, entries

    @classmethod
    def before(cls, store: Store, storage: Storage, job: str, revision: int) -> Self:
        """Of the latest result before this revision of a job; empty where there is none."""
        results = list(store.run(revisions.earlier(job)).values()) if revision > 1 else []
        if not results:
            return cls(storage)
        audio = results[-1].result.audio_key
        try:
            return cls(storage, audio, _read(storage.get(register_key(audio))))
        except ObjectMissing:
            return cls(storage)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def passage(self, name: str, chapter: int) -> Passage:
        """Raises RegisterDamaged where the result is gone by now, or is not what it was."""
        entry = self._entries[name]
        try:
            sound = self._storage.get(self._audio, entry.start, entry.length)
        except ObjectMissing:
            raise RegisterDamaged from None
        passage = with_sound(entry.object, chapter, entry.sample, sound)
        if passage is None:
            raise RegisterDamaged
        return passage


def keeps_passages(output: Output) -> bool:
    """Whether passages can be taken from a recording again."""
    return output.format in ("wav", "flac") or is_packed(output)


def write_register(names: Sequence[str], entries: Sequence[Entry]) -> bytes:
    """In the order of the recording. Passages that sound the same have one name."""
    objects = b"".join(entry.object for entry in entries)
    places = accumulate((len(entry.object) for entry in entries), initial=0)
    table = {
        name: [place, len(entry.object), entry.start, entry.length, entry.sample]
        for name, place, entry in zip(names, places, entries, strict=False)
    }
    return json.dumps({"crc32": zlib.crc32(objects), "passages": table}).encode() + b"\n" + objects


def _read(data: bytes) -> dict[str, Entry]:
    """Empty for one that is damaged, which is as good as missing."""
    line, _, objects = data.partition(b"\n")
    try:
        head = json.loads(line)
    except ValueError:
        return {}
    if head["crc32"] != zlib.crc32(objects):
        return {}
    return {
        name: Entry(objects[place : place + size], start, length, sample)
        for name, (place, size, start, length, sample) in head["passages"].items()
    }
