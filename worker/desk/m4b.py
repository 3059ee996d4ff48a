"""The M4B file of a book: packets of AAC, chapters of both kinds, tags, its cover, and its index in front."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from farm.sound.timeline import Span
from worker.desk.book import Book, Held, Picture
from worker.desk.packets import CODERS, Packets

_AUDIOBOOK = {"media_type": "2"}  # stik


class M4bFile:
    """Takes packets in their order; `finish` with the places of all clips writes the chapters and the index."""

    def __init__(self, target: Path, sample_rate: int, book: Book) -> None:
        import av

        self._target, self._book, self._rate = target, book, sample_rate
        self._packet: Any = av.Packet
        coder = CODERS["m4b"]
        self._frame, self._position = coder.frame(sample_rate), -coder.priming(sample_rate)
        self._file: Any = av.open(
            str(target), "w", format="mp4", options={"movflags": "+faststart", "brand": "M4B ", "fflags": "+bitexact"}
        )
        self._file.metadata.update({**book.tags, **_AUDIOBOOK})
        self._stream: Any = self._file.add_stream(coder.name, rate=sample_rate, layout="mono")
        coder.open(self._stream.codec_context, sample_rate)  # for its configuration alone
        shown = self._shown(book.picture) if book.picture is not None else None
        self._file.start_encoding()
        if shown is not None:
            self._file.mux(shown)

    def _shown(self, picture: Picture) -> Any:
        """The cover as the one packet of a stream."""
        import av
        from av.stream import Disposition

        opened: Any = av.open(io.BytesIO(picture.data))
        with opened as file:
            packet = next(file.demux(video=0))
            packet.stream = self._file.add_stream_from_template(file.streams.video[0])
        packet.stream.disposition = Disposition.attached_pic
        return packet

    def write(self, packets: Packets) -> None:
        for body in packets.each():
            packet = self._packet(body)
            packet.pts = packet.dts = self._position
            packet.duration, packet.time_base, packet.stream = self._frame, Fraction(1, self._rate), self._stream
            packet.is_keyframe = True
            self._file.mux(packet)
            self._position += self._frame

    def finish(self, spans: Sequence[Span], frames: int) -> Held:
        chapters = [
            {
                "id": number, "start": each.start_ms, "end": each.end_ms, "time_base": Fraction(1, 1000),
                "metadata": {"title": each.title},
            }
            for number, each in enumerate(self._book.placed(spans, frames, self._rate))
        ]  # fmt: skip
        self._file.set_chapters(chapters)
        self._file.close()
        return Held(len(chapters), self._book.picture is not None)

    def close(self) -> None:
        """Also where it was not finished."""
        self._file.close()

    def first_byte(self) -> int:
        """Of the first packet in the closed file; the others follow without a gap."""
        import av

        with av.open(str(self._target)) as file:
            place = next(file.demux(audio=0)).pos
        assert place is not None
        return place
