"""All that a plan is made of, and the plan itself as it goes to storage.

Nothing here reads or writes anything, so that a short text is planned where its task is taken, and a long one in a
process of its own, with the same bytes."""

from __future__ import annotations

from dataclasses import dataclass

from farm.encoders import missing_encoder
from farm.errors import BadInput
from farm.job_limits import within_limits
from farm.passages import Cuts
from farm.plan import Part, Recipe, encode_plan, segments
from farm.spec import Spec, read_text
from farm.speech import Parameter
from farm.wire import Model


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
    parts = [
        Part(
            chapter.title, chapter.input, *spec.speaker(chapter.voice), chapter.target_duration_ms,
            frozenset(chapter.headings),
        )
        for chapter in read_text(order.document)
    ]  # fmt: skip
    has_marks = Parameter.PRONUNCIATION in card.parameters
    rows = segments(
        parts, recipe, language.max_characters, spec.output.pause_ms, target_duration_ms=spec.target_duration_ms,
        has_marks=has_marks,
    )  # fmt: skip
    cuts = Cuts(spec.output)
    rows = cuts.noted(within_limits(rows, spec.output, card.sample_rate))
    header, pages = encode_plan(rows, parts, recipe, sample_rate=card.sample_rate, has_marks=has_marks)
    return PlanFiles(header.total, header.to_json().encode(), pages, cuts.ends if cuts.worthwhile else ())
