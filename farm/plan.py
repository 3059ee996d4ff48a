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
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from itertools import accumulate, islice, pairwise
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from farm.errors import BadInput, Misconfigured, ObjectMissing
from farm.pronunciation import marks, plain
from farm.prose import Gap, Span, Stretch, Unit, spans
from farm.prose.reading import Reading
from farm.script import PLAIN, Delivery, Laid, Script
from farm.speech import MANNER_FIELDS, NEUTRAL, Manner
from farm.spelling import plain_spelling

PAGE = 512
_FORMAT = 1
_STORED = {"target_duration_ms": "target_ms"}  # fields that plans write under another name


@dataclass(frozen=True, slots=True)
class Part:
    """A chapter to be planned. `voice` is resolved: a built-in voice's name, or an uploaded one's content digest.
    `text` is its input; `script` says what of that is spoken, and how, where that is more than the text."""

    title: str
    text: str
    voice: str
    uploaded: bool = False
    target_duration_ms: int | None = None  # of its audio, without the pause after it
    headings: frozenset[int] = frozenset()  # where paragraphs begin that are headings
    character: str | None = None  # of the cast, to whom the voice belongs
    script: Script | None = None


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
    """The unit of rendering. `start` and `end` are character offsets into its chapter's input, and `text` is what
    stands there, as the user wrote it and farm/prose/reading.py reads it across line ends, without markup. The digest
    is that of the plain spelling of what is said, which is what the engine gets. The fields behind the target are there
    where they differ from the text and from the recipe of the plan."""

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
    spoken: str | None = None
    character: str | None = None  # who speaks: one of the cast, or a voice that the markup names
    speed: float | None = None
    emotion: str | None = None
    language: str | None = None
    seed: int | None = None

    @property
    def said(self) -> str:
        """The text as it is spoken."""
        return self.text if self.spoken is None else self.spoken


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


@dataclass(frozen=True, slots=True)
class Cutting:
    """How texts are cut. `has_marks`: the model reads marks that say how a word is pronounced, so those are not cut,
    and count as the word."""

    language: str
    max_characters: int
    has_marks: bool = False
    limits: Mapping[str, int] = field(default_factory=dict)  # language -> max_characters, of others that occur

    def stretch(self, start: int, delivery: Delivery) -> Stretch:
        language = delivery.language or self.language
        return Stretch(start, language, self.limits.get(language, self.max_characters))


