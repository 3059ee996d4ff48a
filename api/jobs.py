"""Jobs: accepting them, and everything a client does with them until it fetches the result."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.answers import JOB_ID, AfterJob, Wait, json_response, read_cursor, require_json
from api.book import Book, opened
from api.idempotency import key_of, reserved
from api.lists import Place, find_some, metadata_of
from api.openapi import IDEMPOTENCY_KEY, OVER_QUOTA, TOO_MANY_WAITS, header, json_body
from api.problems import parse
from api.state import AppState, state_of, tenant_of, trace_of
from api.views import accepted_view, base_url, job_view
from api.watch import LONGEST_WAIT
from farm import logs
from farm.errors import Conflict, NotFound, StoreUnavailable, TooOften
from farm.failed_segment import lacks_place, located
from farm.job import ENDED, TRANSITIONS, Status
from farm.layout import book_cover_key, book_key, text_key
from farm.order import Order
from farm.quota import QuotaExceeded
from farm.removal import remove_objects
from farm.spec import Spec
from farm.store import jobs, quotas
from farm.wake import DESK_QUEUE
from farm.wire import Job, JobRequest, Page

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_LARGE_BYTES = 64_000  # from here on a body is parsed off the event loop
_RESERVE_S = 60  # for writing a long text to storage
_RETRY_AFTER = "2"  # seconds; what a client that polls is advised
_PREFER_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])")
_ID = re.compile(JOB_ID)


async def submit(request: Request) -> Response:
    """Accepts one job. From the 202 on it is durable and will end; `Location` is its status."""
    state, tenant = state_of(request), tenant_of(request)
    state.check_room()
    require_json(request)
    key = key_of(request)
    body = await request.body()
    order, book = await _admitted(state, tenant, body)
    digest = hashlib.sha256(b"job\n" + body).hexdigest() if key is not None else ""
    new = jobs.NewJob.of(order, tenant, key=key, digest=digest, trace=trace_of(request))
    if order.inline and book is None:
        accepting = state.store.run(jobs.accept(new))
    else:
        accepting = _accept_long(state, new, order.text, book)
    accepted = await noted(state, new, accepting)
    state.waker.wake(DESK_QUEUE)
    return await _answer_accepted(request, state, order, accepted)


# Served as a plain route: FastAPI's machinery for parameters and responses took a quarter of an accept. The declaration
# behind it is for /docs, and is never reached.
router.add_route("/v1/jobs", submit, methods=["POST"])
router.post(
    "",
    status_code=202,
    response_model=Job,
    responses={200: {"model": Job, "description": "It ended within the preferred wait"}, **OVER_QUOTA},
    openapi_extra={
        "requestBody": json_body("JobRequest", {"input": "It was a dark night.", "output": {"format": "mp3"}}),
        "parameters": [IDEMPOTENCY_KEY, header("Prefer", "`wait=n`: answer when it has ended, within n <= 60 seconds")],
    },
)(submit)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the jobs of a list have in common. Nothing said: all of them."""

    status: Status | None = None
    model: str | None = None
    voice: str | None = None
    custom_id: str = ""  # a part of it, casefolded
    metadata: Mapping[str, str] = field(default_factory=dict)

    def holds(self, job: jobs.JobRecord) -> bool:
        if self.status not in (None, job.status) or self.model not in (None, job.model):
            return False
        if not (self.voice or self.custom_id or self.metadata):
            return True
        spec = Spec.model_validate_json(job.spec)
        return (
            self.voice in (None, spec.voice)
            and self.custom_id in (spec.custom_id or "").casefold()
            and self.metadata.items() <= spec.metadata.items()
        )


