"""Revisions of a job: what an edit makes of it, and the results of those that were before.

    retry of a segment   the same text, with a seed of its own for one line

A change is made of one revision. The store takes it only while the job is still at that one, so of two changes that are
made at the same time the later one is refused (412), and nobody's change is lost.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api.answers import json_response, require_json
from api.idempotency import key_of, reserved
from api.jobs import find, job_answer
from api.openapi import IDEMPOTENCY_KEY, OVER_QUOTA, header, json_body, problem
from api.problems import Gone, parse
from api.state import AppState, state_of, tenant_of
from api.views import base_url, revision_view
from farm.errors import BadInput, Conflict, NotFound, ObjectMissing, Unavailable
from farm.job import TRANSITIONS, Status
from farm.plan import Recipe, Segment, line_of
from farm.plan_reader import PlanReader
from farm.spec import Spec
from farm.speech import Parameter
from farm.store import jobs, revisions
from farm.wake import DESK_QUEUE
from farm.wire import Job, JobRevision, Page, SegmentRetry

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])

MOST_SEEDS = 1_000  # lines of a job with a seed of their own: some 30 bytes of its record each
_SEEDS = 2**32
_RESERVE_S = 60  # for reading the plan and writing a text

Revision = Annotated[
    int | None, Query(ge=1, le=10**9, description="an earlier revision, whose result is kept until it expires")
]
IF_MATCH = header("If-Match", 'the revision that the change is made of, as ETag has it: `"2"`; any when absent')
_CHANGED: dict[int | str, dict[str, Any]] = {
    409: problem("Its status does not allow this"),
    410: problem("Its retention is over"),
    412: problem("It has another revision by now"),
}


async def at_revision(request: Request, job_id: str, number: int | None) -> jobs.JobRecord:
    """The tenant's job as it was at a revision. Raises NotFound for one that it has not come to, Gone for one without a
    result any more."""
    job = await find(request, job_id)
    if number is None or number == job.revision:
        return job
    if number > job.revision:
        raise NotFound(f"job {job_id} has no revision {number}; it is at {job.revision}")
    kept = (await state_of(request).store.run(revisions.earlier(job.id))).get(number)
    if kept is None:
        raise Gone(f"revision {number} of job {job_id} has no result any more: it had none, or its retention is over")
    return _as_it_was(job, kept)


def _as_it_was(job: jobs.JobRecord, kept: revisions.Earlier) -> jobs.JobRecord:
    return replace(
        job, revision=kept.number, status=Status.SUCCEEDED, total=kept.total, done=kept.rendered + kept.reused,
        cached=kept.reused, outcome=kept.outcome, ended_ms=kept.ended_ms,
        retention_s=(kept.expires_ms - kept.ended_ms) // 1000,
    )  # fmt: skip


@router.get("/revisions", response_model=Page[JobRevision])
async def list_revisions(request: Request, job_id: str) -> Response:
    """What it is now, and its earlier revisions of which a result is kept, newest first."""
    state, job = state_of(request), await find(request, job_id)
    kept = await state.store.run(revisions.earlier(job.id))
    base = base_url(request, state.settings.public_url)
    shown = [revision_view(job, base, earlier=False)]
    shown += [revision_view(_as_it_was(job, kept[number]), base, earlier=True) for number in sorted(kept, reverse=True)]
    return json_response(Page[JobRevision](data=shown, has_more=False))


@router.post(
    "/segments/{index}/retry",
    status_code=202,
    response_model=Job,
    responses={**OVER_QUOTA, **_CHANGED},
    openapi_extra={
        "requestBody": {**json_body("SegmentRetry", {"seed": 7}), "required": False},
        "parameters": [IDEMPOTENCY_KEY, IF_MATCH],
    },
)
async def retry_segment(request: Request, job_id: str, index: int) -> Response:
    """Says one sentence again, under another seed, and makes the result anew. The job goes on as its next revision, in
    which this line keeps the seed wherever it stands. All other clips stay as they are."""
    body = await request.body()
    if body:
        require_json(request)
    wanted = parse(SegmentRetry, body or b"{}")
    state = state_of(request)

    async def change(job: jobs.JobRecord) -> revisions.Change:
        await _check_seeds(state, job.model)
        recipe, row = await state.blocking(_planned, state, job, index)
        spec = _reseeded(Spec.model_validate_json(job.spec), recipe, row, wanted.seed)
        return revisions.Change(job.id, job.tenant, job.revision, spec, job.characters, job.retention_s)

    return await _revised(request, job_id, body, change)


# --- every change -----------------------------------------------------------------------------------------------------


async def _revised(
    request: Request, job_id: str, body: bytes, change: Callable[[jobs.JobRecord], Awaitable[revisions.Change]]
) -> Response:
    """Makes the next revision by `change`, and answers with it. A change that is sent again under its key is not made
    again, and is answered although the job has another revision by now."""
    state, key = state_of(request), key_of(request)
    said = hashlib.sha256(f"{request.url.path}\n".encode() + body).hexdigest() if key is not None else ""
    async with reserved(state, tenant_of(request), key, said, _RESERVE_S) as claimed:
        if claimed.earlier is None:
            made = await change(await _changeable(request, job_id))
            await state.store.run(revisions.revise(replace(made, idempotency_key=key, request_digest=said)))
    state.waker.wake(DESK_QUEUE)
    headers = {} if claimed.earlier is None else {"Idempotent-Replayed": "true"}
    return await job_answer(request, state, await find(request, job_id), 202, headers)


async def _changeable(request: Request, job_id: str) -> jobs.JobRecord:
    """The tenant's job, which may be changed now. Raises Outdated where If-Match names another revision, Conflict and
    Gone where the status does not allow it."""
    job = await find(request, job_id)
    wanted = request.headers.get("if-match", "*")
    if wanted.strip() != "*" and str(job.revision) not in re.findall(r'(?:W/)?"?(\d+)"?', wanted):
        raise revisions.outdated(job.id, job.revision)
    if job.status is Status.EXPIRED:
        raise Gone(f"job {job_id} has expired, and its text is gone; submit it anew")
    if job.streamed or job.status not in TRANSITIONS["revise"]:
        raise revisions.cannot_change(job.id, job.status)
    return job


# --- seeds ------------------------------------------------------------------------------------------------------------


def _reseeded(spec: Spec, recipe: Recipe, row: Segment, seed: int | None) -> Spec:
    """The spec with a seed for the line of a segment. Raises BadInput for the seed that it has, Conflict where too many
    lines have one."""
    before = recipe.manner.seed if row.seed is None else row.seed
    seed = (before + 1) % _SEEDS if seed is None else seed
    if seed == before:
        raise BadInput(
            f"segment {row.index} has the seed {seed} already, and gives the same clip; give another seed, or none",
            code="same_seed", pointer="/seed",
        )  # fmt: skip
    line = line_of(recipe, row)
    seeds = {**spec.seeds, line: seed}
    if seed == spec.manner.seed:
        del seeds[line]
    if len(seeds) > MOST_SEEDS:
        raise Conflict(
            f"{MOST_SEEDS:,} lines of this job have a seed of their own, and no more can; submit it with another seed",
            code="too_many_seeds",
        )
    return spec.model_copy(update={"seeds": seeds})


async def _check_seeds(state: AppState, model: str) -> None:
    card = (await state.cards.get()).get(model)
    if card is None:
        raise Unavailable(
            f"no render worker has announced model {model!r}; start one and try again", code="model_not_ready"
        )
    if Parameter.SEED not in card.parameters:
        raise BadInput(
            f"model {model!r} draws no random numbers: it says a sentence the same way each time; change its words, or "
            "put how a word is said into a lexicon",
            code="not_honoured", pointer="/seed",
        )  # fmt: skip


def _planned(state: AppState, job: jobs.JobRecord, index: int) -> tuple[Recipe, Segment]:
    try:
        reader = PlanReader(state.storage, job.id, job.revision)
        return reader.plan.recipe, reader.row(index)
    except IndexError:
        raise NotFound(f"job {job.id} has no segment {index}; the last one is {reader.plan.total - 1}") from None
    except ObjectMissing:
        raise Conflict(
            f"job {job.id} is {job.status} and has no segments; POST /v1/jobs/{job.id}/retry takes it up again",
            code="no_segments",
        ) from None
