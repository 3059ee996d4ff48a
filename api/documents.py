"""Documents: an upload is stored, the desk reads it, and its chapters are shown; then jobs narrate it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from pathlib import PurePosixPath

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData, UploadFile

from api.answers import form_of, json_response
from api.openapi import OVER_QUOTA, binary, file_field, form_body, text_field
from api.state import AppState, state_of, tenant_of
from api.views import base_url, moment
from farm.documents.charset import is_charset
from farm.errors import BadInput, Conflict, NotFound, ObjectMissing, TooLarge
from farm.layout import document_key, document_prefix
from farm.store import documents
from farm.stored import StoredDocument
from farm.wake import DESK_QUEUE
from farm.wire import MAX_DOCUMENT_BYTES, Document, DocumentCover, JobError

router = APIRouter(prefix="/v1/documents", tags=["documents"])

_ID = re.compile(r"doc_[0-9a-z]{26}")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_UPLOAD_MS = 10 * 60 * 1000  # for which an upload may take to storage
_LONGEST_S = 60.0  # that an upload waits for its chapters
_FIRST_LOOK_S, _LAST_LOOK_S = 0.05, 0.5
_ENCODING = re.compile(r"[A-Za-z0-9_.:-]{1,40}")

_KINDS = ("application/epub+zip", "text/html", "text/markdown", "text/plain")  # and others: docs/documents.md
_FORM = form_body(
    {"file": file_field("EPUB, DOCX, PDF, Markdown, HTML, FB2 or plain text; at most 50 MB")},
    {"encoding": text_field("of a text, HTML or Markdown file, like gb18030; found when absent")},
    {"file": _KINDS},
)


@router.post(
    "",
    status_code=201,
    response_model=Document,
    responses={202: {"model": Document, "description": "It is still being read; GET it later"}, **OVER_QUOTA},
    openapi_extra=_FORM,
)
async def add(request: Request) -> Response:
    """Stores a document and shows its chapters. The same file again is the same document, which then expires later.
    A document that can't be read is refused by its fault, and nothing of it is kept."""
    state, tenant = state_of(request), tenant_of(request)
    state.check_room()
    async with form_of(request) as form:
        id = await _keep(state, tenant, form)
    state.waker.wake(DESK_QUEUE)
    record = await _until_read(state, tenant, id)
    if record.status == "refused":
        await remove(state, tenant, id)
        raise BadInput(record.message, code=record.code, pointer="/file")
    shown = await _shown(request, id, record)
    ready = record.status == "ready"
    headers = {"Location": shown.document_url} | ({} if ready else {"Retry-After": "2"})
    return json_response(shown, 201 if ready else 202, headers)


@router.get("/{document_id}", response_model=Document)
async def show(request: Request, document_id: str) -> Response:
    """Its metadata and its chapters. `status` is `reading` until the desk has read it."""
    record = await find(state_of(request), tenant_of(request), document_id)
    return json_response(await _shown(request, document_id, record))


@router.get(
    "/{document_id}/cover",
    responses={200: {"description": "The picture", "content": binary("image/jpeg", "image/png")}},
    response_class=Response,
)
async def show_cover(request: Request, document_id: str) -> Response:
    """As the document has it."""
    state, tenant = state_of(request), tenant_of(request)
    record = await find(state, tenant, document_id)
    if not record.cover_bytes:
        raise NotFound(f"document {document_id} has no cover")
    try:
        picture = await state.blocking(state.storage.get, document_key(tenant, document_id, "cover"))
    except ObjectMissing:
        raise NotFound(f"the cover of document {document_id} is no longer in storage") from None
    name = f"{document_id}.{record.cover_type.rpartition('/')[2]}"
    return Response(picture, 200, {"Content-Disposition": f'attachment; filename="{name}"'}, record.cover_type)


@router.delete("/{document_id}", status_code=204)
async def delete(request: Request, document_id: str) -> Response:
    """The document and all that was read of it. Jobs that were accepted before keep their text."""
    state, tenant = state_of(request), tenant_of(request)
    await find(state, tenant, document_id)
    await remove(state, tenant, document_id)
    return Response(status_code=204)


# --- shared with jobs -------------------------------------------------------------------------------------------------


async def find(state: AppState, tenant: str, id: str) -> StoredDocument:
    """Raises NotFound, for another tenant's too."""
    said = await state.store.run(documents.record(tenant, id)) if _ID.fullmatch(id) else None
    if said is None:
        raise NotFound(f"there is no document {id[:80]!r}; it may have been deleted, or be past its retention")
    return StoredDocument.model_validate_json(said)


