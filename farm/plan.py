"""A job's plan: its segments in order, each with the digest that names its clip, and the form that storage keeps.

    jobs/<id>/plan.json        Plan: what all segments share, the chapters, where each page lies
    jobs/<id>/plan.jsonl.gz    the segments, one JSON line each, in pages of 512; every page is a gzip member of its
                               own, so that the whole is one gzip file and a worker reads only the page it needs

Planning is pure and deterministic: the same parts and recipe give the same bytes, so a retry finds its clips again.
(A plan of 13,000 rows takes 130 ms to read, a page 5 ms.)
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, islice
from typing import Protocol

from farm.errors import Misconfigured, ObjectMissing
from farm.prose import Gap, spans

PAGE = 512
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Part:
    """A chapter to be planned. `voice` is resolved: a built-in voice's name, or an uploaded one's content digest."""

    title: str
    text: str
    voice: str
    uploaded: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """What makes a clip sound as it does, beside its voice and text."""

    tenant: str
    model: str
    revision: str
    language: str
    speed: float
    pitch: float  # semitones
    seed: int
    emotion: str | None  # canonical JSON


@dataclass(frozen=True, slots=True)
class Segment:
    """The unit of rendering. `start` and `end` are character offsets into its chapter's text."""

    index: int  # in the job
    chapter: int
    start: int
    end: int
    text: str
    voice: str
    uploaded: bool
    pause_ms: int  # silence after it, unless it is the last of the job
    digest: str


class Pauses(Protocol):
    """Milliseconds of silence, by what lies between two segments."""

    @property
    def segment(self) -> int: ...
    @property
    def paragraph(self) -> int: ...
    @property
    def chapter(self) -> int: ...


def segments(parts: Iterable[Part], recipe: Recipe, max_characters: int, pauses: Pauses) -> Iterator[Segment]:
    """Of all parts, numbered through, one by one: a book of 5,000,000 characters is never held twice."""
    silence = {Gap.SEGMENT: pauses.segment, Gap.PARAGRAPH: pauses.paragraph, Gap.CHAPTER: pauses.chapter}
    index = 0
    for chapter, part in enumerate(parts):
        for span in spans(part.text, recipe.language, max_characters):
            text = part.text[span.start : span.end]
            digest = clip_digest(recipe, part.voice, text)
            yield Segment(
                index, chapter, span.start, span.end, text, part.voice, part.uploaded, silence[span.gap], digest
            )
            index += 1


def clip_digest(recipe: Recipe, voice: str, text: str) -> str:
    """SHA-256 over a JSON list, in which no two different clips read alike. Numbers are written as floats, so that a
    speed of 1 is one of 1.0, and a pitch of -0.0 is none."""
    sound = [
        recipe.tenant, recipe.model, recipe.revision, recipe.language, float(recipe.speed), float(recipe.pitch) + 0.0,
        recipe.seed, recipe.emotion, voice, text,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(sound, separators=(",", ":")).encode()).hexdigest()


def clip_key(digest: str) -> str:
    return f"segments/{digest[:2]}/{digest}.flac"


# --- the stored form --------------------------------------------------------------------------------------------------


def plan_key(job: str) -> str:
    return f"jobs/{job}/plan.json"


def pages_key(job: str) -> str:
    return f"jobs/{job}/plan.jsonl.gz"


@dataclass(frozen=True, slots=True)
class Chapter:
    """`count` segments from number `first` on."""

    title: str
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All but the segments themselves."""

    recipe: Recipe
    sample_rate: int  # Hz
    total: int
    chapters: tuple[Chapter, ...]
    offsets: tuple[int, ...]  # where each page starts, and where the last one ends

    def page_of(self, index: int) -> int:
        if not 0 <= index < self.total:
            raise IndexError(f"segment {index} of a plan of {self.total}")
        return index // PAGE

    def page_range(self, page: int) -> tuple[int, int]:
        """Its first byte and its length."""
        return self.offsets[page], self.offsets[page + 1] - self.offsets[page]

    def to_json(self) -> str:
        return json.dumps({"format": _FORMAT, **asdict(self)}, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, document: str | bytes) -> Plan:
        """Raises ObjectMissing when it is damaged, which is as good as missing: a retry writes it anew."""
        try:
            stored = json.loads(document)
            written = stored.pop("format")
            if written == _FORMAT:
                return cls(
                    recipe=Recipe(**stored.pop("recipe")),
                    chapters=tuple(Chapter(**chapter) for chapter in stored.pop("chapters")),
                    offsets=tuple(stored.pop("offsets")),
                    **stored,
                )
        except (ValueError, TypeError, KeyError, AttributeError):
            raise _damaged() from None
        raise Misconfigured(f"this plan has format {written!r}, which a newer farm wrote; update this one")


def encode_plan(
    rows: Iterable[Segment], parts: Sequence[Part], recipe: Recipe, *, sample_rate: int
) -> tuple[Plan, bytes]:
    """The plan and its pages. The rows are consumed page by page."""
    pages, offsets = bytearray(), [0]
    counts = [0] * len(parts)
    remaining = iter(rows)
    while page := list(islice(remaining, PAGE)):
        pages += gzip.compress("".join(_line(segment) for segment in page).encode(), mtime=0)
        offsets.append(len(pages))
        for segment in page:
            counts[segment.chapter] += 1
    ends = accumulate(counts)
    chapters = tuple(Chapter(part.title, end - n, n) for part, end, n in zip(parts, ends, counts, strict=True))
    return Plan(recipe, sample_rate, sum(counts), chapters, tuple(offsets)), bytes(pages)


def decode_page(data: bytes) -> list[Segment]:
    """The segments of one page, or of all. Raises ObjectMissing when it is damaged, as Plan.from_json does."""
    try:
        lines = gzip.decompress(data).splitlines()
        page = [Segment(**row) for row in json.loads(b"[" + b",".join(lines) + b"]")]
    except (OSError, EOFError, zlib.error, ValueError, TypeError):
        raise _damaged() from None
    if not page:  # an empty file is valid gzip
        raise _damaged()
    return page


def _line(segment: Segment) -> str:
    return json.dumps(asdict(segment), ensure_ascii=False, separators=(",", ":")) + "\n"


def _damaged() -> ObjectMissing:
    return ObjectMissing("the plan in storage is damaged; retry the job, which plans it anew", code="plan_damaged")