@router.get("", response_model=Page[Job])
async def list_jobs(
    request: Request,
    status: Annotated[Status | None, Query()] = None,
    batch: Annotated[str | None, Query(max_length=80)] = None,
    model: Annotated[str | None, Query(max_length=64)] = None,
    voice: Annotated[str | None, Query(max_length=64)] = None,
    custom_id: Annotated[str | None, Query(max_length=200, description="a part of it, in any case")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: AfterJob = None,
) -> Response:
    """Newest first; within a batch, in its order. `metadata[key]=value` filters by metadata. A page of a filtered list
    may be short, or even empty, and have more behind it."""
    wanted = Wanted(status, model, voice, (custom_id or "").casefold(), metadata_of(request))
    return await page_of_jobs(request, batch=batch, wanted=wanted, limit=limit, after=after)


@router.get("/{job_id}", response_model=Job, responses=TOO_MANY_WAITS)
async def show(request: Request, job_id: str, wait: Wait = 0.0) -> Response:
    """Where it stands. With `wait`, answers as soon as it has ended, and no later than after so many seconds."""
    state = state_of(request)
    job = await state.watch.until(request, job_id, lambda: find(request, job_id), lambda job: job.status in ENDED, wait)
    return await job_answer(request, state, job)


@router.post("/{job_id}/cancel", status_code=202, response_model=Job)
async def cancel_job(request: Request, job_id: str) -> Response:
    """Stops an open job; what was rendered stays for a retry. 409 when it had ended."""
    state = state_of(request)
    was = await state.store.run(jobs.cancel(known(job_id), tenant_of(request)))
    if was is None:
        raise unknown(job_id)
    if was in ENDED:
        raise Conflict(f"job {job_id} is {was} already; there is nothing to cancel", code="already_ended")
    state.waker.wake(DESK_QUEUE)
    return await job_answer(request, state, await find(request, job_id), 202)


@router.post("/{job_id}/retry", status_code=202, response_model=Job, responses=OVER_QUOTA)
async def retry_job(request: Request, job_id: str) -> Response:
    """Takes up a failed or canceled job again, or one that finished without some segments, and renders only what is
    missing. 409 in every other status."""
    state = state_of(request)
    was = await state.store.run(jobs.retry(known(job_id), tenant_of(request)))
    if was is None:
        raise unknown(job_id)
    if was not in TRANSITIONS["retry"]:
        raise Conflict(f"job {job_id} is {was}; there is nothing to retry", code="nothing_to_retry")
    state.waker.wake(DESK_QUEUE)
    return await job_answer(request, state, await find(request, job_id), 202)


@router.delete("/{job_id}", status_code=204)
async def delete(request: Request, job_id: str) -> Response:
    """The record and everything in storage that was made for it, its clips included. An open job is canceled first."""
    state = state_of(request)
    job = await find(request, job_id)
    await state.store.run(jobs.cancel(job.id, job.tenant))
    await state.blocking(remove_objects, state.storage, job.id, clips=True)
    await state.store.run(jobs.forget(job.id, job.tenant))
    await state.blocking(remove_objects, state.storage, job.id)  # what a desk was writing until then
    state.waker.wake(DESK_QUEUE)
    return Response(status_code=204)


# --- shared with the routes of results and batches --------------------------------------------------------------------


async def find(request: Request, job_id: str) -> jobs.JobRecord:
    """The tenant's job. Raises NotFound, for another tenant's too."""
    job = await state_of(request).store.run(jobs.record(known(job_id), tenant_of(request)))
    if job is None:
        raise unknown(job_id)
    return job


def known(job_id: str) -> str:
    """The id, once its form is checked: it becomes part of a Redis key. Raises NotFound."""
    if not _ID.fullmatch(job_id):
        raise unknown(job_id)
    return job_id


def unknown(job_id: str) -> NotFound:
    return NotFound(f"there is no job {job_id[:80]!r}; it may have been deleted, or be past its retention")


async def explained(state: AppState, job: jobs.JobRecord) -> jobs.JobRecord:
    """The record, with the place of the segment where one failed the job."""
    if job.outcome is None or not lacks_place(job):
        return job
    outcome = await state.blocking(located, state.storage, job)
    if outcome is None:
        return job
    with suppress(StoreUnavailable):
        await state.store.run(jobs.explain(job.id, job.outcome, outcome))
    return replace(job, outcome=outcome)


async def page_of_jobs(
    request: Request,
    *,
    batch: str | None,
    wanted: Wanted,
    limit: int,
    after: str | None,
) -> Response:
    """One page of the tenant's jobs, or of a batch. A filtered page reads a bounded number of records, so it may be
    short while more pages follow."""
    state = state_of(request)
    tenant = tenant_of(request)

    async def read(place: Place | None, count: int) -> list[jobs.JobRecord]:
        return await state.store.run(jobs.page(tenant, batch=batch, after=place, limit=count))

    def place_of(job: jobs.JobRecord, before: Place | None) -> Place:
        line = before[0] + 1 if before else 1
        return (job.created_ms if batch is None else line, job.id)

    holds = wanted.holds if wanted != Wanted() else None
    found = await find_some(
        read, place_of, holds=holds, limit=limit, after=read_cursor(after, JOB_ID) if after else None
    )
    base = base_url(request, state.settings.public_url)
    speeds = await state.speeds.get()
    shown = Page[Job](
        data=[
            job_view(job, base, speeds.get(job.model))
            for job in await asyncio.gather(*(explained(state, job) for job in found.records))
        ],
        has_more=found.more,
        next_cursor=found.next_cursor,
    )
    return json_response(shown)


# --- accepting --------------------------------------------------------------------------------------------------------


async def _admitted(state: AppState, tenant: str, body: bytes) -> tuple[Order, Book | None]:
    if len(body) < _LARGE_BYTES:
        wanted = parse(JobRequest, body)
        if wanted.document is None:
            return (await state.catalog(tenant, wanted)).admit(wanted), None
    else:
        wanted = await state.blocking(parse, JobRequest, body)
    wanted, book = await opened(state, tenant, wanted)
    catalog = await state.catalog(tenant, wanted)
    if book is not None:
        wanted = catalog.in_language(wanted, book.language)
    return await state.blocking(catalog.admit, wanted), book


async def _accept_long(state: AppState, new: jobs.NewJob, text: str, book: Book | None) -> jobs.Accepted:
    """Writes the text to storage, then accepts the job: an accepted job always has its text, and its book."""
    async with reserved(state, new.tenant, new.idempotency_key, new.request_digest, _RESERVE_S) as claimed:
        if claimed.earlier is not None:
            return jobs.Accepted(claimed.earlier, replayed=True)
        return await accept_with_text(state, new, text, book)


async def noted(state: AppState, new: jobs.NewJob, accepting: Awaitable[jobs.Accepted]) -> jobs.Accepted:
    """What each acceptance leaves: a span, a line in the log with its ids, and what the tenant has left."""
    with state.tracing.step("accept", job_id=new.id, model=new.model, characters=new.characters):
        accepted = await accepting
    logs.note(**logs.ids_of(accepted.id))
    log.info("job %s is accepted%s", accepted.id, " already" if accepted.replayed else "")
    state.standings.note(new.tenant, accepted.standing)
    return accepted


async def accept_with_text(state: AppState, new: jobs.NewJob, text: str, book: Book | None = None) -> jobs.Accepted:
    """Writes the text to storage, unless there is no room for it, then accepts the job."""
    parts = {text_key(new.id): (text.encode(), "application/json")}
    if book is not None:
        parts[book_key(new.id)] = book.metadata.encode(), "application/json"
        if book.cover:
            parts[book_cover_key(new.id)] = book.cover, book.cover_type
    new = replace(new, text=None, stored=sum(len(data) for data, _ in parts.values()), drafted=True)
    await state.store.run(quotas.room(new.tenant, characters=new.characters, bytes=new.stored, records=0))
    await state.store.run(jobs.draft(new.id))
    for key, (data, kind) in parts.items():
        await state.blocking(state.storage.put, key, data, kind)
    try:
        return await state.store.run(jobs.accept(new))
    except QuotaExceeded:  # others were faster; else the desk would delete it later
        await state.blocking(state.storage.delete, *parts)
        raise


async def _answer_accepted(request: Request, state: AppState, order: Order, accepted: jobs.Accepted) -> Response:
    replayed = accepted.id != order.id
    headers = {"Idempotent-Replayed": "true"} if replayed else {}
    wait = _preferred_wait(request)
    if wait:
        with suppress(TooOften):  # a preference that can't be honoured is ignored
            job = await state.watch.until(
                request, accepted.id, lambda: find(request, accepted.id), lambda job: job.status in ENDED, wait
            )
            headers["Preference-Applied"] = f"wait={wait}"
            return await job_answer(request, state, job, 200 if job.status in ENDED else 202, headers)
    if replayed:
        return await job_answer(request, state, await find(request, accepted.id), 202, headers)
    shown = accepted_view(order, base_url(request, state.settings.public_url))
    return json_response(shown, 202, {"Location": shown.status_url, "Retry-After": _RETRY_AFTER})


def _preferred_wait(request: Request) -> int:
    """Seconds of `Prefer: wait=n` (RFC 7240). A preference that can't be honoured is ignored."""
    found = _PREFER_WAIT.search(request.headers.get("prefer", ""))
    return min(int(found.group(1)), int(LONGEST_WAIT)) if found else 0


async def job_answer(
    request: Request, state: AppState, job: jobs.JobRecord, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    base = base_url(request, state.settings.public_url)
    speed = (await state.speeds.get()).get(job.model) if job.status is Status.RUNNING else None
    shown = job_view(await explained(state, job), base, speed)
    headers = {"ETag": f'"{job.revision}"', **(headers or {})}
    if status == 202:
        headers["Location"] = shown.status_url
    if not shown.ended:
        headers["Retry-After"] = _RETRY_AFTER
    return json_response(shown, status, headers)
