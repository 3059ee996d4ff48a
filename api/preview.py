"""What a job would speak, without the job: its segments, who speaks them, the pauses, and what would be refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from fastapi import APIRouter, Request, Response

from api.answers import json_response, require_json
from api.book import opened
from api.leaving import unless_left
from api.openapi import json_body
from api.previewer import Previewed, Previewer
from api.problems import parse
from api.state import AppState, state_of, tenant_of
from farm.errors import BadInput, ObjectMissing, TooLarge
from farm.order import Order
from farm.plan_order import PlanOrder
from farm.segment import Segment, of_its_own
from farm.spec import Spec
from farm.stored_lexicons import stored_lexicons
from farm.wire import JobRequest, Preview, PreviewChapter, PreviewMatch, PreviewSegment, Problem

MAX_CHARACTERS = 50_000

router = APIRouter(prefix="/v1/preview", tags=["jobs"])


@router.post(
    "",
    response_model=Preview,
    openapi_extra={
        "requestBody": json_body("JobRequest", {"input": "One. [pause:1s] Two.", "markup": "tags"}),
    },
)
async def preview(request: Request) -> Response:
    """How a job would be spoken, by the body of the job: its segments with what is said, voices and pauses. What would
    be refused is in `refusals`, each with its place, and then there are no segments. Of at most 50,000 characters; the
    chapters of a document can be shown one by one."""
    state, tenant = state_of(request), tenant_of(request)
    require_json(request)
    wanted = await state.blocking(parse, JobRequest, await request.body())
    try:
        order = await _admitted(state, tenant, wanted)
        made = await plan_order(state, tenant, order.model, order.spec, order.text.encode(), order.characters)
        planned = await unless_left(request.receive, previewer_of(request).plan(made))
    except TooLarge:
        raise
    except BadInput as fault:
        return json_response(Preview(refusals=_refusals(fault)))
    return json_response(_shown(order, planned))


async def _admitted(state: AppState, tenant: str, wanted: JobRequest) -> Order:
    wanted, book = await opened(state, tenant, wanted)
    characters = sum(len(part.input) for part in wanted.parts())
    if characters > MAX_CHARACTERS:
        pointer = "/document/chapters" if book else "/chapters" if wanted.chapters is not None else "/input"
        raise TooLarge(
            f"a preview shows at most {MAX_CHARACTERS:,} characters, and this text has {characters:,}; preview some of "
            "it, such as a chapter",
            pointer=pointer,
        )
    catalog = await state.catalog(tenant, wanted)
    if book is not None:
        wanted = catalog.in_language(wanted, book.language)
    return await state.blocking(catalog.admit, wanted)


async def plan_order(
    state: AppState, tenant: str, model: str, spec: Spec, document: bytes, characters: int
) -> PlanOrder:
    """Raises BadInput for a lexicon that is gone."""
    card = (await state.cards.get())[model]
    try:
        lexicons = await state.blocking(stored_lexicons, state.storage, tenant, spec)
    except ObjectMissing as error:
        raise BadInput(error.message, code=error.code, pointer="/lexicons") from None
    return PlanOrder(tenant, spec.to_json(), card.model_dump_json(), document, characters, lexicons)


def _refusals(fault: BadInput) -> list[Problem.FieldProblem]:
    return [
        Problem.FieldProblem(pointer=field.pointer, message=field.message, position=field.position)
        for field in fault.fields
    ] or [Problem.FieldProblem(pointer="", message=fault.message)]


def _shown(order: Order, planned: Previewed) -> Preview:
    spec: Spec = order.spec
    names, lexicons = {digest: name for name, digest in spec.uploads.items()}, list(spec.lexicons)
    return Preview(
        model=order.model,
        language=spec.language,
        voice=spec.voice,
        characters=order.characters,
        chapters=[
            PreviewChapter(title=chapter.title, first_segment=chapter.first, segments=chapter.count)
            for chapter in planned.chapters
        ],
        segments=[
            segment_view(row, names) for row in planned.segments
        ],
        matches=[
            PreviewMatch(
                chapter=chapter, start=found.start, end=found.end, written=found.written, spoken=found.spoken,
                lexicon=lexicons[found.lexicon],
            )
            for chapter, found in planned.matches
        ],
    )  # fmt: skip


def segment_view(row: Segment, names: Mapping[str, str]) -> PreviewSegment:
    """`names` of uploaded voices, by their digests."""
    return PreviewSegment(
        index=row.index, chapter=row.chapter, start=row.start, end=row.end, text=row.text, digest=row.digest,
        voice=names.get(row.voice, row.voice) if row.uploaded else row.voice, pause_ms=row.pause_ms,
        target_ms=row.target_duration_ms, **of_its_own(row),
    )  # fmt: skip


def previewer_of(request: Request) -> Previewer:
    return cast(Previewer, request.app.state.previewer)
