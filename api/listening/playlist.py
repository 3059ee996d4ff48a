"""The playlist of one job (RFC 8216): a list of fragments that grows at its end, in the order of the recording.

    #EXTINF:3.482177,
    7-1f9a04c2-541120-8820-0.m4s

A segment adds a *stretch*: the silence before its clip, and the clip. A stretch that is longer than a fragment may be
is cut. The name of a fragment holds all that makes its bytes, so it is made without this list, by any process, and
never changes. The list ends once every segment is listed, or dead in a job that goes on without. A clip that is not
settled yet, or is missing, holds the list: nothing behind it is listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from api.listening.sound import JobSound
from farm.errors import ClipCorrupt, ObjectMissing
from farm.segment import Segment
from farm.sound.flac import Pcm
from farm.sound.fragments import fragment
from farm.store.jobs import Settling

MEDIA_TYPE = "application/vnd.apple.mpegurl"
LONGEST_S = 10  # of a fragment; the target duration of the list, which may never change
AT_ONCE = 4096  # segments by which one call lets the list grow

_MARK = 8  # digits of a clip's digest in the name of its fragment
_FORM = re.compile(r"(\d{1,9})-([0-9a-f]{8}|end)-(\d{1,15})-(\d{1,15})-(\d{1,9})", re.ASCII)

Look = Callable[[Callable[[Segment], int | None], Sequence[Segment]], Iterable[int | None]]


@dataclass(frozen=True, slots=True)
class Part:
    """A fragment: one part of the stretch of a segment."""

    index: int  # of the segment; that behind the last stands for the silence at the end
    mark: str  # of its clip
    at: int  # where the stretch begins, in samples
    quiet: int  # samples of silence before the clip
    number: int

    @property
    def name(self) -> str:
        return f"{self.index}-{self.mark}-{self.at}-{self.quiet}-{self.number}"

    @classmethod
    def read(cls, name: str) -> Part | None:
        found = _FORM.fullmatch(name)
        return None if found is None else cls(int(found[1]), found[2], *map(int, found.groups()[2:]))

    def bytes(self, sound: JobSound) -> bytes:
        """Raises ObjectMissing where its clip is gone, or is of another plan than this name, or ClipCorrupt."""
        longest = LONGEST_S * sound.sample_rate
        first = self.number * longest
        silence = np.zeros(min(longest, max(0, self.quiet - first)), np.int16)
        begin = max(0, first - self.quiet)
        spoken = self._clip(sound)[begin : begin + longest - len(silence)] if len(silence) < longest else silence[:0]
        pcm: Pcm = np.concatenate((silence, spoken))
        if not len(pcm):
            raise ObjectMissing("there is no such part")
        return fragment(pcm, sound.sample_rate, self.at + first)

    def _clip(self, sound: JobSound) -> Pcm:
        if self.index == sound.total and self.mark == "end":
            return np.empty(0, np.int16)
        row = sound.row(self.index) if self.index < sound.total else None
        if row is None or row.digest[:_MARK] != self.mark:
            raise ObjectMissing("this fragment is of another version of the job")
        return sound.clip(row)


class Playlist:
    def __init__(self, sound: JobSound) -> None:
        self.sound = sound
        self.next = 0  # the segment that is listed next
        self.fragments = 0
        self._before: Segment | None = None  # the latest that is heard
        self._at = 0  # samples that are listed
        self._text = (
            "#EXTM3U\n#EXT-X-VERSION:7\n"
            f"#EXT-X-TARGETDURATION:{LONGEST_S}\n"
            "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEPENDENT-SEGMENTS\n"
            "#EXT-X-START:TIME-OFFSET=0\n"
            f'#EXT-X-MAP:URI="init-{sound.sample_rate}.mp4"\n'
        ).encode()

    @property
    def is_whole(self) -> bool:
        return self.next >= self.sound.total

    @property
    def text(self) -> bytes:
        return self._text + b"#EXT-X-ENDLIST\n" if self.is_whole else self._text

    def grow(self, known: Settling, dead: Collection[int], look: Look = map) -> None:
        """Lists what is settled by now. `look` is a `map` that may ask storage for many clips at once."""
        if self.is_whole:
            return
        rows = self.sound.rows(self.next, min(self.next + AT_ONCE, self.sound.total))
        settled = list(takewhile(lambda row: row.index in dead or known.has(row.index), rows))
        lengths = iter(look(self._length, [row for row in settled if row.index not in dead]))
        self._text += "".join(self._lines(settled, dead, lengths)).encode()

    def _lines(self, rows: Iterable[Segment], dead: Collection[int], lengths: Iterator[int | None]) -> Iterator[str]:
        for row in rows:
            if row.index not in dead:
                length = next(lengths)
                if length is None:
                    return
                quiet = self.sound.silence_before(row, self._before)
                yield from self._stretch(row.index, row.digest[:_MARK], quiet, length)
                self._before = row
            self.next = row.index + 1
        if self.is_whole:
            yield from self._stretch(self.sound.total, "end", self.sound.silence_at_end(), 0)

    def _stretch(self, index: int, mark: str, quiet: int, frames: int) -> Iterator[str]:
        rate, longest = self.sound.sample_rate, LONGEST_S * self.sound.sample_rate
        whole = quiet + frames
        for number, begin in enumerate(range(0, whole, longest)):
            seconds = min(longest, whole - begin) / rate
            yield f"#EXTINF:{seconds:.6f},\n{Part(index, mark, self._at, quiet, number).name}.m4s\n"
            self.fragments += 1
        self._at += whole

    def _length(self, row: Segment) -> int | None:
        try:
            return self.sound.frames(row)
        except (ObjectMissing, ClipCorrupt):
            return None
