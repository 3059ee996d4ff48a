"""Accepting a batch: every job of an upload is checked, the orders go to storage in one file, and one call to the store
accepts all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from api.admission import Catalog, with_defaults
from api.batch_documents import Named, Shelf
from api.batch_upload import Upload
from api.markup import MAX_BATCH_MARKS, marks_in
from api.problems import MAX_ERRORS
from api.state import AppState
from farm.errors import BadInput, FieldError, TooLarge
from farm.job import new_id
from farm.layout import batch_cover_key, lines_key
from farm.order import Order, write_lines
from farm.quota import RECORD_BYTES, QuotaExceeded
from farm.spec import BatchSpec, Shared
from farm.store import batches, jobs, quotas
from farm.wire import MAX_BATCH_JOBS


def documents_named(upload: Upload) -> list[Named]:
    """The lines that name a document. A line that can't be read is told when its turn comes."""
    named = []
    for entry in upload.entries():
        with suppress(BadInput):
            if entry.may_name_document and (choice := entry.read().document) is not None:
                named.append(Named(entry.pointer, choice))
    return named


def pack(
    catalog: Catalog, upload: Upload, tenant: str, key: str | None, packed: Path, shelf: Shelf
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


def _orders(upload: Upload, catalog: Catalog, models: set[str], shared: Shared | None, shelf: Shelf) -> Iterator[Order]:
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


async def accept(state: AppState, new: batches.NewBatch, packed: Path, shelf: Shelf) -> str:
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
