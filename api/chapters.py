"""The chapters of a job as files of their own, where it asked for output.per_chapter: their list, audio and subtitles.
A chapter has the number that the manifest and the segments give it; the first is 0."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from api.answers import json_response
from api.manifest_head import manifest_head
from api.openapi import ANY_JSON, binary, file_answers, problem, textual
from api.problems import Gone
from api.results import rendered_of
from api.revisions import Revision, at_revision
from api.state import state_of
from api.stored_object import stored_object
from api.views import base_url
from farm.audio_formats import AUDIO_FORMATS, MEDIA_TYPE_OF_SUFFIX, SUBTITLE_FORMATS, SubtitleFormat
from farm.errors import BadInput, NotFound, ObjectMissing
from farm.layout import chapter_key
from farm.outcome import Rendered
from farm.store import jobs
from farm.wire import MAX_CHAPTERS, ChapterFile, Page

router = APIRouter(prefix="/v1/jobs/{job_id}/chapters", tags=["results"])

_Number = Annotated[int, Path(ge=0, lt=MAX_CHAPTERS, description="the first chapter is 0")]
_After = Annotated[
    str | None,
    Query(
        max_length=20, description="`next_cursor` of the page before", json_schema_extra={"pattern": "^[0-9]{1,20}$"}
    ),
]
_AUDIO = file_answers(binary(*(each.media_type for each in AUDIO_FORMATS.values())))
_SUBTITLES = file_answers(textual(*SUBTITLE_FORMATS.values()) | ANY_JSON)


@router.get(
    "",
    response_model=Page[ChapterFile],
    responses={409: problem("There is no result yet, or there will be none"), 410: problem("Its retention is over")},
)
async def chapters(
    request: Request, job_id: str, limit: Annotated[int, Query(ge=1, le=1000)] = 100, after: _After = None,
    revision: Revision = None,
) -> Response:  # fmt: skip
    """The files of its chapters, in their order. 409 until the job has succeeded."""
    state = state_of(request)
    job, rendered = await _with_chapters(request, job_id, revision)
    if after is not None and not (after.isascii() and after.isdecimal()):
        raise BadInput("is not a cursor of this list; use next_cursor of the page before", pointer="/after")
    first = int(after) + 1 if after is not None else 0
    try:
        head = await state.blocking(manifest_head, state.storage, rendered.manifest_key)
    except ObjectMissing:
        raise Gone(_lost(job)) from None
    base = f"{base_url(request, state.settings.public_url)}/v1/jobs/{job.id}/chapters"
    which = "" if revision is None else f"?revision={revision}"
    judged = {file["chapter"]: file["passed"] for file in head.get("preset", {}).get("files", ())}
    rows = [(number, row) for number, row in enumerate(head["chapters"]) if number >= first and "file" in row]
    data = [
        ChapterFile.model_validate(
            {**row, **row["file"]}
            | {"index": number, "audio_url": f"{base}/{number}/audio{which}", "passed": judged.get(number)}
            | {"subtitles": {kind: f"{base}/{number}/subtitles.{kind}{which}" for kind in rendered.subtitles}}
        )
        for number, row in rows[:limit]
    ]
    more = len(rows) > limit
    return json_response(Page[ChapterFile](data=data, has_more=more, next_cursor=str(data[-1].index) if more else None))


@router.get("/{chapter}/audio", response_class=Response, responses=_AUDIO)
async def chapter_audio(request: Request, job_id: str, chapter: _Number, revision: Revision = None) -> Response:
    """One chapter, in the format of the whole. 409 until the job has succeeded."""
    job, rendered = await _with_chapters(request, job_id, revision)
    return await _file(request, job, rendered, rendered.audio_key, chapter)


@router.get("/{chapter}/subtitles.{kind}", response_class=Response, responses=_SUBTITLES)
async def chapter_subtitles(
    request: Request, job_id: str, chapter: _Number, kind: SubtitleFormat, revision: Revision = None
) -> Response:
    """Of one chapter, from its beginning on, where the job asked for them in output.subtitles."""
    job, rendered = await _with_chapters(request, job_id, revision)
    if kind not in rendered.subtitles:
        raise NotFound(
            f"job {job_id} has none; ask for them in output.subtitles when you submit it", code="not_asked_for"
        )
    return await _file(request, job, rendered, rendered.subtitles[kind], chapter)


async def _with_chapters(request: Request, job_id: str, revision: int | None) -> tuple[jobs.JobRecord, Rendered]:
    job = await at_revision(request, job_id, revision)
    rendered = rendered_of(job)
    if not rendered.chapters:
        raise NotFound(
            f"job {job_id} has no files of single chapters; ask for them with output.per_chapter when you submit it",
            code="not_asked_for",
        )
    return job, rendered


async def _file(request: Request, job: jobs.JobRecord, rendered: Rendered, whole: str, chapter: int) -> Response:
    """`whole` is the key of the same file of the whole recording."""
    if chapter >= rendered.chapters:
        raise NotFound(f"job {job.id} has {rendered.chapters} chapters; the last of them is {rendered.chapters - 1}")
    if chapter in rendered.unheard:
        raise NotFound(
            f"chapter {chapter} of job {job.id} has no file, because each of its segments failed; retry the job",
            code="chapter_unheard",
        )
    suffix = PurePosixPath(whole).suffix
    return await stored_object(
        request, chapter_key(whole, chapter), filename=f"{job.id}-{chapter + 1:02}{suffix}",
        media_type=MEDIA_TYPE_OF_SUFFIX.get(suffix), lost=_lost(job),
    )  # fmt: skip


def _lost(job: jobs.JobRecord) -> str:
    return f"the result of job {job.id} is no longer in storage; retry or submit the job anew"
