"""Batches: up to 50,000 jobs that are accepted together or not at all.

A batch comes as JSON ({"jobs": [...]}) or as JSON Lines, one job a line. Every line is validated before any is
accepted; the lines then lie in storage, resolved and under their job ids, and one call accepts the batch. The desk
unfolds it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile

from api.admission import Catalog, with_defaults
from api.answers import (
    BATCH_ID,
    AfterBatch,
    AfterJob,
    Wait,
    form_of,
    json_response,
    read_cursor,
    require_json,
    require_plain,
)
from api.batch_documents import Named, Shelf, shelved
from api.body import JSONL_TYPES
from api.idempotency import key_of, reserved
from api.jobs import Wanted, page_of_jobs
from api.json_width import check_width
from api.lists import Place, find_some, metadata_of
from api.markup import MAX_BATCH_MARKS, marks_in
from api.openapi import (
    IDEMPOTENCY_KEY,
    OVER_QUOTA,
    TOO_MANY_WAITS,
    file_field,
    form_content,
    json_body,
    json_query,
    ref,
)
from api.problems import MAX_ERRORS, invalid, parse, without_bom
from api.state import AppState, state_of, tenant_of, trace_of
from api.views import base_url, batch_status, batch_view
from farm import logs
from farm.errors import BadInput, Conflict, FieldError, NotFound, TooLarge
from farm.job import Status, new_id
from farm.layout import batch_cover_key, lines_key
from farm.quota import RECORD_BYTES, QuotaExceeded
from farm.scratch import Scratch
from farm.spec import BatchSpec, Order, Shared, write_lines
from farm.store import batches, jobs, quotas
from farm.wake import DESK_QUEUE
from farm.wire import MAX_BATCH_JOBS, MAX_JSON_BYTES, Batch, BatchRequest, BatchStatus, Job, JobRequest, Metadata, Page

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/batches", tags=["batches"])

_RESERVE_S = 600  # for validating and storing 200 MB
_CHUNK = 1_000_000  # bytes that are collected before they go to the file
_RETRY_AFTER = "5"  # seconds
_ID = re.compile(BATCH_ID)
_DOCUMENT = re.compile(rb'"document"|\\u00[67]')  # JSON may write its letters as escapes
_LINES = file_field("a JobRequest per line, up to 200 MB")
_OPTIONS = {
    "defaults": ref("JobOptions"),
    "webhook": ref("BatchWebhook"),
    "metadata": TypeAdapter(Metadata).json_schema(),
}  # name -> schema; what a batch says beside its jobs


@dataclass(frozen=True, slots=True)
class _Entry:
    """One job of an upload: its `name` for people ("line 3") and its `pointer` for programs."""

    name: str
    pointer: str
    read: Callable[[], JobRequest]
    may_name_document: bool


@dataclass(frozen=True, slots=True)
class _Upload:
    entries: Callable[[], Iterator[_Entry]]
    envelope: BatchRequest  # defaults, webhook and metadata; its jobs are read through `entries`
    digest: str


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
                    _OPTIONS,
                    {"file": JSONL_TYPES},
                    closed=True,
                ),
            },
        },
        "parameters": [
            IDEMPOTENCY_KEY,
            *(
                json_query(name, "beside lines, as JSON; what a form or a JSON body has counts before it", schema)
                for name, schema in _OPTIONS.items()
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
        upload = await _receive(request, state, scratch.path)
        async with reserved(state, tenant, key, upload.digest, _RESERVE_S) as claimed:
            batch_id = claimed.earlier
            if batch_id is None:
                packed = scratch.path / "orders"
                named = await state.blocking(_documents_named, upload)
                shelf = await shelved(state, tenant, named, scratch.path)
                new = await state.blocking(_pack, catalog, upload, tenant, key, packed, shelf)
                new = replace(new, trace=trace_of(request))
                with state.tracing.step("accept", batch_id=new.id, jobs=new.total):
                    batch_id = await _accept(state, new, packed, shelf)
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


# --- receiving --------------------------------------------------------------------------------------------------------


async def _receive(request: Request, state: AppState, folder: Path) -> _Upload:
    require_plain(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    query = dict(request.query_params)
    if kind in JSONL_TYPES:
        digest = await _save(request.stream(), state, folder / "lines")
        return _upload_of_lines(folder / "lines", query, digest)
    query = {name: value for name, value in query.items() if name in _OPTIONS}
    beside, said = _options(query)
    if kind == "multipart/form-data":
        async with form_of(request) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise BadInput("the form needs a file with one job per line", pointer="/file")
            options = query | {name: value for name, value in form.items() if isinstance(value, str)}
            digest = await _save(_chunks(file), state, folder / "lines")
        return _upload_of_lines(folder / "lines", options, digest)
    require_json(request)
    body = await request.body()
    batch = await state.blocking(parse, BatchRequest, body)
    digest = hashlib.sha256(b"batch\n" + body).hexdigest()
    if query:
        batch = beside.model_copy(update={name: getattr(batch, name) for name in batch.model_fields_set})
        digest = hashlib.sha256(f"{digest}\n{said}".encode()).hexdigest()
    return _Upload(lambda: _objects(batch), batch, digest)


async def _save(chunks: AsyncIterator[bytes], state: AppState, path: Path) -> str:
    """Saves the upload to a file, in few large writes off the event loop. Returns the content's digest."""
    digest = hashlib.sha256(b"lines\n")
    gathered = bytearray()

    def write(data: bytes) -> None:
        digest.update(data)
        with path.open("ab") as file:
            file.write(data)

    async for chunk in chunks:
        gathered += chunk
        if len(gathered) >= _CHUNK:
            await state.blocking(write, bytes(gathered))
            gathered.clear()
    await state.blocking(write, bytes(gathered))
    return digest.hexdigest()


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(_CHUNK):
        yield chunk


