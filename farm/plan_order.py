"""All that a plan is made of, and the plan itself as it goes to storage.

Nothing here reads or writes anything, so that a short text is planned where its task is taken, and a long one in a
process of its own, with the same bytes."""

from __future__ import annotations

from dataclasses import dataclass

from farm.encoders import missing_encoder
from farm.errors import BadInput
from farm.job_limits import within_limits
from farm.markup import Means, read, refusals
from farm.passages import Cuts
from farm.plan import Part, Recipe, encode_plan, segments
from farm.script import Speaker
from farm.spec import Spec, read_text
from farm.speech import Parameter
from farm.wire import Chapter, Model


@dataclass(frozen=True, slots=True)
class PlanOrder:
    tenant: str
    spec: str  # a Spec as JSON
    card: str  # the model's, as JSON
    document: bytes  # the chapters, as farm.spec.write_text writes them
    characters: int


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
    parts = [_part(number, chapter, spec, card) for number, chapter in enumerate(read_text(order.document))]
    has_marks = Parameter.PRONUNCIATION in card.parameters
    rows = segments(
        parts, recipe, language.max_characters, spec.output.pause_ms, target_duration_ms=spec.target_duration_ms,
        has_marks=has_marks, limits={tag: each.max_characters for tag, each in card.languages.items()},
    )  # fmt: skip
    cuts = Cuts(spec.output)
    rows = cuts.noted(within_limits(rows, spec.output, card.sample_rate))
    header, pages = encode_plan(rows, parts, recipe, sample_rate=card.sample_rate, has_marks=has_marks)
    return PlanFiles(header.total, header.to_json().encode(), pages, cuts.ends if cuts.worthwhile else ())


def _part(number: int, chapter: Chapter, spec: Spec, card: Model) -> Part:
    """Raises BadInput for markup that the model can no longer do."""

    def speaker(name: str) -> Speaker:
        return Speaker(name, *spec.speaker(name))

    voice, uploaded = spec.speaker(chapter.voice)
    script = None
    if spec.markup != "none":
        timed = spec.target_duration_ms is not None or chapter.target_duration_ms is not None
        narrator = Speaker(chapter.voice or spec.voice, voice, uploaded)
        means = Means(card, spec.language, narrator, speaker, spec.manner.speed, timed)
        script, faults = read(chapter.input, spec.markup, means)
        for fault in refusals(faults, chapter.input, f"/chapters/{number}/input", number):
            raise fault
    return Part(
        chapter.title, chapter.input, voice, uploaded, chapter.target_duration_ms, frozenset(chapter.headings),
        chapter.voice if chapter.voice in spec.voices else None, script,
    )  # fmt: skip