def segments(
    parts: Sequence[Part], recipe: Recipe, max_characters: int, pauses: Pauses, *,
    target_duration_ms: int | None = None, has_marks: bool = False,
    limits: Mapping[str, int] = MappingProxyType({}), seeds: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[Segment]:  # fmt: skip
    """Of all parts, numbered through, one by one: a book of 5,000,000 characters is never held twice.
    `target_duration_ms` is how long all of them together are to be, where no part has a target of its own. `has_marks`
    and `limits` are as Cutting has them. `seeds` are those of lines that have one of their own, by line_of().

    Raises BadInput where the pauses leave a target no time to speak."""
    silence = {
        Gap.SEGMENT: pauses.segment,
        Gap.PARAGRAPH: pauses.paragraph,
        Gap.SCENE: pauses.scene,
        Gap.HEADING: pauses.heading,
        Gap.CHAPTER: pauses.chapter,
    }
    cutter = _Cutter(Cutting(recipe.language, max_characters, has_marks, limits), silence)
    outside = len(parts) * pauses.before_chapter + pauses.end
    reading = Reading([part.text for part in parts], recipe.language)
    for index, (chapter, part, piece, target) in enumerate(_timed(parts, cutter, target_duration_ms, outside)):
        yield _segment(index, chapter, part, piece, target, reading, recipe, seeds)


def _segment(
    index: int, chapter: int, part: Part, piece: _Piece, target: int | None, reading: Reading, recipe: Recipe,
    seeds: Mapping[str, int],
) -> Segment:  # fmt: skip
    laid, delivery = piece.laid, piece.laid.delivery(piece.start)
    spoken, written = laid.text[piece.start : piece.end], laid.written(piece.start, piece.end)
    said = reading.of(spoken)
    text = said if written == spoken else reading.of(written)
    start, end = laid.source(piece.start, piece.end)
    own = _delivered(recipe, delivery)
    voice, uploaded, character = part.voice, part.uploaded, part.character
    if delivery.speaker is not None:
        character, voice, uploaded = delivery.speaker
    read = plain_spelling(said, own.language)
    if seeds and (seed := seeds.get(_name_of_line(own.language, voice, read))) is not None:
        own = replace(own, manner=replace(own.manner, seed=seed))
    digest = clip_digest(own, voice, read, target)
    return Segment(
        index, chapter, start, end, text, voice, uploaded, piece.pause_ms, digest, target,
        spoken=None if said == text else said,
        character=character,
        speed=None if own.manner.speed == recipe.manner.speed else own.manner.speed,
        emotion=None if own.manner.emotion == recipe.manner.emotion else own.manner.emotion,
        language=None if own.language == recipe.language else own.language,
        seed=None if own.manner.seed == recipe.manner.seed else own.manner.seed,
    )  # fmt: skip


def line_of(recipe: Recipe, segment: Segment) -> str:
    """What is said by whom, as a short name. A seed that was chosen for a line stays with it, wherever an edit of the
    job puts it, and however fast or moved the line is spoken then."""
    language = segment.language or recipe.language
    return _name_of_line(language, segment.voice, plain_spelling(segment.said, language))


def _name_of_line(language: str, voice: str, read: str) -> str:
    return hashlib.sha256(json.dumps([language, voice, read]).encode()).hexdigest()[:16]


@lru_cache(64)
def _delivered(recipe: Recipe, delivery: Delivery) -> Recipe:
    if delivery == PLAIN:
        return recipe
    speed = round(recipe.manner.speed * delivery.rate, 4)
    emotion = recipe.manner.emotion if delivery.emotion is None else delivery.emotion
    manner = replace(recipe.manner, speed=speed, emotion=emotion)
    return replace(recipe, manner=manner, language=delivery.language or recipe.language)


def recipe_of(recipe: Recipe, segment: Segment) -> Recipe:
    """The recipe of the plan, with what the segment has of its own."""
    if segment.speed is None and segment.emotion is None and segment.language is None and segment.seed is None:
        return recipe
    manner = replace(
        recipe.manner,
        speed=recipe.manner.speed if segment.speed is None else segment.speed,
        emotion=recipe.manner.emotion if segment.emotion is None else segment.emotion,
        seed=recipe.manner.seed if segment.seed is None else segment.seed,
    )
    return replace(recipe, manner=manner, language=segment.language or recipe.language)


def of_its_own(segment: Segment) -> dict[str, Any]:
    """What a segment has that is not as in its text and in the recipe of its plan, as manifests and answers have it."""
    return {name: value for name in _OWN if (value := getattr(segment, name)) is not None}


_OWN = ("spoken", "character", "speed", "emotion", "language", "seed")


# --- where it is cut --------------------------------------------------------------------------------------------------


class _Piece(NamedTuple):
    """laid.text[start:end] is a segment."""

    start: int
    end: int
    pause_ms: int
    characters: int  # that it is read as
    laid: Laid


class _Cutter:
    def __init__(self, cutting: Cutting, silence: Mapping[Gap, int]) -> None:
        self._cutting, self._silence = cutting, silence

    def pieces(self, part: Part) -> Iterator[_Piece]:
        laid = Laid(part.script or Script.plain(part.text))
        units = self._units(laid)
        found = self._spans(laid, units, laid.places(part.headings))
        stops = deque((place, ms) for place, ms in laid.stops if ms is not None)
        for span, following in _with_next(found):
            pause_ms = self._silence[span.gap]
            if stops and (following is None or stops[0][0] <= following.start):
                pause_ms = 0
                while stops and (following is None or stops[0][0] <= following.start):
                    pause_ms += stops.popleft()[1]
            text = laid.text[span.start : span.end]
            characters = len(plain(text) if self._cutting.has_marks else text)
            yield _Piece(span.start, span.end, pause_ms, characters, laid)

    def _units(self, laid: Laid) -> list[Unit]:
        """What is never cut: what is said in place of something else, and marks of pronunciation."""
        has_marks = self._cutting.has_marks
        replaced = [
            Unit(start, end, plain(laid.text[start:end]) if has_marks else laid.text[start:end])
            for start, end in laid.replaced
        ]
        if not has_marks:
            return replaced
        return sorted((*replaced, *(mark for mark in marks(laid.text) if not _overlaps(mark, replaced))))

    def _spans(self, laid: Laid, units: Sequence[Unit], headings: frozenset[int]) -> Iterator[Span]:
        cutting, in_heading, begins = self._cutting, False, True
        stretches = [cutting.stretch(start, delivery) for start, delivery in laid.stretches]
        for whole in spans(laid.text, cutting.language, cutting.max_characters, units, stretches):
            in_heading = whole.start in headings if begins else in_heading
            begins = whole.gap is not Gap.SEGMENT
            if in_heading and whole.gap is Gap.PARAGRAPH:
                whole = Span(whole.start, whole.end, Gap.HEADING)
            yield from _within(laid.text, whole, cutting.stretch(0, laid.delivery(whole.start)), units)


def _overlaps(unit: Unit, others: Sequence[Unit]) -> bool:
    """Others rise."""
    behind = bisect_left(others, unit.end, key=lambda other: other.start)
    return behind > 0 and others[behind - 1].end > unit.start


def _with_next(found: Iterator[Span]) -> Iterator[tuple[Span, Span | None]]:
    held: Span | None = None
    for span in found:
        if held is not None:
            yield held, span
        held = span
    if held is not None:
        yield held, None


def _within(text: str, span: Span, stretch: Stretch, units: Sequence[Unit]) -> Iterator[Span]:
    """The span, or pieces of it where its plain spelling is longer than the limit: one ﷺ becomes 18 characters."""
    piece = text[span.start : span.end]
    inner = _shifted(units, span)
    read = _shown(piece, inner)
    _, language, limit = stretch
    length = len(plain_spelling(read, language))
    pieces = list(spans(piece, language, max(1, limit * len(read) // length), inner)) if length > limit else []
    if len(pieces) < 2:  # it fits, or is one unit that is never cut
        yield span
        return
    for number, part in enumerate(pieces, 1):
        gap = span.gap if number == len(pieces) else Gap.SEGMENT
        yield from _within(text, Span(span.start + part.start, span.start + part.end, gap), stretch, units)


def _shifted(units: Sequence[Unit], span: Span) -> list[Unit]:
    """Those within the span, with their places in it."""
    first = bisect_left(units, span.start, key=lambda unit: unit.start)
    last = bisect_left(units, span.end, key=lambda unit: unit.start)
    return [Unit(start - span.start, end - span.start, shown) for start, end, shown in units[first:last]]


def _shown(text: str, units: Sequence[Unit]) -> str:
    pieces, position = [], 0
    for unit in units:
        pieces += [text[position : unit.start], unit.shown]
        position = unit.end
    return "".join((*pieces, text[position:]))


def _timed(
    parts: Sequence[Part], cutter: _Cutter, target: int | None, outside: int
) -> Iterator[tuple[int, Part, _Piece, int | None]]:
    """Every piece with its chapter, its part and its share of the target. Only pieces that share one are held.
    `outside`: milliseconds of silence before all chapters and after the last."""
    if target is not None:
        yield from _sharing(enumerate(parts), cutter, target, "/target_duration_ms", outside)
        return
    for chapter, part in enumerate(parts):
        if part.target_duration_ms is None:
            yield from ((chapter, part, piece, None) for piece in cutter.pieces(part))
        else:
            field = f"/chapters/{chapter}/target_duration_ms"
            yield from _sharing([(chapter, part)], cutter, part.target_duration_ms, field)


def _sharing(
    parts: Iterable[tuple[int, Part]], cutter: _Cutter, target: int, field: str, outside: int = 0
) -> Iterator[tuple[int, Part, _Piece, int]]:
    """What the pauses leave of the target, in proportion to characters: whole milliseconds that sum to it exactly, at
    least one for each piece."""
    rows = [(chapter, part, piece) for chapter, part in parts for piece in cutter.pieces(part)]
    quiet = outside + sum(piece.pause_ms for *_, piece in rows[:-1])
    spare = target - quiet - len(rows)
    if spare < 0:
        raise BadInput(
            f"{field} is {target} ms, and the pauses between its {len(rows)} segments alone take {quiet} ms; "
            "give it more time, or set output.pause_ms lower",
            code="target_too_short",
            pointer=field,
        )
    ends = list(accumulate((piece.characters for *_, piece in rows), initial=0))
    shares = [spare * end // ends[-1] for end in ends]
    for (chapter, part, piece), (before, after) in zip(rows, pairwise(shares), strict=True):
        yield chapter, part, piece, 1 + after - before


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
