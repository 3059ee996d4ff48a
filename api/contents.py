"""The contents of a job: the chapters of its text, those that an edit has left out too, and where each is heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from api.answers import json_response
from api.jobs import find
from api.manifest_head import manifest_head
from api.openapi import problem
from api.problems import Gone
from api.revisions import text_of
from api.state import AppState, state_of
from farm.errors import ObjectMissing
from farm.job import Status
from farm.outcome import Rendered, read_outcome
from farm.plan import Chapter as PlannedChapter
from farm.plan_reader import PlanReader
from farm.store import jobs
from farm.text_document import StoredChapter, read_text
from farm.wire import JobChapter, Page

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])


@router.get(
    "/contents",
    response_model=Page[JobChapter],
    responses={410: problem("Its retention is over"), 412: problem("It has another revision by now")},
)
async def contents(request: Request, job_id: str) -> Response:
    """Its chapters in their order, those that an edit has left out too. Once it is planned, with the segments of each;
    once there is audio, with their places in it."""
    state, job = state_of(request), await find(request, job_id)
    if job.status is Status.EXPIRED:
        raise Gone(f"job {job_id} has expired, and its text is gone")
    text = await text_of(state, job)
    return json_response(
        Page[JobChapter](data=await state.blocking(_listed, state, job, text.document), has_more=False)
    )


def _listed(state: AppState, job: jobs.JobRecord, document: bytes) -> list[JobChapter]:
    planned, heard = _planned(state, job), _heard(state, job)
    shown, index = [], 0
    for number, chapter in enumerate(read_text(document)):
        if chapter.left_out:
            shown.append(_chapter(number, chapter, left_out=True))
            continue
        of_plan = planned[index] if index < len(planned) else None
        places = heard[index] if index < len(heard) else {}
        shown.append(_chapter(number, chapter, index=index, **_counted(of_plan), **places))
        index += 1
    return shown


def _chapter(number: int, chapter: StoredChapter, **more: Any) -> JobChapter:
    return JobChapter(number=number, title=chapter.title, characters=len(chapter.input), voice=chapter.voice, **more)


def _counted(chapter: PlannedChapter | None) -> dict[str, int]:
    return {} if chapter is None else {"first_segment": chapter.first, "segments": chapter.count}


def _planned(state: AppState, job: jobs.JobRecord) -> Sequence[PlannedChapter]:
    """None before the job is planned."""
    try:
        return PlanReader(state.storage, job.id, job.revision).plan.chapters
    except ObjectMissing:
        return ()


def _heard(state: AppState, job: jobs.JobRecord) -> list[dict[str, int]]:
    """Where each chapter is in the audio. None before there is some."""
    outcome = read_outcome(job.outcome) if job.outcome and job.status is Status.SUCCEEDED else None
    if not isinstance(outcome, Rendered):
        return []
    try:
        head = manifest_head(state.storage, outcome.manifest_key)
    except ObjectMissing:
        return []
    return [{name: row[name] for name in ("offset_ms", "duration_ms")} for row in head["chapters"]]
