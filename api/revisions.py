"""Revisions of a job: what an edit makes of it, and the results of those that were before.

    edit                 another text, or spoken otherwise: what is changed is said, the rest stays (edit.py)
    retry of a segment   the same text, with a seed of its own for one line

A change is made of one revision. The store takes it only while the job is still at that one, so of two changes that are
made at the same time the later one is refused (412), and nobody's change is lost.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Request, Response

from api.answers import json_response, require_json
from api.book import opened
from api.edit import Edited, Requested, edited, requested
from api.idempotency import key_of, reserved
from api.jobs import find, job_answer
from api.openapi import IDEMPOTENCY_KEY, OVER_QUOTA, header, json_body, problem
from api.problems import Gone, parse
from api.state import AppState, state_of, tenant_of
from api.views import base_url, revision_view
from farm.errors import BadInput, Conflict, FarmError, NotFound, ObjectMissing, Outdated, Unavailable
from farm.job import TRANSITIONS, Status
from farm.layout import voice_key
from farm.plan_reader import PlanReader
from farm.quota import QuotaExceeded
from farm.segment import Recipe, Segment, line_of
from farm.spec import Spec
from farm.speech import Parameter
from farm.store import jobs, quotas, revisions
from farm.text_document import stored_text_key
from farm.wake import DESK_QUEUE
from farm.wire import Job, JobEdit, JobRevision, Page, SegmentRetry

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])
edits = APIRouter(prefix="/v1/jobs", tags=["jobs"])

MOST_SEEDS = 1_000  # lines of a job with a seed of their own: some 30 bytes of its record each
_SEEDS = 2**32
_RESERVE_S = 60  # for reading the plan and writing a text

Revision = Annotated[
    int | None, Query(ge=1, le=10**9, description="an earlier revision, whose result is kept until it expires")
]
IF_MATCH = header("If-Match", 'the revision that the change is made of, as ETag has it: `"2"`; any when absent')
CHANGED: dict[int | str, dict[str, Any]] = {
    409: problem("Its status does not allow this"),
    410: problem("Its retention is over"),
    412: problem("It has another revision by now"),
}


@edits.patch(
    "/{job_id}",
    response_model=Job,
    responses={
        200: {"model": Job, "description": "It changes nothing"},
        202: {"model": Job, "description": "The next revision"},
        **OVER_QUOTA,
        **CHANGED,
    },
    openapi_extra={
        "requestBody": json_body("JobEdit", {"segments": [{"index": 1, "text": "Nobody saw it come back."}]}),
        "parameters": [IDEMPOTENCY_KEY, IF_MATCH],
    },
)
async def edit_job(request: Request, job_id: str) -> Response:
    """Changes a job that has ended: its text, its voices, lexicons, output. It goes on as its next revision, which
    renders only what changed; the result before stays until it expires."""
    state = state_of(request)
    await find(request, job_id)  # whose job it is comes before what is wrong with the edit
    require_json(request)
    body = await request.body()
    wanted = await state.blocking(parse, JobEdit, body)

    async def change(job: jobs.JobRecord) -> revisions.Change | None:
        return await _edited(state, job, wanted)

    return await _revised(request, job_id, body, change)


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
    responses={**OVER_QUOTA, **CHANGED},
    openapi_extra={
        "requestBody": {**json_body("SegmentRetry", {"seed": 7}), "required": False},
        "parameters": [IDEMPOTENCY_KEY, IF_MATCH],
    },
)
async def retry_segment(request: Request, job_id: str, index: int) -> Response:
    """Says one sentence again, under another seed, and makes the result anew. The job goes on as its next revision, in
    which this line keeps the seed wherever it stands. All other clips stay as they are."""
    await find(request, job_id)
    body = await request.body()
    if body:
        require_json(request)
    wanted = parse(SegmentRetry, body or b"{}")
    state = state_of(request)

    async def change(job: jobs.JobRecord) -> revisions.Change:
        await _check_seeds(state, job.model, asked=wanted.seed is not None)
        recipe, row = await state.blocking(_planned, state, job, index)
        spec = _reseeded(Spec.model_validate_json(job.spec), recipe, row, wanted.seed)
        return revisions.Change(job.id, job.tenant, job.revision, spec, job.characters, job.retention_s)

    return await _revised(request, job_id, body, change)


# --- every change -----------------------------------------------------------------------------------------------------


async def _revised(
    request: Request, job_id: str, body: bytes, change: Callable[[jobs.JobRecord], Awaitable[revisions.Change | None]]
) -> Response:
    """Makes the next revision by `change`, and answers with it; with the job as it is where nothing changes. A change
    that is sent again under its key is not made again, and is answered although the job has another revision by now."""
    state, key = state_of(request), key_of(request)
    said = hashlib.sha256(f"{request.url.path}\n".encode() + body).hexdigest() if key is not None else ""
    headers, made = {}, None
    async with reserved(state, tenant_of(request), key, said, _RESERVE_S) as claimed:
        if claimed.earlier is not None:
            headers = {"Idempotent-Replayed": "true"}
        else:
            job = await changeable(request, job_id)
            made = await change(job)
            if made is not None:
                await _revise(state, job, replace(made, idempotency_key=key, request_digest=said))
    state.waker.wake(DESK_QUEUE)
    status = 200 if made is None and not headers else 202
    return await job_answer(request, state, await find(request, job_id), status, headers)


async def _revise(state: AppState, job: jobs.JobRecord, change: revisions.Change) -> None:
    """The text before goes once there is another, and the new one where it is refused. After an outage nobody knows
    which of them the job has, so both stay, until the job goes."""
    before = stored_text_key(job.id, Spec.model_validate_json(job.spec))
    after = stored_text_key(job.id, change.spec)
    try:
        await state.store.run(revisions.revise(change))
    except (BadInput, Conflict, NotFound, Outdated, QuotaExceeded):
        if change.text_bytes is not None:
            await state.blocking(state.storage.delete, after)
        raise
    if change.text_bytes is not None:
        await state.blocking(state.storage.delete, before)


async def changeable(request: Request, job_id: str) -> jobs.JobRecord:
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


# --- edits ------------------------------------------------------------------------------------------------------------


class Text(NamedTuple):
    """Of a job, as it is."""

    document: bytes
    inline: bool  # in Redis, and not in storage


async def text_of(state: AppState, job: jobs.JobRecord) -> Text:
    """Raises Gone, or Outdated where an edit has taken its place."""
    inline = await state.store.run(jobs.text(job.id))
    if inline is not None:
        return Text(inline.encode(), inline=True)
    key = stored_text_key(job.id, Spec.model_validate_json(job.spec))
    try:
        return Text(await state.blocking(state.storage.get, key), inline=False)
    except ObjectMissing:
        raise await _changed_meanwhile(state, job) from None


async def made_by(state: AppState, job: jobs.JobRecord, text: Text, edit: JobEdit) -> Edited | None:
    """What the edit makes of the job; None where nothing changes. Raises BadInput."""
    try:
        wanted = await state.blocking(_requested, state, job, text.document, edit)
    except ObjectMissing:
        raise await _changed_meanwhile(state, job) from None
    request, _ = await opened(state, job.tenant, wanted.request)
    catalog = await state.catalog(job.tenant, request)
    made = await state.blocking(edited, job, text.document, edit, replace(wanted, request=request), catalog)
    if made is not None:
        await state.blocking(_check_recordings, state, job.tenant, made.spec)
    return made


async def _edited(state: AppState, job: jobs.JobRecord, edit: JobEdit) -> revisions.Change | None:
    """The change, whose text is in storage by then. None where nothing changes."""
    before = await text_of(state, job)
    made = await made_by(state, job, before, edit)
    if made is None:
        return None
    change = revisions.Change(job.id, job.tenant, job.revision, made.spec, made.characters, made.retention_s)
    if made.text is None:
        return change
    text = made.text.encode()
    longer = len(text) - (0 if before.inline else len(before.document))
    await state.store.run(quotas.room(job.tenant, characters=made.characters, bytes=max(longer, 0), records=0))
    named = replace(change, spec=made.spec.model_copy(update={"text": secrets.token_hex(8)}), text_bytes=longer)
    await state.blocking(state.storage.put, stored_text_key(job.id, named.spec), text, "application/json")
    return named


def _requested(state: AppState, job: jobs.JobRecord, document: bytes, edit: JobEdit) -> Requested:
    reader: PlanReader | None = None

    def row(index: int) -> Segment:
        nonlocal reader
        reader = reader or _reader(state, job)
        return reader.row(index)

    return requested(job, document, edit, row)


async def _changed_meanwhile(state: AppState, job: jobs.JobRecord) -> FarmError:
    """Why the text of a job is not where it was."""
    now = await state.store.run(jobs.record(job.id))
    if now is not None and now.revision != job.revision:
        return revisions.outdated(job.id, now.revision)
    return Gone(f"the text of job {job.id} is no longer in storage; submit it anew")


def _check_recordings(state: AppState, tenant: str, spec: Spec) -> None:
    """Raises BadInput for a voice whose recording is gone."""
    for name, digest in spec.uploads.items():
        if state.storage.head(voice_key(tenant, digest)) is None:
            raise BadInput(
                f"voice {name!r} has another recording by now, or none, and the one that this job was spoken with is "
                "gone; name a voice in voice or voices, which speaks all of it then",
                code="unknown_voice", pointer="/voice",
            )  # fmt: skip


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


async def _check_seeds(state: AppState, model: str, *, asked: bool) -> None:
    """Raises BadInput for a seed that was asked for, and Conflict for another take, where the model has neither."""
    card = (await state.cards.get()).get(model)
    if card is None:
        raise Unavailable(
            f"no render worker has announced model {model!r}; start one and try again", code="model_not_ready"
        )
    if Parameter.SEED in card.parameters:
        return
    why = (
        f"model {model!r} draws no random numbers: it says a sentence the same way each time; change its words, or put "
        "how a word is said into a lexicon"
    )
    if asked:
        raise BadInput(why, code="not_honoured", pointer="/seed")
    raise Conflict(why, code="no_other_take")


def _planned(state: AppState, job: jobs.JobRecord, index: int) -> tuple[Recipe, Segment]:
    reader = _reader(state, job)
    try:
        return reader.plan.recipe, reader.row(index)
    except IndexError:
        raise NotFound(f"job {job.id} has no segment {index}; the last one is {reader.plan.total - 1}") from None


def _reader(state: AppState, job: jobs.JobRecord) -> PlanReader:
    try:
        return PlanReader(state.storage, job.id, job.revision)
    except ObjectMissing:
        raise Conflict(
            f"job {job.id} is {job.status} and has no segments; POST /v1/jobs/{job.id}/retry takes it up again, or "
            "give its text anew as a whole",
            code="no_segments",
        ) from None
