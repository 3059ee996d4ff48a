"""All that a plan is made of, and the plan itself as it goes to storage.

Nothing here reads or writes anything, so that a short text is planned where its task is taken, and a long one in a
process of its own, with the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from farm.cutting import Part
from farm.encoders import missing_encoder
from farm.errors import BadInput
from farm.job_limits import within_limits
from farm.lexicon.reading import Matched, lexicons
from farm.markup import Means, read, refusals
from farm.passages import Cuts
from farm.plan import encode_plan
from farm.planning import segments
from farm.script import Script, Speaker
from farm.segment import Recipe
from farm.spec import Spec
from farm.speech import Parameter
from farm.text_document import StoredChapter, read_spoken
from farm.wire import Model


@dataclass(frozen=True, slots=True)
class PlanOrder:
    tenant: str
    spec: str  # a Spec as JSON
    card: str  # the model's, as JSON
    document: bytes  # the chapters, as farm.text_document.write_text writes them
    characters: int
    lexicons: tuple[bytes, ...] = ()  # in the order of their precedence, as farm.lexicon writes them


@dataclass(frozen=True, slots=True)
class PlanFiles:
    total: int  # segments
    header: bytes  # plan.json
    pages: bytes  # plan.jsonl.gz
    passage_ends: tuple[int, ...] = ()  # as farm.passages.Cuts has them; none for a job without passages


def make_plan(order: PlanOrder) -> PlanFiles:
    """Raises BadInput where the model no longer speaks the language, the desk has no encoder for the format, or the
    text is beyond a limit."""
    spec, card = Spec.model_validate_json(order.spec), Model.model_validate_json(order.card)
    if (fault := missing_encoder(spec.output.format)) is not None:
        raise fault
    language = card.languages.get(spec.language)
    if language is None:
        raise BadInput(
            f"model {card.name!r} no longer speaks {spec.language!r}; submit the job anew", code="unknown_language"
        )
    recipe = Recipe(order.tenant, card.name, card.revision, spec.language, spec.manner)
    chapters = enumerate(read_spoken(order.document))
    parts = [_part(number, chapter, spec, card, order.lexicons) for number, chapter in chapters]
    has_marks = Parameter.PRONUNCIATION in card.parameters
    rows = segments(
        parts, recipe, language.max_characters, spec.output.pause_ms, target_duration_ms=spec.target_duration_ms,
        has_marks=has_marks, limits={tag: each.max_characters for tag, each in card.languages.items()},
        seeds=spec.seeds,
    )  # fmt: skip
    cuts = Cuts(spec.output)
    rows = cuts.noted(within_limits(rows, spec.output, card.sample_rate))
    header, pages = encode_plan(rows, parts, recipe, sample_rate=card.sample_rate, has_marks=has_marks)
    return PlanFiles(header.total, header.to_json().encode(), pages, cuts.ends if cuts.worthwhile else ())


def matched(order: PlanOrder) -> Iterator[tuple[int, Matched]]:
    """Every word that the lexicons of the order had, with the number of its chapter. Raises BadInput as make_plan."""
    spec, card = Spec.model_validate_json(order.spec), Model.model_validate_json(order.card)
    for number, chapter in enumerate(read_spoken(order.document)):
        _, found = _read(number, chapter, spec, card, order.lexicons)
        yield from ((number, each) for each in found)


def _part(number: int, chapter: StoredChapter, spec: Spec, card: Model, documents: tuple[bytes, ...]) -> Part:
    """Raises BadInput for markup that the model can no longer do."""
    script, _ = _read(number, chapter, spec, card, documents)
    return Part(
        chapter.title, chapter.input, *spec.speaker(chapter.voice), chapter.target_duration_ms,
        frozenset(chapter.headings), chapter.voice if chapter.voice in spec.voices else None, script,
    )  # fmt: skip


def _read(
    number: int, chapter: StoredChapter, spec: Spec, card: Model, documents: tuple[bytes, ...]
) -> tuple[Script | None, list[Matched]]:
    """The script of a chapter, None for one that is read as it stands."""
    script = None if spec.markup == "none" else _marked_up(number, chapter, spec, card)
    if chapter.turns:
        turns = [(start, end, Speaker(voice, *spec.speaker(voice))) for start, end, voice in chapter.turns]
        script = (script or Script.plain(chapter.input)).taken_over(turns)
    if not documents:
        return script, []
    return lexicons(documents).applied(
        script or Script.plain(chapter.input), spec.language, card, has_marks=Parameter.PRONUNCIATION in card.parameters
    )


def _marked_up(number: int, chapter: StoredChapter, spec: Spec, card: Model) -> Script:
    def speaker(name: str) -> Speaker:
        return Speaker(name, *spec.speaker(name))

    timed = spec.target_duration_ms is not None or chapter.target_duration_ms is not None
    narrator = Speaker(chapter.voice or spec.voice, *spec.speaker(chapter.voice))
    means = Means(card, spec.language, narrator, speaker, spec.manner.speed, timed)
    script, faults = read(chapter.input, spec.markup, means)
    for fault in refusals(faults, chapter.input, f"/chapters/{number}/input", number):
        raise fault
    return script
