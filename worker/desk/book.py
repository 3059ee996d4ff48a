"""What an audio file says of itself, whatever its kind: tags, chapters, a cover."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from farm.documents.cover import fault_of, media_type_of, size_of
from farm.documents.metadata import Metadata
from farm.plan import Plan
from farm.segment import Segment, firsts
from farm.sound.timeline import Span
from farm.spec import Spec
from farm.store import jobs

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
class Held:
    """What a file that was written holds beside the sound."""

    chapters: int = 0
    cover: bool = False
    note: str = ""  # why something is not in it


@dataclass(frozen=True, slots=True)
class Placed:
    """A chapter in its file, in milliseconds."""

    title: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Picture:
    data: bytes  # JPEG or PNG
    media_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Book:
    """What a file says of itself. Each chapter has its title, and the number of its first clip among those heard."""

    tags: Mapping[str, str]
    chapters: Sequence[tuple[str, int]]
    picture: Picture | None = None  # its cover
    total: int = 0  # chapters of the job, also those that are not heard

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
        places = firsts(heard)
        titles = [plan.chapters[chapter].title or f"Chapter {chapter + 1}" for chapter in places]
        chapters = list(zip(titles, places.values(), strict=True))
        picture = read_cover(document.cover.data) if document.cover is not None else None
        return cls({tag: text for tag, text in tags.items() if text}, chapters, picture, len(plan.chapters))

    def of_chapter(self, place: int, number: int) -> Book:
        """What the file of one chapter says: of those heard the one at `place`, of the job chapter `number`."""
        title, _ = self.chapters[place]
        tags = {**self.tags, "title": title, "track": f"{number + 1}/{self.total}"}
        return replace(self, tags=tags, chapters=[(title, 0)])

    def placed(self, spans: Sequence[Span], frames: int, sample_rate: int) -> list[Placed]:
        """The chapters of a file of so many frames, whose clips lie in `spans`. The first begins with the file."""
        starts = [spans[first].start if number else 0 for number, (_, first) in enumerate(self.chapters)]
        places = [round(start * 1000 / sample_rate) for start in (*starts, frames)]
        return [Placed(title, *places[number : number + 2]) for number, (title, _) in enumerate(self.chapters)]


def read_cover(data: bytes) -> Picture | None:
    """None, and a warning, where it is no picture that can be shown."""
    try:
        if (fault := fault_of(data)) is not None:  # of a document that an older farm has read
            raise ValueError(fault)
        _decode(data)
    except ValueError as error:
        log.warning("the cover is left out: %s", error)
        return None
    width, height = size_of(data) or (0, 0)
    return Picture(data, media_type_of(data), width, height)


def _told_by(document: Metadata) -> dict[str, str]:
    said = {
        "title": document.title, "author": document.author, "date": document.date, "description": document.description,
        "copyright": document.rights, "series": document.series, "series_part": document.series_index,
    }  # fmt: skip
    return {name: value for name, value in said.items() if value}


def _decode(picture: bytes) -> None:
    """Raises ValueError for one that can't be decoded."""
    import av

    try:
        opened: Any = av.open(io.BytesIO(picture))
        with opened as file:
            if next(file.decode(video=0), None) is None:
                raise ValueError("it holds no picture")
    except av.FFmpegError as error:
        raise ValueError(str(error)) from error
