"""All results of a job, or of a batch, as one ZIP archive that is made while it is sent.

A folder for each job holds its audio, manifest and subtitles, and the files of its chapters where it has such. Sizes
are read first, so that Content-Length is true and what is missing is told before the first byte. A piece is read when
the client has taken the one before, and no object stays open, so a client that stalls keeps nothing from others. An
object that can't be read cuts the connection: an archive that ends is whole.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from api import batches as batch_routes
from api import jobs as job_routes
from api.head import is_head
from api.manifest_head import manifest_head
from api.openapi import binary, problem
from api.problems import Gone
from api.results import rendered_of
from api.state import AppState, state_of, tenant_of
from api.views import counts_of, moment
from api.zip_stream import Entry, zip_length, zip_stream
from farm.errors import Conflict, ObjectMissing
from farm.file_names import number_in_name, portable_name
from farm.job import Status
from farm.layout import chapter_key, result_prefix
from farm.outcome import Rendered
from farm.spec import Spec
from farm.storage import Storage
from farm.store import batches, jobs

router = APIRouter(prefix="/v1", tags=["results"])

_PIECE = 1 << 18  # bytes of an object that are read at once; a client that stalls holds two or three
_PAGE = 100  # jobs that are read from the store at once
_LISTERS = 16  # folders of results that are looked at together
_NAME_BYTES = 100
_ZIP: dict[int | str, dict[str, Any]] = {
    200: {"description": "The archive", "content": binary("application/zip")},
    409: problem("A result is not there yet, or there will be none"),
    410: problem("Its retention is over"),
}


@dataclass(frozen=True, slots=True)
class _Result:
    """A job that has succeeded, and how its files are named."""

    job: jobs.JobRecord
    rendered: Rendered
    name: str  # custom_id, else metadata.title, else the job's id
    folder: str


@router.get("/jobs/{job_id}/archive.zip", response_class=Response, responses=_ZIP)
async def job_archive(request: Request, job_id: str) -> Response:
    """All its results as one ZIP archive: audio, manifest and subtitles, in a folder. 409 until it has succeeded."""
    job = await job_routes.find(request, job_id)
    found, lost = await state_of(request).blocking(_looked_up, state_of(request).storage, [_named(job)])
    if lost:
        raise Gone(f"the result of job {job_id} is no longer in storage; retry or submit the job anew")
    return _answer(request, job_id, found)


@router.get("/batches/{batch_id}/archive.zip", response_class=Response, responses=_ZIP)
async def batch_archive(
    request: Request,
    batch_id: str,
    partial: Annotated[bool, Query(description="leave out jobs that have no result; missing.json names them")] = False,
) -> Response:
    """The results of all its jobs as one ZIP archive, a folder for each job, in the order of the batch. 409 while a job
    of it has none, unless `partial` is true."""
    state = state_of(request)
    batch = await batch_routes.find(request, batch_id)
    if batch.ended_ms is None and not partial:
        raise Conflict(
            f"batch {batch_id} has not ended ({_counted(batch)}); wait for its end with ?wait= on its status URL, or "
            "take what is there with ?partial=true",
            code="not_ended",
        )
    results, missing = await _results(state, tenant_of(request), batch)
    without_record = batch.total - len(results) - len(missing)  # deleted, canceled as lines, or not unfolded yet
    found, lost = await state.blocking(_looked_up, state.storage, results)
    missing += [_missed(each.job, "its result is no longer in storage; submit it anew") for each in lost]
    if not found:
        raise _without_results(batch, missing)
    if without_record or missing:
        if not partial:
            raise Conflict(
                f"{without_record + len(missing):,} of the {batch.total:,} jobs of batch {batch_id} have no result "
                f"({_counted(batch)}); retry them, or take the others with ?partial=true",
                code="incomplete",
            )
        said = {"batch": batch.id, "total": batch.total, "without_record": without_record, "jobs": missing}
        content = json.dumps(said, ensure_ascii=False, indent=1).encode()
        found.append(Entry("missing.json", len(content), moment(batch.ended_ms or batch.created_ms), content))
    return _answer(request, batch_id, found)


def _answer(request: Request, id: str, entries: list[Entry]) -> Response:
    headers = {
        "Content-Length": str(zip_length(entries)),
        "Content-Disposition": f'attachment; filename="{id}.zip"',
        "Accept-Ranges": "none",
        "Cache-Control": "no-store",
    }
    if is_head(request):
        return Response(None, 200, headers, "application/zip")
    storage = state_of(request).storage
    return StreamingResponse(
        zip_stream(entries, lambda key: pieces(storage, key)), 200, headers, media_type="application/zip"
    )


def pieces(storage: Storage, key: str) -> Iterator[bytes]:
    """An object, piece by piece and not from a stream: while a client stalls, a bucket would cut the stream, and its
    connection would be missing to others."""
    for place in count(0, _PIECE):
        piece = storage.get(key, place, _PIECE)
        yield piece
        if len(piece) < _PIECE:  # the object ends
            return


async def _results(
    state: AppState, tenant: str, batch: batches.BatchRecord
) -> tuple[list[_Result], list[dict[str, Any]]]:
    """The jobs of a batch with a result, in their order; and the others, as missing.json tells of them."""
    results: list[_Result] = []
    missing: list[dict[str, Any]] = []
    place: tuple[int, str] | None = None
    while page := await state.store.run(jobs.page(tenant, batch=batch.id, after=place, limit=_PAGE)):
        for line, job in enumerate(page, place[0] + 1 if place else 1):
            try:
                results.append(_named(job, number_in_name(line, batch.total)))
            except (Conflict, Gone) as reason:
                missing.append(_missed(job, reason.message))
        place = (line, page[-1].id)
        await asyncio.sleep(0)  # others have their turn
    return results, missing


def _named(job: jobs.JobRecord, number: str = "") -> _Result:
    """Raises Conflict or Gone with the reason where there is no result."""
    rendered = rendered_of(job)
    spec = Spec.model_validate_json(job.spec)
    title = next((value for key, value in spec.metadata.items() if key.lower() == "title"), "")
    names = (portable_name(text or "", _NAME_BYTES) for text in (spec.custom_id, title))
    name = next(filter(None, names), "")
    return _Result(job, rendered, name or job.id, number + (f"{name}-{job.id}" if name else job.id))


def _missed(job: jobs.JobRecord, why: str) -> dict[str, Any]:
    return {
        "id": job.id, "custom_id": Spec.model_validate_json(job.spec).custom_id, "status": job.status, "reason": why
    }  # fmt: skip


def _looked_up(storage: Storage, results: list[_Result]) -> tuple[list[Entry], list[_Result]]:
    """The files of all that are there; and the results that storage has lost."""
    found: list[Entry] = []
    lost: list[_Result] = []
    with ThreadPoolExecutor(max(1, min(_LISTERS, len(results)))) as pool:
        for result, entries in zip(results, pool.map(lambda each: _entries(storage, each), results), strict=True):
            if entries is None:
                lost.append(result)
            else:
                found += entries
    return found, lost


def _entries(storage: Storage, result: _Result) -> list[Entry] | None:
    """The files of one job. None where one of them is no longer there."""
    rendered = result.rendered
    suffix = PurePosixPath(rendered.audio_key).suffix
    files = {f"{result.name}{suffix}": rendered.audio_key, "manifest.json": rendered.manifest_key}
    files |= {
        f"{result.name}{'.subtitles' if kind == 'json' else ''}.{kind}": key for kind, key in rendered.subtitles.items()
    }  # a job may be called "manifest"
    files |= {f"{result.name}.{kind}": key for kind, key in rendered.also.items()}
    try:
        files |= _chapters(storage, rendered)
    except ObjectMissing:
        return None
    sizes = {held.key: held.size for held in storage.list(result_prefix(result.job.id))}
    if not sizes.keys() >= set(files.values()):
        return None
    ended = moment(result.job.ended_ms or result.job.created_ms)
    return [Entry(f"{result.folder}/{name}", sizes[key], ended, key) for name, key in files.items()]


def _chapters(storage: Storage, rendered: Rendered) -> dict[str, str]:
    """The files of single chapters, by their names. Raises ObjectMissing where the manifest is gone."""
    if not rendered.chapters:
        return {}
    files: dict[str, str] = {}
    for number, row in enumerate(manifest_head(storage, rendered.manifest_key)["chapters"]):
        if "file" in row:
            name = PurePosixPath("chapters") / row["file"]["name"]
            files[str(name)] = chapter_key(rendered.audio_key, number)
            for kind, key in rendered.subtitles.items():
                files[str(name.with_suffix(f".{kind}"))] = chapter_key(key, number)
    return files


def _without_results(batch: batches.BatchRecord, missing: Iterable[dict[str, Any]]) -> Conflict | Gone:
    statuses = {each["status"] for each in missing}
    if statuses == {Status.EXPIRED}:
        return Gone(f"the jobs of batch {batch.id} have expired; submit it again")
    return Conflict(
        f"no job of batch {batch.id} has a result ({_counted(batch)}); retry them, or wait for the end of the others",
        code="no_result",
    )


def _counted(batch: batches.BatchRecord) -> str:
    """Like "2 succeeded, 1 running, 4 queued"."""
    return ", ".join(f"{count:,} {status}" for status, count in counts_of(batch).items())
