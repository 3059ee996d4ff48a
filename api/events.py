"""Server-sent events: what becomes of a job, of a batch, or of all that a tenant has, as it happens.

state      at the beginning: the job or batch as it is now; for /v1/events, where to read the list
status     a change of state: of a job (queued … succeeded, failed, canceled, expired, deleted) or a batch
           (completed, deleted). It has an id; Last-Event-ID goes on after it, without gap or double
progress   of a job or batch, four times a second at most
reset      events are gone that this client has not seen: the state as it is now, to begin anew from
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api import event_stream
from api.batches import find as find_batch
from api.channels import Listener, Lost, Progress, newer, of_tenant
from api.event_stream import EventStream, compact, frame
from api.jobs import find as find_job
from api.openapi import TOO_MANY_WAITS, events, header
from api.state import AppState, state_of, tenant_of
from api.views import base_url, batch_view, job_view
from farm.errors import BadInput, NotFound, StoreUnavailable
from farm.job import is_batch
from farm.store import Event
from farm.store.jobs import JobRecord

router = APIRouter(tags=["events"])

_ID = re.compile("[0-9]{1,16}-[0-9]{1,16}")
_WRITTEN = {"pattern": f"^({_ID.pattern})?$"}
_CHECK_SECONDS = 2.0  # between two looks whether the key still opens
_AWAY_SECONDS = 1.0  # between two tries while the store is away
_AFTER = "the id of the latest event that you have: the stream goes on after it"

After = Annotated[str | None, Query(max_length=40, description=_AFTER, json_schema_extra=_WRITTEN)]
Present = Callable[[], Awaitable[dict[str, Any]]]
_DECLARED: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: events("The events, until the client leaves", "state", "status", "progress", "reset"),
        **TOO_MANY_WAITS,
    },
    "openapi_extra": {
        "parameters": [header("Last-Event-ID", f"as `after`: {_AFTER}; browsers send it by themselves", **_WRITTEN)]
    },
}


@router.get("/v1/jobs/{job_id}/events", **_DECLARED)
async def job_events(request: Request, job_id: str, after: After = None) -> Response:
    """What becomes of a job, as server-sent events."""
    state, base = state_of(request), base_url(request, state_of(request).settings.public_url)

    async def present() -> dict[str, Any]:
        job = await find_job(request, job_id)
        return job_view(job, base, (await state.speeds.get()).get(job.model)).model_dump(mode="json")

    await find_job(request, job_id)  # an unknown one is a 404, and no stream that breaks
    return await _stream(request, job_id, after, present)


@router.get("/v1/batches/{batch_id}/events", **_DECLARED)
async def batch_events(request: Request, batch_id: str, after: After = None) -> Response:
    """What becomes of a batch and of its jobs, as server-sent events."""
    state, base = state_of(request), base_url(request, state_of(request).settings.public_url)

    async def present() -> dict[str, Any]:
        batch = await find_batch(request, batch_id)
        return batch_view(batch, base, await state.speeds.get()).model_dump(mode="json")

    await find_batch(request, batch_id)
    return await _stream(request, batch_id, after, present)


@router.get("/v1/events", **_DECLARED)
async def all_events(request: Request, after: After = None) -> Response:
    """What becomes of all your jobs and batches, as server-sent events: one stream for many."""
    base = base_url(request, state_of(request).settings.public_url)

    async def present() -> dict[str, Any]:
        return {"object": "farm", "jobs_url": f"{base}/v1/jobs"}

    return await _stream(request, of_tenant(tenant_of(request)), after, present)


async def _stream(request: Request, channel: str, after: str | None, present: Present) -> Response:
    """Everything that can be refused is refused here, before the answer begins."""
    state, tenant = state_of(request), tenant_of(request)
    of_header = await _known(state, request.headers.get("last-event-id"))
    last = await _known(state, after) or of_header
    listener, begin = state.watch.channels.listen(tenant, channel), None
    try:
        if last is None:
            begin = await _now("state", listener, present)
        else:
            listener.resume(last)
    except BaseException:
        listener.close()
        raise
    return EventStream(_frames(request, listener, begin, present), listener.close)


async def _known(state: AppState, after: str | None) -> str | None:
    """Raises BadInput for an id that no event has had. An empty one is none."""
    if not after:
        return None
    if not _ID.fullmatch(after):
        raise BadInput("is not an id of an event; send the `id` of the latest that you have, or none", pointer="/after")
    _, latest = await state.store.events_kept()
    if newer(after, latest):
        raise BadInput("is an id that no event has had yet; leave it away to begin now", pointer="/after")
    return after


async def _frames(request: Request, listener: Listener, begin: bytes | None, present: Present) -> AsyncGenerator[bytes]:
    if begin is not None:
        yield begin
    quiet = 0.0
    while await _still_opens(request):
        spoke = False
        async for piece in _told(listener, present):
            if piece is None:
                return
            spoke = True
            yield piece
        quiet = 0.0 if spoke else quiet + _CHECK_SECONDS
        if quiet >= event_stream.PING_SECONDS:
            quiet = 0.0
            yield event_stream.PING


async def _told(listener: Listener, present: Present) -> AsyncGenerator[bytes | None]:
    """None: what the stream is about was deleted."""
    try:
        async for one in listener.news(_CHECK_SECONDS):
            if isinstance(one, Event):
                yield frame("status", compact(_status(one)), one.id)
                if one.status == "deleted" and one.owner == listener.name:
                    yield None
            else:
                yield frame("progress", compact(_progress(one)))
    except Lost:
        yield await _reset(listener, present)
    except StoreUnavailable:
        await asyncio.sleep(_AWAY_SECONDS)  # the stream stays, and goes on once the store is back


async def _now(name: str, listener: Listener, present: Present) -> bytes:
    """The state, and no event that came before it."""
    await listener.catch_up()
    return frame(name, compact(await present()), listener.after)


async def _reset(listener: Listener, present: Present) -> bytes | None:
    """Waits for the store: who has lost events must hear of that. None: what the stream is about was deleted."""
    while True:
        try:
            return await _now("reset", listener, present)
        except NotFound:
            return None
        except StoreUnavailable:
            await asyncio.sleep(_AWAY_SECONDS)


def _status(event: Event) -> dict[str, Any]:
    at = datetime.fromtimestamp(int(event.id.partition("-")[0]) / 1000, UTC)
    kind = "batch" if is_batch(event.owner) else "job"
    batch = {"batch_id": event.batch} if event.batch else {}
    return {"object": kind, "id": event.owner, "status": event.status, **batch, "at": at.isoformat()}


def _progress(record: Progress) -> dict[str, Any]:
    if isinstance(record, JobRecord):
        job = job_view(record, "", None)
        return {"object": "job", "id": job.id, "status": job.status, "progress": job.progress.model_dump()}
    batch = batch_view(record, "", {})
    shown = {"progress": batch.progress.model_dump(), "counts": batch.counts}
    return {"object": "batch", "id": batch.id, "status": batch.status, **shown}


async def _still_opens(request: Request) -> bool:
    opens: Callable[[], Awaitable[bool]] = request.scope["still_opens"]
    try:
        return await opens()
    except StoreUnavailable:
        return True
