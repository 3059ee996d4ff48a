"""What an edit would change and cost, before it is made: the plan of the next revision beside the clips that are there.

Nothing is written. The edit is resolved, limited and refused by the functions that make it (revisions.py), and planned
by the one that plans jobs, so the answer is what the edit will do as long as the job and the clips stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, Request, Response

from api.answers import json_response, require_json
from api.jobs import find
from api.leaving import unless_left
from api.openapi import json_body
from api.preview import plan_order, previewer_of, segment_view
from api.problems import parse
from api.revisions import CHANGED, IF_MATCH, changeable, made_by, text_of
from api.state import AppState, state_of
from farm.errors import ObjectMissing
from farm.job import Status
from farm.layout import clip_key
from farm.plan_reader import PlanReader
from farm.segment import Segment
from farm.spec import Spec
from farm.storage import Storage
from farm.store import jobs
from farm.wire import EditPreview, JobEdit

SHOWN = 100
MOST_LOOKS = 500  # clips that are looked for in storage; one takes 20 µs in a folder, and some ms in a bucket

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])


@router.post(
    "/preview",
    response_model=EditPreview,
    responses=CHANGED,
    openapi_extra={
        "requestBody": json_body("JobEdit", {"segments": [{"index": 1, "text": "Nobody saw it come back."}]}),
        "parameters": [IF_MATCH],
    },
)
async def preview_edit(request: Request, job_id: str) -> Response:
    """What an edit would change and cost, by the body of the edit: how many segments would be rendered, and which.
    Nothing is changed; what the edit would be refused for is refused here."""
    state = state_of(request)
    await find(request, job_id)  # whose job it is comes before what is wrong with the edit
    require_json(request)
    edit = await state.blocking(parse, JobEdit, await request.body())
    job = await changeable(request, job_id)
    text = await text_of(state, job)
    made = await made_by(state, job, text, edit)
    if made is None:
        return json_response(EditPreview(revision=job.revision, segments=job.total, rendered=0, reused=job.total,
                                         characters=0))  # fmt: skip
    document = text.document if made.text is None else made.text.encode()
    order = await plan_order(state, job.tenant, job.model, made.spec, document, made.characters)
    planned = await unless_left(request.receive, previewer_of(request).plan(order))
    lost = await state.store.run(jobs.attempts(job.id))
    new = await state.blocking(_to_render, state.storage, job, lost, planned.segments)
    return json_response(await _cost(state, job, made.spec, len(planned.segments), new))


def _to_render(
    storage: Storage, job: jobs.JobRecord, lost: Mapping[int, jobs.Lost], rows: Sequence[Segment]
) -> list[Segment]:
    """The rows whose clip is not there: neither of this revision, nor found among the first MOST_LOOKS others."""
    known = _rendered(storage, job, lost)
    others = list(dict.fromkeys(row.digest for row in rows if row.digest not in known))
    known |= {digest for digest in others[:MOST_LOOKS] if storage.head(clip_key(digest)) is not None}
    return [row for row in rows if row.digest not in known]


def _rendered(storage: Storage, job: jobs.JobRecord, lost: Mapping[int, jobs.Lost]) -> set[str]:
    """Digests of clips that the job has. Of one that did not succeed nobody knows which these are."""
    if job.status is not Status.SUCCEEDED:
        return set()
    try:
        return {row.digest for row in PlanReader(storage, job.id, job.revision).rows()
                if lost.get(row.index, jobs.Lost()).error is None}  # fmt: skip
    except ObjectMissing:
        return set()


async def _cost(state: AppState, job: jobs.JobRecord, spec: Spec, total: int, new: Sequence[Segment]) -> EditPreview:
    characters = sum(len(row.text) for row in new)
    speed = (await state.speeds.get()).get(job.model)
    names = {digest: name for name, digest in spec.uploads.items()}
    return EditPreview(
        revision=job.revision,
        segments=total,
        rendered=len(new),
        reused=total - len(new),
        characters=characters,
        audio_seconds=_audio_seconds(job, characters),
        render_seconds=round(len(new) / speed, 1) if speed else None,
        changed=[segment_view(row, names) for row in new[:SHOWN]],
    )


def _audio_seconds(job: jobs.JobRecord, characters: int) -> float | None:
    """By the pace of the job. None where that is not known, because not all of it is rendered."""
    if job.status is not Status.SUCCEEDED or not job.characters:
        return None
    return round(characters * job.milliseconds / job.characters / 1000, 1)
