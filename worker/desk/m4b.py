"""The M4B file of a book: packets of AAC, chapters of both kinds, tags, its cover, and its index in front."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from farm.documents.cover import fault_of
from farm.documents.metadata import Metadata
from farm.plan import Plan, Segment, firsts
from farm.sound.timeline import Span
from farm.spec import Spec
from farm.store import jobs
from worker.desk.aac import FRAME, Packets, open_encoder

log = logging.getLogger(__name__)

# FFmpeg's name of a tag, and the entries of a job's metadata that it is taken from, the first that is there.
_TAGS: Mapping[str, Sequence[str]] = {
    "title": ("title",),
    "artist": ("author", "artist"),
    "album": ("album", "title"),
    "album_artist": ("album_artist", "author", "artist"),
    "composer": ("narrator", "composer"),  # where players look for the narrator
    "date": ("date", "year"),
    "genre": ("genre",),
    "description": ("description",),
    "show": ("series", "show"),
    "episode_id": ("series_part", "episode_id"),
    "copyright": ("copyright",),
}


_NO_DOCUMENT = Metadata()


@dataclass(frozen=True, slots=True)
class Book:
    """What a file says of itself. Each chapter has its title, and the number of its first clip among those heard."""

    tags: Mapping[str, str]
    chapters: Sequence[tuple[str, int]]
    cover: bytes = b""  # JPEG or PNG

    @classmethod
    def of(
        cls, job: jobs.JobRecord, spec: Spec, plan: Plan, heard: Sequence[Segment], document: Metadata = _NO_DOCUMENT
    ) -> Book:
        """The job's metadata say it, else its document."""
        title = spec.custom_id or job.id
        told = {name.lower().replace("-", "_"): value for name, value in spec.metadata.items()}
        given = {"title": title, "genre": "Audiobook", **_told_by(document), **told}
        tags = {tag: next((given[name] for name in names if given.get(name)), "") for tag, names in _TAGS.items()}
        machine = f"Spoken by a machine: TTS Farm, model {plan.recipe.model}, voice {spec.voice}."
        tags["comment"] = " ".join(filter(None, (given.get("comment"), machine)))
        tags["media_type"] = "2"  # an audiobook
        places = firsts(heard)
        titles = [plan.chapters[chapter].title or f"Chapter {chapter + 1}" for chapter in places]
        chapters = list(zip(titles, places.values(), strict=True))
        cover = document.cover.data if document.cover is not None else b""
        return cls({tag: text for tag, text in tags.items() if text}, chapters, cover)


def _told_by(document: Metadata) -> dict[str, str]:
    said = {
        "title": document.title, "author": document.author, "date": document.date, "description": document.description,
        "copyright": document.rights, "series": document.series, "series_part": document.series_index,
    }  # fmt: skip
    return {name: value for name, value in said.items() if value}


class M4bFile:
    """Takes packets in their order; `close` with the places of all clips writes the chapters and the index."""

    def __init__(self, target: Path, sample_rate: int, book: Book) -> None:
        import av

        self._book, self._rate = book, sample_rate
        self._packet: Any = av.Packet
        self._position = -FRAME  # of the priming
        self._file: Any = av.open(
            str(target), "w", format="mp4", options={"movflags": "+faststart", "brand": "M4B ", "fflags": "+bitexact"}
        )
        self._file.metadata.update(book.tags)
        self._stream: Any = self._file.add_stream("aac", rate=sample_rate, layout="mono")
        open_encoder(self._stream.codec_context, sample_rate)  # for its configuration alone
        picture = self._picture() if book.cover else None
        self._file.start_encoding()
        if picture is not None:
            self._file.mux(picture)

    def _picture(self) -> Any:
        """The cover as the one packet of a stream. None, and a warning, where it is no picture that can be shown."""
        import av
        from av.stream import Disposition

        try:
            if (fault := fault_of(self._book.cover)) is not None:  # of a document that an older farm has read
                raise ValueError(fault)
            opened: Any = av.open(io.BytesIO(self._book.cover))
            with opened as file:
                (stream,) = file.streams.video
                packet = next(file.demux(stream))
                if not packet.decode():
                    raise ValueError("it holds no picture")
                shown = self._file.add_stream_from_template(stream)
        except (av.FFmpegError, ValueError, StopIteration) as error:
            log.warning("the cover is left out of the m4b: %s", error)
            return None
        shown.disposition = Disposition.attached_pic
        packet.stream = shown
        return packet

    def write(self, packets: Packets) -> None:
        bodies, end = memoryview(packets.bodies), 0
        for size in packets.sizes.tolist():
            start, end = end, end + size
            packet = self._packet(bodies[start:end])
            packet.pts = packet.dts = self._position
            packet.duration, packet.time_base, packet.stream = FRAME, Fraction(1, self._rate), self._stream
            packet.is_keyframe = True
            self._file.mux(packet)
            self._position += FRAME

    def close(self, spans: Sequence[Span], frames: int) -> None:
        starts = [spans[first].start if number else 0 for number, (_, first) in enumerate(self._book.chapters)]
        places = [round(start * 1000 / self._rate) for start in (*starts, frames)]
        self._file.set_chapters(list(self._chapters(places)))
        self._file.close()

    def _chapters(self, places: Sequence[int]) -> Iterable[Mapping[str, Any]]:
        for number, (title, _) in enumerate(self._book.chapters):
            yield {
                "id": number, "start": places[number], "end": places[number + 1], "time_base": Fraction(1, 1000),
                "metadata": {"title": title},
            }  # fmt: skip