def _upload_of_lines(path: Path, options: dict[str, str], digest: str) -> _Upload:
    checked, said = _options(options)
    return _Upload(lambda: _lines(path), checked, hashlib.sha256(f"{digest}\n{said}".encode()).hexdigest())


def _options(options: dict[str, str]) -> tuple[BatchRequest, str]:
    """The options of an upload, each of which travels beside the jobs as JSON; and all of them in one text."""
    envelope: dict[str, Any] = {}
    for name, value in options.items():
        check_width(value.encode(errors="replace"))
        try:
            envelope[name] = json.loads(value.removeprefix("\ufeff"))
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{name} is not valid JSON: {error}", pointer=f"/{name}", code="malformed_json") from None
    try:
        checked = BatchRequest.model_validate({**envelope, "jobs": [{}]})
    except ValidationError as error:
        raise invalid(error) from None
    return checked, json.dumps(envelope, sort_keys=True)


def _objects(batch: BatchRequest) -> Iterator[_Entry]:
    for index, job in enumerate(batch.jobs):

        def read(job: dict[str, Any] = job) -> JobRequest:
            try:
                return JobRequest.model_validate(job)
            except ValidationError as error:
                raise invalid(error) from None

        yield _Entry(f"job {index + 1}", f"/jobs/{index}", read, "document" in job)


def _lines(path: Path) -> Iterator[_Entry]:
    """Every line that is not blank, numbered as an editor numbers it."""
    with path.open("rb") as file:
        for number in count(1):
            line = file.readline(MAX_JSON_BYTES + 1)
            if not line:
                return
            if number == 1:
                line = without_bom(line)
            if len(line) > MAX_JSON_BYTES:
                raise TooLarge(f"line {number} is longer than {MAX_JSON_BYTES:,} bytes", pointer=f"/jobs/{number - 1}")
            if line.strip():
                named = _DOCUMENT.search(line) is not None
                yield _Entry(f"line {number}", f"/jobs/{number - 1}", partial(parse, JobRequest, line), named)


# --- accepting --------------------------------------------------------------------------------------------------------


def _documents_named(upload: _Upload) -> list[Named]:
    """The lines that name a document. A line that can't be read is told when its turn comes."""
    named = []
    for entry in upload.entries():
        with suppress(BadInput):
            if entry.may_name_document and (choice := entry.read().document) is not None:
                named.append(Named(entry.pointer, choice))
    return named


