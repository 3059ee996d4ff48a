"""A job's plan: its segments in order, each with the digest that names its clip, and the form that storage keeps.

    plan.json        Plan: what all segments share, the chapters, where each page lies
    plan.jsonl.gz    the segments, one JSON line each, in pages of 512; every page is a gzip member of its own, so that
                     the whole is one gzip file and a worker reads only the page it needs

Planning is pure and deterministic: the same parts and recipe give the same bytes, so a retry finds its clips again.
(A plan of 13,000 rows takes 130 ms to read, a page 5 ms.)
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import accumulate, islice, pairwise
from typing import Any, Protocol

from farm.errors import BadInput, Misconfigured, ObjectMissing
from farm.pronunciation import marks, plain
from farm.prose import Gap, Span, spans
from farm.prose.reading import Reading
from farm.speech import MANNER_FIELDS, NEUTRAL, Manner
from farm.spelling import plain_spelling

PAGE = 512
_FORMAT = 1
_STORED = {"target_duration_ms": "target_ms"}  # fields that plans write under another name


@dataclass(frozen=True, slots=True)
class Part:
    """A chapter to be planned. `voice` is resolved: a built-in voice's name, or an uploaded one's content digest."""

    title: str
    text: str
    voice: str
    uploaded: bool = False
    target_duration_ms: int | None = None  # of its audio, without the pause after it
    headings: frozenset[int] = frozenset()  # where paragraphs begin that are headings


@dataclass(frozen=True, slots=True)
class Recipe:
    """What makes a clip sound as it does, beside its voice and text."""

    tenant: str
    model: str
    revision: str
    language: str
    manner: Manner = NEUTRAL


@dataclass(frozen=True, slots=True)
class Segment:
    """The unit of rendering. `start` and `end` are character offsets into its chapter's text, and `text` is what stands
    there, as the user wrote it and farm/prose/reading.py reads it across line ends. The digest is that of its plain
    spelling, which is what the engine gets."""

    index: int  # in the job
    chapter: int
    start: int
    end: int
    text: str
    voice: str
    uploaded: bool
    pause_ms: int  # silence after it, unless it is the last of the job
    digest: str
    target_duration_ms: int | None = None  # of its clip


class Pauses(Protocol):
    """Milliseconds of silence, by what lies between two segments."""

    @property
    def segment(self) -> int: ...
    @property
    def paragraph(self) -> int: ...
    @property
    def scene(self) -> int: ...
    @property
    def heading(self) -> int: ...
    @property
    def chapter(self) -> int: ...
    @property
    def before_chapter(self) -> int: ...
    @property
    def end(self) -> int: ...


def segments(
    parts: Sequence[Part], recipe: Recipe, max_characters: int, pauses: Pauses, *,
    target_duration_ms: int | None = None, has_marks: bool = False,
) -> Iterator[Segment]:  # fmt: skip
    """Of all parts, numbered through, one by one: a book of 5,000,000 characters is never held twice.
    `target_duration_ms` is how long all of them together are to be, where no part has a target of its own. `has_marks`:
    the model reads marks that say how a word is pronounced, so those are not cut, and count as the word.

    Raises BadInput where the pauses leave a target no time to speak."""
    silence = {
        Gap.SEGMENT: pauses.segment,
        Gap.PARAGRAPH: pauses.paragraph,
        Gap.SCENE: pauses.scene,
        Gap.HEADING: pauses.heading,
        Gap.CHAPTER: pauses.chapter,
    }
    outside = len(parts) * pauses.before_chapter + pauses.end
    timed = _timed(
        parts, partial(_cut, recipe.language, max_characters, has_marks), silence, target_duration_ms, outside
    )
    reading = Reading([part.text for part in parts], recipe.language)
    for index, (chapter, part, span, target) in enumerate(timed):
        text = reading.of(part.text[span.start : span.end])
        digest = clip_digest(recipe, part.voice, plain_spelling(text, recipe.language), target)
        yield Segment(
            index, chapter, span.start, span.end, text, part.voice, part.uploaded, silence[span.gap], digest, target
        )


_Cut = Callable[[Part], Iterator[tuple[Span, int]]]


def _cut(language: str, limit: int, has_marks: bool, part: Part) -> Iterator[tuple[Span, int]]:
    """Every span with the characters that it is read as."""
    text, in_heading, begins = part.text, False, True
    for whole in spans(text, language, limit, marks(text) if has_marks else ()):
        in_heading = whole.start in part.headings if begins else in_heading
        begins = whole.gap is not Gap.SEGMENT
        if in_heading and whole.gap is Gap.PARAGRAPH:
            whole = Span(whole.start, whole.end, Gap.HEADING)
        for span in _within(text, whole, language, limit, has_marks):
            piece = text[span.start : span.end]
            yield span, len(plain(piece) if has_marks else piece)


def _within(text: str, span: Span, language: str, limit: int, has_marks: bool) -> Iterator[Span]:
    """The span, or pieces of it where its plain spelling is longer than the limit: one ﷺ becomes 18 characters."""
    piece = text[span.start : span.end]
    read = plain(piece) if has_marks else piece
    length = len(plain_spelling(read, language))
    pieces = (
        list(spans(piece, language, max(1, limit * len(read) // length), marks(piece) if has_marks else ()))
        if length > limit
        else []
    )
    if len(pieces) < 2:  # it fits, or is one mark that is never cut
        yield span
        return
    for number, part in enumerate(pieces, 1):
        gap = span.gap if number == len(pieces) else Gap.SEGMENT
        yield from _within(text, Span(span.start + part.start, span.start + part.end, gap), language, limit, has_marks)


def _timed(
    parts: Sequence[Part], cut: _Cut, silence: Mapping[Gap, int], target: int | None, outside: int
) -> Iterator[tuple[int, Part, Span, int | None]]:
    """Every span with its chapter, its part and its share of the target. Only spans that share one are held. `outside`:
    milliseconds of silence before all chapters and after the last."""
    if target is not None:
        yield from _sharing(enumerate(parts), cut, silence, target, "/target_duration_ms", outside)
        return
    for chapter, part in enumerate(parts):
        if part.target_duration_ms is None:
            yield from ((chapter, part, span, None) for span, _ in cut(part))
        else:
            field = f"/chapters/{chapter}/target_duration_ms"
            yield from _sharing([(chapter, part)], cut, silence, part.target_duration_ms, field)


def _sharing(
    parts: Iterable[tuple[int, Part]], cut: _Cut, silence: Mapping[Gap, int], target: int, field: str, outside: int = 0
) -> Iterator[tuple[int, Part, Span, int]]:
    """What the pauses leave of the target, in proportion to characters: whole milliseconds that sum to it exactly, at
    least one for each span."""
    rows = [(chapter, part, *piece) for chapter, part in parts for piece in cut(part)]
    quiet = outside + sum(silence[span.gap] for _, _, span, _ in rows[:-1])
    spare = target - quiet - len(rows)
    if spare < 0:
        raise BadInput(
            f"{field} is {target} ms, and the pauses between its {len(rows)} segments alone take {quiet} ms; "
            "give it more time, or set output.pause_ms lower",
            code="target_too_short",
            pointer=field,
        )
    ends = list(accumulate((length for *_, length in rows), initial=0))
    shares = [spare * end // ends[-1] for end in ends]
    for (chapter, part, span, _), (before, after) in zip(rows, pairwise(shares), strict=True):
        yield chapter, part, span, 1 + after - before


def firsts(rows: Iterable[Segment]) -> dict[int, int]:
    """chapter -> the place of its first row among these; in their order."""
    found: dict[int, int] = {}
    for place, row in enumerate(rows):
        found.setdefault(row.chapter, place)
    return found


def clip_digest(recipe: Recipe, voice: str, text: str, target_duration_ms: int | None = None) -> str:
    """SHA-256 over a JSON list, in which no two different clips read alike. Numbers are written as floats, so that a
    speed of 1 is one of 1.0, and a pitch of -0.0 is none. Younger parameters stand at its end by name, and only where
    they are asked for: the clips from before keep their names."""
    manner = recipe.manner
    sound: list[object] = [
        recipe.tenant, recipe.model, recipe.revision, recipe.language, float(manner.speed), float(manner.pitch) + 0.0,
        manner.seed, manner.emotion, voice, text,
    ]  # fmt: skip
    sound += ({name: value} for name, value in manner.additions())
    if target_duration_ms is not None:
        sound.append({"target_ms": target_duration_ms})
    return hashlib.sha256(json.dumps(sound, separators=(",", ":")).encode()).hexdigest()


# --- the stored form --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chapter:
    """`count` segments from number `first` on."""

    title: str
    first: int
    count: int
    target_duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All but the segments themselves."""

    recipe: Recipe
    sample_rate: int  # Hz
    total: int
    chapters: tuple[Chapter, ...]
    offsets: tuple[int, ...]  # where each page starts, and where the last one ends
    has_marks: bool = False  # the text has marks that say how a word is pronounced

    def page_of(self, index: int) -> int:
        if not 0 <= index < self.total:
            raise IndexError(f"segment {index} of a plan of {self.total}")
        return index // PAGE

    def page_range(self, page: int) -> tuple[int, int]:
        """Its first byte and its length."""
        return self.offsets[page], self.offsets[page + 1] - self.offsets[page]

    def to_json(self) -> str:
        return json.dumps({"format": _FORMAT, **_said(self)}, ensure_ascii=False, separators=(",", ":"), default=_said)

    @classmethod
    def from_json(cls, document: str | bytes) -> Plan:
        """Raises ObjectMissing when it is damaged, which is as good as missing: a retry writes it anew."""
        try:
            stored = json.loads(document)
            written = stored.pop("format")
            if written == _FORMAT:
                return cls(
                    recipe=_read_recipe(stored.pop("recipe")),
                    chapters=tuple(Chapter(**_read(chapter)) for chapter in stored.pop("chapters")),
                    offsets=tuple(stored.pop("offsets")),
                    **stored,
                )
        except (ValueError, TypeError, KeyError, AttributeError):
            raise _damaged() from None
        raise Misconfigured(f"this plan has format {written!r}, which a newer farm wrote; update this one")


