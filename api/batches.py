"""Batches: up to 50,000 jobs that are accepted together or not at all.

A batch comes as JSON ({"jobs": [...]}) or as JSON Lines, one job a line. Every line is validated before any is
accepted (api/batch_orders.py); the lines then lie in storage, resolved and under their job ids, and one call accepts
the batch. The desk unfolds it.
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.answers import (
    BATCH_ID,
    AfterBatch,
    AfterJob,
    Wait,
    json_response,
    read_cursor,
)
from api.batch_documents import shelved
from api.batch_orders import accept, documents_named, pack
from api.batch_upload import OPTIONS, receive
from api.body import JSONL_TYPES
from api.idempotency import key_of, reserved
from api.jobs import Wanted, page_of_jobs
from api.lists import Place, find_some, metadata_of
from api.openapi import (
    IDEMPOTENCY_KEY,
    OVER_QUOTA,
    TOO_MANY_WAITS,
    file_field,
    form_content,
    json_body,
    json_query,
)
from api.state import AppState, state_of, tenant_of, trace_of
from api.views import base_url, batch_status, batch_view
from farm import logs
from farm.errors import Conflict, NotFound
from farm.job import Status
from farm.scratch import Scratch
from farm.spec import BatchSpec
from farm.store import batches
from farm.wake import DESK_QUEUE
from farm.wire import Batch, BatchStatus, Job, Page

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/batches", tags=["batches"])

_RESERVE_S = 600  # for validating and storing 200 MB
_RETRY_AFTER = "5"  # seconds
_ID = re.compile(BATCH_ID)
_LINES = file_field("a JobRequest per line, up to 200 MB")


@router.post(
    "",
    status_code=202,
    response_model=Batch,
    responses=OVER_QUOTA,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                **json_body("BatchRequest", {"jobs": [{"input": "One."}, {"input": "Two.", "custom_id": "two"}]})[
                    "content"
                ],
                "application/jsonl": {"schema": _LINES},
                "multipart/form-data": form_content(
                    {"file": _LINES},
                    OPTIONS,
                    {"file": JSONL_TYPES},
                    closed=True,
                ),
            },
        },
        "parameters": [
            IDEMPOTENCY_KEY,
            *(
                json_query(name, "beside lines, as JSON; what a form or a JSON body has counts before it", schema)
                for name, schema in OPTIONS.items()
            ),
        ],
    },
)
async def submit(request: Request) -> Response:
    """Accepts a batch whole, or refuses it whole and names what is wrong by job and field. `defaults` fill in what a
    job does not say; the batch's `webhook` hears of `batch.completed`, and its jobs may have theirs."""
    state, tenant = state_of(request), tenant_of(request)
    state.check_room()
    key = key_of(request)
    catalog = await state.catalog(tenant)
    with Scratch("batch") as scratch:
        upload = await receive(request, state, scratch.path)
        async with reserved(state, tenant, key, upload.digest, _RESERVE_S) as claimed:
            batch_id = claimed.earlier
            if batch_id is None:
                packed = scratch.path / "orders"
                named = await state.blocking(documents_named, upload)
                shelf = await shelved(state, tenant, named, scratch.path)
                new = await state.blocking(pack, catalog, upload, tenant, key, packed, shelf)
                new = replace(new, trace=trace_of(request))
                with state.tracing.step("accept", batch_id=new.id, jobs=new.total):
                    batch_id = await accept(state, new, packed, shelf)
    logs.note(**logs.ids_of(batch_id))
    log.info("batch %s is accepted%s", batch_id, " already" if claimed.earlier else "")
    state.waker.wake(DESK_QUEUE)
    headers = {"Idempotent-Replayed": "true"} if claimed.earlier else {}
    return await _answer(request, state, await find(request, batch_id), 202, headers)