async def _accept(state: AppState, new: batches.NewBatch, packed: Path, shelf: Shelf) -> str:
    """Writes the lines and covers to storage, unless there is no room for them, then accepts the batch."""
    written = new.written
    room = quotas.room(
        new.tenant,
        characters=written.characters,
        bytes=written.packed + written.texts + written.lines,
        records=written.lines + written.count * RECORD_BYTES,
    )
    await state.store.run(room)
    await state.store.run(jobs.draft(new.id))
    files = {lines_key(new.id): (packed, "application/gzip")}
    for document, cover in shelf.covers.items():
        files[batch_cover_key(new.id, document)] = cover, "application/octet-stream"
    for object_key, (file, kind) in files.items():
        await state.blocking(state.storage.put_file, object_key, file, kind)
    try:
        accepted = await state.store.run(batches.accept(new))
    except QuotaExceeded:  # others were faster; else the desk would delete them later
        await state.blocking(state.storage.delete, *files)
        raise
    state.standings.note(new.tenant, accepted.standing)
    return accepted.id


def _pack(
    catalog: Catalog, upload: _Upload, tenant: str, key: str | None, packed: Path, shelf: Shelf
) -> batches.NewBatch:
    """Validates every job and writes the orders to a file. Raises BadInput that names the faults of the first wrong
    jobs."""
    models: set[str] = set()
    shared = Shared.of(upload.envelope.defaults)
    if upload.envelope.webhook is not None:
        catalog.check_batch_webhook(upload.envelope.webhook)
    with packed.open("wb") as file:
        written = write_lines(_orders(upload, catalog, models, shared, shelf), file, shared)
    covers = sum(cover.stat().st_size for cover in shelf.covers.values())
    written = replace(written, packed=written.packed + covers)
    spec = BatchSpec(models=sorted(models), metadata=upload.envelope.metadata, webhook=upload.envelope.webhook)
    return batches.NewBatch(
        id=new_id("batch"),
        tenant=tenant,
        total=written.count,
        written=written,
        spec=spec.to_json(),
        retention_s=catalog.retention_s,
        webhook=spec.webhook is not None,
        shared=None if shared is None else shared.to_json(),
        idempotency_key=key,
        request_digest=upload.digest if key is not None else "",
        drafted=True,
    )


def _orders(
    upload: _Upload, catalog: Catalog, models: set[str], shared: Shared | None, shelf: Shelf
) -> Iterator[Order]:
    """The orders one by one, because 200 MB of them must not lie in memory. A refusal comes once all were read.
    `models` and `shared` are filled by the way."""
    faults: list[FieldError] = []
    wrong = 0
    named: dict[str, str] = {}
    number = marks = 0
    for number, entry in enumerate(upload.entries(), start=1):
        if number > MAX_BATCH_JOBS:
            raise TooLarge(f"a batch has at most {MAX_BATCH_JOBS:,} jobs; send the rest as another", pointer="/jobs")
        if marks > MAX_BATCH_MARKS:
            why = f"the markup of a batch has at most {MAX_BATCH_MARKS:,} marks; send the rest as another"
            raise TooLarge(why, pointer=entry.pointer)
        try:
            own = entry.read()
            request = with_defaults(own, upload.envelope.defaults)
            if request.custom_id is not None:
                twin = named.setdefault(request.custom_id, entry.name)
                if twin != entry.name:
                    raise BadInput(f"{request.custom_id!r} is the custom_id of {twin} already", pointer="/custom_id")
            request, book, language = shelf.opened(entry.pointer, request)
            marks += marks_in(request)
            order = replace(catalog.admit(catalog.in_language(request, language)), book=book)
        except BadInput as fault:
            wrong += 1
            faults += [
                FieldError(entry.pointer + field.pointer, f"{entry.name}: {field.message}", field.position)
                for field in fault.fields
            ]
            if len(faults) >= MAX_ERRORS:
                break
        else:
            models.add(order.model)
            if shared is not None:
                shared.learn(order.spec, own.model_fields_set)
            if not faults:
                yield order
    if faults:
        more = f" ({wrong} of the first {number} jobs are wrong; errors names them)" if wrong > 1 else ""
        raise BadInput(f"nothing was accepted: {faults[0].message}{more}", fields=faults[:MAX_ERRORS])
    if number == 0:
        raise BadInput("the upload has no lines; send one job per line", pointer="/jobs")