def encode_plan(
    rows: Iterable[Segment], parts: Sequence[Part], recipe: Recipe, *, sample_rate: int, has_marks: bool = False
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
    chapters = tuple(
        Chapter(part.title, end - n, n, part.target_duration_ms)
        for part, end, n in zip(parts, ends, counts, strict=True)
    )
    return Plan(recipe, sample_rate, sum(counts), chapters, tuple(offsets), has_marks), bytes(pages)


def decode_page(data: bytes) -> list[Segment]:
    """The segments of one page, or of all. Raises ObjectMissing when it is damaged, as Plan.from_json does."""
    try:
        lines = gzip.decompress(data).splitlines()
        page = [Segment(**_read(row)) for row in json.loads(b"[" + b",".join(lines) + b"]")]
    except (OSError, EOFError, zlib.error, ValueError, TypeError):
        raise _damaged() from None
    if not page:  # an empty file is valid gzip
        raise _damaged()
    return page


def _line(segment: Segment) -> str:
    return json.dumps(_said(segment), ensure_ascii=False, separators=(",", ":")) + "\n"


def _said(value: Plan | Recipe | Chapter | Segment) -> dict[str, Any]:
    """Its fields but for those that are at their default, so that a plan says no more than was asked for."""
    if isinstance(value, Recipe):
        return _said_recipe(value)
    every = ((field, getattr(value, field.name)) for field in fields(value))
    return {_STORED.get(field.name, field.name): found for field, found in every if found != field.default}


def _said_recipe(recipe: Recipe) -> dict[str, Any]:
    """The fields of its manner stand beside its own."""
    manner = recipe.manner
    return {
        "tenant": recipe.tenant, "model": recipe.model, "revision": recipe.revision, "language": recipe.language,
        "speed": manner.speed, "pitch": manner.pitch, "seed": manner.seed, "emotion": manner.emotion,
        **dict(manner.additions()),
    }  # fmt: skip


def _read(stored: dict[str, Any]) -> dict[str, Any]:
    """The fields of a chapter or segment by their names here."""
    if "target_ms" in stored:
        stored["target_duration_ms"] = stored.pop("target_ms")
    return stored


def _read_recipe(stored: dict[str, Any]) -> Recipe:
    manner = {name: stored.pop(name) for name in MANNER_FIELDS if name in stored}
    return Recipe(**stored, manner=Manner(**manner))


def _damaged() -> ObjectMissing:
    return ObjectMissing("the plan in storage is damaged; retry the job, which plans it anew", code="plan_damaged")