@router.get("", response_model=Page[Batch])
async def list_batches(
    request: Request,
    status: Annotated[BatchStatus | None, Query()] = None,
    model: Annotated[str | None, Query(max_length=64, description="that one of its jobs asks for")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: AfterBatch = None,
) -> Response:
    """Newest first, without deleted ones. `metadata[key]=value` filters by metadata. A page of a filtered list may be
    short, or even empty, and have more behind it."""
    state, tenant, metadata = state_of(request), tenant_of(request), metadata_of(request)

    async def read(place: Place | None, count: int) -> list[batches.BatchRecord]:
        return await state.store.run(batches.page(tenant, after=place, limit=count))

    def holds(batch: batches.BatchRecord) -> bool:
        if status not in (None, batch_status(batch)):
            return False
        spec = BatchSpec.model_validate_json(batch.spec)
        return (model is None or model in spec.models) and metadata.items() <= spec.metadata.items()

    found = await find_some(
        read,
        lambda batch, _: (batch.created_ms, batch.id),
        holds=holds if status or model or metadata else None,
        limit=limit,
        after=read_cursor(after, BATCH_ID) if after else None,
    )
    base, speeds = base_url(request, state.settings.public_url), await state.speeds.get()
    shown = [batch_view(batch, base, speeds) for batch in found.records]
    return json_response(Page[Batch](data=shown, has_more=found.more, next_cursor=found.next_cursor))


@router.get("/{batch_id}", response_model=Batch, responses=TOO_MANY_WAITS)
async def show(request: Request, batch_id: str, wait: Wait = 0.0) -> Response:
    """Counts by status, progress over all its jobs, and an estimate of when it ends."""
    state = state_of(request)
    batch = await state.watch.until(
        request, batch_id, lambda: find(request, batch_id), lambda batch: batch.ended_ms is not None, wait
    )
    return await _answer(request, state, batch)


@router.get("/{batch_id}/jobs", name="jobs", response_model=Page[Job])
async def jobs_of_batch(
    request: Request,
    batch_id: str,
    status: Annotated[Status | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: AfterJob = None,
) -> Response:
    """Its jobs in their order, as far as the desk has unfolded it."""
    batch = await find(request, batch_id)
    return await page_of_jobs(request, batch=batch.id, wanted=Wanted(status), limit=limit, after=after)


@router.post("/{batch_id}/cancel", status_code=202, response_model=Batch)
async def cancel(request: Request, batch_id: str) -> Response:
    """Cancels every job of it that has not ended; lines that are no jobs yet never become any and count as canceled.
    409 when all have ended."""
    state = state_of(request)
    canceled = await state.store.run(batches.cancel(known(batch_id), tenant_of(request)))
    if canceled is None:
        raise unknown(batch_id)
    if not canceled:
        raise Conflict(f"batch {batch_id} has ended already; there is nothing to cancel", code="already_ended")
    state.waker.wake(DESK_QUEUE)
    return await _answer(request, state, await find(request, batch_id), 202)


@router.delete("/{batch_id}", status_code=202, response_class=Response)
async def delete(request: Request, batch_id: str) -> Response:
    """The batch, and its jobs with everything that was made for them; open jobs are canceled. The batch is gone at
    once: its URL answers 404. Its jobs go one after another, some seconds for each thousand."""
    state = state_of(request)
    if not await state.store.run(batches.drop(known(batch_id), tenant_of(request))):
        raise unknown(batch_id)
    state.waker.wake(DESK_QUEUE)
    return Response(status_code=202)


async def find(request: Request, batch_id: str) -> batches.BatchRecord:
    """The tenant's batch. Raises NotFound, for another tenant's too."""
    batch = await state_of(request).store.run(batches.record(known(batch_id), tenant_of(request)))
    if batch is None:
        raise unknown(batch_id)
    return batch


def known(batch_id: str) -> str:
    if not _ID.fullmatch(batch_id):
        raise unknown(batch_id)
    return batch_id


def unknown(batch_id: str) -> NotFound:
    return NotFound(f"there is no batch {batch_id[:80]!r}; it may be past its retention")


async def _answer(
    request: Request,
    state: AppState,
    batch: batches.BatchRecord,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    shown = batch_view(batch, base_url(request, state.settings.public_url), await state.speeds.get())
    headers = headers or {}
    if status == 202:
        headers["Location"] = shown.status_url
    if shown.ended_at is None:
        headers["Retry-After"] = _RETRY_AFTER
    return json_response(shown, status, headers)
