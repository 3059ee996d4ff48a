"""The results of a job: audio, manifest and subtitles; and its segments, also while they are rendered.

Bytes come from storage: by a redirect to a presigned URL, or as the file itself, with Range, where storage is a folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.answers import json_response
from api.jobs import explained
from api.manifest import Manifest, Segment, SubtitleTimes
from api.manifest_rows import manifest_rows
from api.openapi import ANY_JSON, binary, file_answers, problem, textual
from api.problems import Gone
from api.revisions import Revision, at_revision
from api.state import AppState, state_of
from api.stored_object import stored_object
from api.views import base_url
from farm.audio_formats import ALSO_FORMATS, AUDIO_FORMATS, MEDIA_TYPE_OF_SUFFIX, SUBTITLE_FORMATS
from farm.errors import BadInput, Conflict, NotFound, ObjectMissing
from farm.job import ENDED, Status
from farm.layout import clip_key
from farm.outcome import Rendered, read_outcome
from farm.plan_reader import PlanReader
from farm.segment import Segment as PlannedSegment
from farm.segment import of_its_own
from farm.store import jobs
from farm.wire import JobError, Page

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["results"])

_AUDIO = file_answers(binary(*(each.media_type for each in AUDIO_FORMATS.values())))
_CLIP = file_answers(binary("audio/flac"))
_TIMES: dict[int | str, dict[str, Any]] = file_answers(ANY_JSON) | {
    200: {"description": "The file", "model": SubtitleTimes}
}
_MANIFEST: dict[int | str, dict[str, Any]] = file_answers(ANY_JSON) | {
    200: {"description": "The file", "model": Manifest}
}
_VTT, _SRT, _LRC = (file_answers(textual(SUBTITLE_FORMATS[kind])) for kind in ("vtt", "srt", "lrc"))
_EPUB = file_answers(binary(ALSO_FORMATS["epub"]))
_SEGMENTS: dict[int | str, dict[str, Any]] = {
    409: problem("It is not planned yet, or its plan is gone"),
    410: problem("Its retention is over"),
}


@router.get("/audio", response_class=Response, responses=_AUDIO)
async def audio(request: Request, job_id: str, revision: Revision = None) -> Response:
    """The narration. 409 until the job has succeeded."""
    return await _object(request, job_id, revision, lambda rendered: rendered.audio_key)


@router.get("/manifest", responses=_MANIFEST)
async def manifest(request: Request, job_id: str, revision: Revision = None) -> Response:
    """Every segment with its offset, duration, place in the text, digest and attempts, as JSON. That of a failed job is
    the plan, with the error at its segment: it has no audio, so nothing in it has an offset."""
    job = await at_revision(request, job_id, revision)
    if job.status is Status.FAILED:
        return await _manifest_of_failed(state_of(request), job)
    return await _object(request, job_id, revision, lambda rendered: rendered.manifest_key)


@router.get("/subtitles.vtt", response_class=Response, responses=_VTT)
async def subtitles_vtt(request: Request, job_id: str, revision: Revision = None) -> Response:
    """WebVTT, where the job asked for it in output.subtitles."""
    return await _object(request, job_id, revision, lambda rendered: rendered.subtitles.get("vtt"))


@router.get("/subtitles.srt", response_class=Response, responses=_SRT)
async def subtitles_srt(request: Request, job_id: str, revision: Revision = None) -> Response:
    """SubRip, where the job asked for it in output.subtitles."""
    return await _object(request, job_id, revision, lambda rendered: rendered.subtitles.get("srt"))


@router.get("/subtitles.lrc", response_class=Response, responses=_LRC)
async def subtitles_lrc(request: Request, job_id: str, revision: Revision = None) -> Response:
    """LRC, as players of music show lyrics, where the job asked for it in output.subtitles."""
    return await _object(request, job_id, revision, lambda rendered: rendered.subtitles.get("lrc"))


@router.get("/subtitles.json", responses=_TIMES)
async def subtitles_json(request: Request, job_id: str, revision: Revision = None) -> Response:
    """When each sentence is heard, where the job asked for it in output.subtitles."""
    return await _object(request, job_id, revision, lambda rendered: rendered.subtitles.get("json"))


@router.get("/readalong.epub", response_class=Response, responses=_EPUB)
async def readalong_epub(request: Request, job_id: str, revision: Revision = None) -> Response:
    """EPUB 3 with Media Overlays, which marks each sentence while it is heard, where the job asked for it in
    output.also."""
    return await _object(request, job_id, revision, lambda rendered: rendered.also.get("epub"), "output.also")


@router.get("/segments", response_model=Page[Segment], responses=_SEGMENTS)
async def segments(
    request: Request,
    job_id: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[
        str | None,
        Query(
            max_length=20,
            description="`next_cursor` of the page before",
            json_schema_extra={"pattern": "^[0-9]{1,20}$"},
        ),
    ] = None,
    revision: Revision = None,
) -> Response:
    """Its segments in order. 409 until it is planned."""
    state = state_of(request)
    job = await at_revision(request, job_id, revision)
    if after is not None and not (after.isascii() and after.isdecimal()):
        raise BadInput("is not a cursor of this list; use next_cursor of the page before", pointer="/after")
    first = int(after) + 1 if after is not None else 0
    rendered = rendered_of(job) if job.status is Status.SUCCEEDED and job.outcome else None
    try:
        if rendered is not None:
            found = await state.blocking(manifest_rows, state.storage, rendered.manifest_key, first, limit)
            rows, total = [Segment.model_validate(row) for row in found], job.total
            heard = {row.index for row in rows if row.error is None}
        else:
            lost = await state.store.run(jobs.attempts(job.id))
            known = await state.store.run(jobs.settled(job.id, job.tenant))
            rows, total = await state.blocking(_from_plan, state, job, lost, first, limit)
            heard = {row.index for row in rows if row.error is None and known is not None and known.has(row.index)}
    except ObjectMissing:
        raise _absent(job, f"job {job_id} is {job.status} and has no segments yet") from None
    more = bool(rows) and first + len(rows) < total
    url = f"{base_url(request, state.settings.public_url)}/v1/jobs/{job.id}/segments"
    which = "" if revision is None else f"?revision={revision}"
    rows = [
        row.model_copy(update={"audio_url": f"{url}/{row.index}/audio{which}"}) if row.index in heard else row
        for row in rows
    ]
    page = Page[Segment](data=rows, has_more=more, next_cursor=str(rows[-1].index) if more else None)
    return json_response(page)


@router.get("/segments/{index}/audio", response_class=Response, responses=_CLIP)
async def segment_audio(
    request: Request, job_id: str, index: Annotated[int, Path(ge=0, le=10**6)], revision: Revision = None
) -> Response:
    """The clip of one segment as its model made it, also while the others are rendered. 409 until it is there."""
    state = state_of(request)
    job = await at_revision(request, job_id, revision)
    try:
        row = await state.blocking(_planned, state, job, index)
    except ObjectMissing:
        raise _absent(job, f"job {job_id} is {job.status} and has no segments yet") from None
    except IndexError:
        raise NotFound(f"job {job_id} has no segment {index}") from None
    key, lost = clip_key(row.digest), f"the clip of segment {index} of job {job_id} is no longer in storage"
    if await state.blocking(state.storage.head, key) is None:
        raise Gone(lost) if job.status is Status.SUCCEEDED else _absent(job, f"segment {index} is not rendered yet")
    return await stored_object(request, key, filename=f"{job_id}-{index}.flac", media_type="audio/flac", lost=lost)


def _planned(state: AppState, job: jobs.JobRecord, index: int) -> PlannedSegment:
    return PlanReader(state.storage, job.id, job.revision).row(index)


def _from_plan(
    state: AppState, job: jobs.JobRecord, lost: Mapping[int, jobs.Lost], first: int, limit: int
) -> tuple[list[Segment], int]:
    reader = PlanReader(state.storage, job.id, job.revision)
    rows = [_segment(row, lost.get(row.index, jobs.Lost())) for row in reader.rows(first, limit)]
    return rows, reader.plan.total


def _segment(row: PlannedSegment, lost: jobs.Lost) -> Segment:
    return Segment(
        index=row.index,
        chapter=row.chapter,
        start=row.start,
        end=row.end,
        text=row.text,
        voice=row.voice,
        digest=row.digest,
        target_ms=row.target_duration_ms,
        attempts=lost.count,
        error=lost.error,
        **of_its_own(row),
    )


async def _manifest_of_failed(state: AppState, job: jobs.JobRecord) -> Response:
    job = await explained(state, job)
    try:
        reader = await state.blocking(PlanReader, state.storage, job.id, job.revision)
    except ObjectMissing:
        raise _absent(job, f"job {job.id} failed before it was planned") from None
    return StreamingResponse(_written(job, reader), media_type="application/json")


def _written(job: jobs.JobRecord, reader: PlanReader) -> Iterator[str]:
    """The manifest page by page, because a job may have 100,000s of segments."""
    plan, recipe = reader.plan, reader.plan.recipe
    error = read_outcome(job.outcome or "{}")
    assert isinstance(error, JobError)
    head = {
        "job": job.id, "job_revision": job.revision, "status": job.status, "error": error.model_dump(exclude_none=True),
        "model": recipe.model, "revision": recipe.revision, "language": recipe.language,
        "chapters": [
            {"title": each.title, "first_segment": each.first, "segments": each.count} for each in plan.chapters
        ],
    }  # fmt: skip
    yield json.dumps(head, ensure_ascii=False)[:-1] + ', "segments": ['
    for row in reader.rows():
        lost = jobs.Lost(error=error.message) if row.index == error.segment else jobs.Lost()
        yield ("," if row.index else "") + "\n" + _segment(row, lost).model_dump_json(exclude_none=True)
    yield "\n]}\n"


async def _object(
    request: Request, job_id: str, revision: int | None, key_of: Callable[[Rendered], str | None],
    field: str = "output.subtitles",
) -> Response:  # fmt: skip
    """`field` of a job asks for the object."""
    job = await at_revision(request, job_id, revision)
    key = key_of(rendered_of(job))
    if key is None:
        raise NotFound(f"job {job_id} has none; ask for it in {field} when you submit it", code="not_asked_for")
    suffix = PurePosixPath(key).suffix
    lost = f"the result of job {job_id} is no longer in storage; retry or submit the job anew"
    return await stored_object(
        request, key, filename=f"{job_id}{suffix}", media_type=MEDIA_TYPE_OF_SUFFIX.get(suffix), lost=lost
    )


def rendered_of(job: jobs.JobRecord) -> Rendered:
    """The result. Raises Conflict or Gone with the reason where there is none."""
    outcome = read_outcome(job.outcome) if job.outcome and job.status is Status.SUCCEEDED else None
    if not isinstance(outcome, Rendered):
        raise _absent(job, f"job {job.id} is {job.status} and has no result")
    return outcome


def _absent(job: jobs.JobRecord, why: str) -> Conflict | Gone:
    if job.status is Status.EXPIRED:
        return Gone(f"job {job.id} has expired; submit it again")
    if job.streamed and job.status is Status.SUCCEEDED:
        return Conflict(f"job {job.id} was streamed to its client, and has no result of its own", code="streamed")
    if job.status in ENDED:
        return Conflict(f"{why}; POST /v1/jobs/{job.id}/retry takes it up again", code="no_result")
    return Conflict(f"{why}; wait for its end with ?wait= on its status URL", code="not_ended")
