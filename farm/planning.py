"""From the chapters of a job to its segments. Planning is pure and deterministic: the same parts and recipe give the
same segments, so a retry finds its clips again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import Protocol

from farm.cutting import Cutter, Cutting, Part, Piece
from farm.errors import BadInput
from farm.prose import Gap
from farm.prose.reading import Reading
from farm.segment import Recipe, Segment, clip_digest, delivered, name_of_line
from farm.spelling import plain_spelling


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
    cutter = Cutter(Cutting(recipe.language, max_characters, has_marks, limits), silence)
    outside = len(parts) * pauses.before_chapter + pauses.end
    reading = Reading([part.text for part in parts], recipe.language)
    for index, (chapter, part, piece, target) in enumerate(_timed(parts, cutter, target_duration_ms, outside)):
        yield _segment(index, chapter, part, piece, target, reading, recipe, seeds)


def _segment(
    index: int, chapter: int, part: Part, piece: Piece, target: int | None, reading: Reading, recipe: Recipe,
    seeds: Mapping[str, int],
) -> Segment:  # fmt: skip
    laid, delivery = piece.laid, piece.laid.delivery(piece.start)
    spoken, written = laid.text[piece.start : piece.end], laid.written(piece.start, piece.end)
    said = reading.of(spoken)
    text = said if written == spoken else reading.of(written)
    start, end = laid.source(piece.start, piece.end)
    own = delivered(recipe, delivery)
    voice, uploaded, character = part.voice, part.uploaded, part.character
    if delivery.speaker is not None:
        character, voice, uploaded = delivery.speaker
    read = plain_spelling(said, own.language)
    if seeds and (seed := seeds.get(name_of_line(own.language, voice, read))) is not None:
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


def _timed(
    parts: Sequence[Part], cutter: Cutter, target: int | None, outside: int
) -> Iterator[tuple[int, Part, Piece, int | None]]:
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
    parts: Iterable[tuple[int, Part]], cutter: Cutter, target: int, field: str, outside: int = 0
) -> Iterator[tuple[int, Part, Piece, int]]:
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