async def remove(state: AppState, tenant: str, id: str) -> None:
    await state.store.run(documents.drop(tenant, id))
    keys = await state.blocking(lambda: [part.key for part in state.storage.list(document_prefix(tenant, id))])
    await state.blocking(state.storage.delete, *keys)


# --- an upload --------------------------------------------------------------------------------------------------------


async def _keep(state: AppState, tenant: str, form: FormData) -> str:
    """Puts the file of a form into storage, for the desk to read. Raises BadInput, TooLarge, Conflict or
    QuotaExceeded."""
    file, encoding = _fields(form)
    name = (PurePosixPath((file.filename or "").replace("\\", "/")).name or "document")[:200]
    data = await file.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise TooLarge(f"{name} has more than {MAX_DOCUMENT_BYTES:,} bytes; split it", pointer="/file")
    id = await state.blocking(_digest, data, name, encoding)
    now_ms = round(time.time() * 1000)
    kept_ms = round(state.settings.retention_days * 86_400_000)
    said = await state.store.run(documents.record(tenant, id))
    if said is not None:
        old = StoredDocument.model_validate_json(said)
        if old.status == "ready":
            later = old.model_copy(update={"filename": name, "expires_ms": now_ms + kept_ms})
            note = documents.note(tenant, id, later.to_json(), bytes=old.stored, due_ms=kept_ms)
            if await state.store.run(note):
                return id
        elif old.status == "reading":
            return id
    record = StoredDocument(
        filename=name, encoding=encoding, bytes=len(data), stored=len(data), created_ms=now_ms,
        expires_ms=now_ms + kept_ms,
    )  # fmt: skip
    put = documents.put(tenant, id, record.to_json(), bytes=len(data), due_ms=_UPLOAD_MS)
    if not await state.store.run(put):
        raise Conflict("you have as many documents as a tenant can have; delete some first", code="too_many_documents")
    await state.blocking(state.storage.put, document_key(tenant, id, "source"), data)
    reading = record.model_copy(update={"status": "reading"})
    if not await state.store.run(documents.note(tenant, id, reading.to_json(), bytes=len(data), due_ms=0)):
        await remove(state, tenant, id)
        raise NotFound("the document was deleted while it was uploaded")
    return id


def _fields(form: FormData) -> tuple[UploadFile, str | None]:
    file, encoding = form.get("file"), form.get("encoding")
    if not isinstance(file, UploadFile):
        raise BadInput("is required: an EPUB, DOCX, PDF, Markdown, HTML, FB2 or text file", pointer="/file")
    if encoding is None or encoding == "":
        return file, None
    if not isinstance(encoding, str) or not _ENCODING.fullmatch(encoding) or not is_charset(encoding):
        raise BadInput("is no encoding that is known; like utf-8, windows-1252, gb18030", pointer="/encoding")
    return file, encoding


def _digest(data: bytes, name: str, encoding: str | None) -> str:
    """What decides how the document is read. The suffix does where the content does not show the kind."""
    said = json.dumps([PurePosixPath(name).suffix.lower(), (encoding or "").lower()]).encode()
    bits = int.from_bytes(hashlib.sha256(said + b"\n" + data).digest()[:17])
    return "doc_" + "".join(_ALPHABET[bits >> shift & 31] for shift in range(0, 130, 5))


async def _until_read(state: AppState, tenant: str, id: str) -> StoredDocument:
    """The record once the desk has read it, or as it is after _LONGEST_S."""
    end, pause = time.monotonic() + _LONGEST_S, _FIRST_LOOK_S
    while True:
        record = await find(state, tenant, id)
        if record.status in ("ready", "refused") or time.monotonic() > end:
            return record
        await asyncio.sleep(pause)
        pause = min(_LAST_LOOK_S, pause * 1.5)


async def _shown(request: Request, id: str, record: StoredDocument) -> Document:
    state, tenant = state_of(request), tenant_of(request)
    url = f"{base_url(request, state.settings.public_url)}/v1/documents/{id}"
    said = {}
    if record.status == "ready":
        try:
            said = json.loads(await state.blocking(state.storage.get, document_key(tenant, id, "view.json")))
        except ObjectMissing:
            raise NotFound(f"document {id} is no longer in storage; upload it again") from None
    return Document(
        id=id,
        status="reading" if record.status == "uploading" else record.status,
        filename=record.filename,
        bytes=record.bytes,
        cover=DocumentCover(media_type=record.cover_type, bytes=record.cover_bytes, url=f"{url}/cover")
        if record.cover_bytes
        else None,
        error=JobError(code=record.code, message=record.message) if record.status == "refused" else None,
        document_url=url,
        created_at=moment(record.created_ms),
        expires_at=moment(record.expires_ms),
        **said,
    )
