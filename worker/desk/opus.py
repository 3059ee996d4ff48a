"""The Ogg Opus file of a book: comments in front that name its chapters and hold its cover, and one stream of packets.

Comments stand before the sound, and where chapters begin is known after it: packets wait in a file of their own. What
players read are CHAPTER001=00:00:00.000 with CHAPTER001NAME, and METADATA_BLOCK_PICTURE
(https://wiki.xiph.org/Chapter_Extension, https://wiki.xiph.org/VorbisComment).
"""

from __future__ import annotations

import base64
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from farm.sound.flac import Samples
from farm.sound.timeline import Span
from worker.desk.book import Book, Held, Picture, Placed
from worker.desk.clock import clock
from worker.desk.packets import CODERS, PacketEncoder

# bit/s. With less libopus lets go of what lies above 3 kHz where it must: espeak's speech lost 0.2 LU by that, and its
# peaks rose by 0.5 dB, over the bound of a preset.
FAITHFUL = 56_000
_MOST_CHAPTERS = 1_000  # their numbers have three digits
_FRONT_COVER = 3
# The field of each tag, where it has another name in Vorbis comments. They have one for what others have two for.
_FIELDS: Mapping[str, str] = {"album_artist": "ALBUMARTIST"}
_DESCRIBING = ("description", "comment")


class OpusFile:
    """Takes samples in their order; `finish` with the places of all clips writes the file."""

    def __init__(
        self, target: Path, sample_rate: int, book: Book, check: Callable[[], None], bit_rate: int | None = None
    ) -> None:
        """`check` is called now and then; an exception from it ends the work. `bit_rate` in bit/s; None for the coder's
        own."""
        self._target, self._rate, self._book, self._check = target, sample_rate, book, check
        self._coder = CODERS["opus"]
        self._encoder = PacketEncoder(self._coder, sample_rate, bit_rate)
        self._waiting = tempfile.TemporaryFile(dir=target.parent)  # noqa: SIM115 - closed by `close`
        self._sizes: list[int] = []

    def write(self, samples: Samples, *, ends: bool = False) -> None:
        for packet in self._encoder.packets(samples, self._check, ends=ends):
            self._waiting.write(packet)
            self._sizes.append(len(packet))

    def finish(self, spans: Sequence[Span], frames: int) -> Held:
        import av

        self.write(np.empty(0, np.float32), ends=True)
        picture, chapters = self._book.picture, self._book.placed(spans, frames, self._rate)
        file: Any = av.open(str(self._target), "w", format="ogg", options={"fflags": "+bitexact"})
        stream = file.add_stream(self._coder.name, rate=self._rate, layout="mono")
        self._coder.open(stream.codec_context, self._rate)  # for its configuration alone
        stream.metadata.update(comments(self._book.tags, chapters[:_MOST_CHAPTERS], picture))
        file.start_encoding()
        position, step = -self._coder.priming(self._rate), self._coder.frame(self._rate)
        for body in self._bodies():
            self._check()
            packet = av.Packet(body)
            packet.pts = packet.dts = position
            # The last one is shorter, by which a player knows where the sound ends.
            packet.duration, packet.time_base = min(step, frames - position), Fraction(1, self._rate)
            packet.stream = stream
            file.mux(packet)
            position += step
        file.close()
        told = min(len(chapters), _MOST_CHAPTERS)
        note = "" if told == len(chapters) else f"an opus file names {_MOST_CHAPTERS:,} chapters at most"
        return Held(told, picture is not None, note)

    def close(self) -> None:
        """Also where it was not finished."""
        self._waiting.close()

    def _bodies(self) -> Iterator[bytes]:
        self._waiting.seek(0)
        for size in self._sizes:
            yield self._waiting.read(size)


def comments(tags: Mapping[str, str], chapters: Sequence[Placed], picture: Picture | None) -> dict[str, str]:
    told = {_FIELDS.get(name, name.upper()): text for name, text in tags.items() if name not in (*_DESCRIBING, "track")}
    if "track" in tags:
        told["TRACKNUMBER"], _, told["TRACKTOTAL"] = tags["track"].partition("/")
    told["DESCRIPTION"] = "\n\n".join(tags[name] for name in _DESCRIBING if name in tags)
    for number, chapter in enumerate(chapters):
        told[f"CHAPTER{number:03}"] = clock(chapter.start_ms)
        told[f"CHAPTER{number:03}NAME"] = chapter.title
    if picture is not None:
        told["METADATA_BLOCK_PICTURE"] = base64.b64encode(_block(picture)).decode()
    return told


def _block(picture: Picture) -> bytes:
    """As FLAC has it: RFC 9639, section 8.8. The depth and number of colours are not told."""
    kind = picture.media_type.encode()
    head = struct.pack(">II", _FRONT_COVER, len(kind)) + kind + struct.pack(">I", 0)
    return head + struct.pack(">5I", picture.width, picture.height, 0, 0, len(picture.data)) + picture.data
