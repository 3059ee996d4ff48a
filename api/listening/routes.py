"""The routes by which a job is heard while it is rendered. The first needs a key and leads to an address of 12 hours;
players use those below it, without a key."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse

from api.jobs import known as known_id
from api.jobs import unknown
from api.listening.playlist import MEDIA_TYPE, Part, Playlist
from api.listening.shelf import shelf_of
from api.listening.tickets import SECONDS, Ticket, Tickets
from api.openapi import TOO_MANY_WAITS, answer_header, binary, problem, textual
from api.problems import Gone
from api.speech.studio import studio_of
from api.state import AppState, state_of, tenant_of
from farm.errors import ClipCorrupt, Conflict, NotFound, ObjectMissing
from farm.job import Status
from farm.sound import fragments
from farm.store import jobs
from farm.store.jobs import Settling

router = APIRouter(prefix="/v1", tags=["listening"])

_FIRST_WAIT_S = 10.0  # for the first clip; players give up later
_NEVER_CHANGES = {"Cache-Control": f"private, max-age={SECONDS}, immutable"}
_GROWS = {"Cache-Control": "no-store"}
_LISTED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The playlist, as far as the job is", "content": textual(MEDIA_TYPE)},
    409: problem("There is nothing to hear yet, or there will be nothing"),
    410: problem("Its retention is over"),
}
_LEADS: dict[int | str, dict[str, Any]] = {
    307: {"description": "The address of the playlist", "headers": {"Location": answer_header("good for 12 hours")}},
    409: problem("It has no audio and will have none"),
    410: problem("Its retention is over"),
}
_SOUND: dict[int | str, dict[str, Any]] = {
    200: {"description": "Fragmented MP4 with FLAC inside", "content": binary(fragments.MEDIA_TYPE)},
    410: problem("The clip is gone, or was replaced"),
}


@router.get("/jobs/{job_id}/stream.m3u8", status_code=307, response_class=Response, responses=_LEADS)
async def stream(request: Request, job_id: str) -> Response:
    """Leads to a playlist (HLS) of the job that grows while it is rendered, for players that can send no key: whoever
    has the address may listen to this job, for 12 hours and no longer than the key lasts."""
    state = state_of(request)
    _refuse_unheard(job_id, await _known(state, known_id(job_id), tenant_of(request)))
    ticket = await _tickets(request).make(Ticket(job_id, request.scope["key_digest"]))
    return RedirectResponse(f"../../listen/{ticket}/stream.m3u8", 307, {"Cache-Control": "no-store"})


@router.get("/listen/{ticket}/stream.m3u8", response_class=Response, responses={**_LISTED, **TOO_MANY_WAITS})
async def playlist(request: Request, ticket: str) -> Response:
    """The playlist. It waits for the first clip for 10 seconds, and ends once the whole job is listed."""
    found = await state_of(request).watch.until(
        request, _job(request), lambda: _listed(request), lambda now: bool(now and now.fragments), _FIRST_WAIT_S,
        clips=True,
    )  # fmt: skip
    if found is None or not found.fragments:
        raise Conflict(
            f"nothing of job {_job(request)} is rendered yet; ask again in a moment", code="nothing_to_hear_yet"
        )
    return Response(found.text, 200, _GROWS, MEDIA_TYPE)


@router.get("/listen/{ticket}/init-{sample_rate}.mp4", response_class=Response, responses=_SOUND)
async def init(
    request: Request, ticket: str, sample_rate: Annotated[int, Path(ge=1_000, le=400_000, description="Hz")]
) -> Response:
    """What a player reads before the first fragment."""
    return Response(fragments.init_segment(sample_rate), 200, _NEVER_CHANGES, fragments.MEDIA_TYPE)


@router.get("/listen/{ticket}/{fragment}.m4s", response_class=Response, responses=_SOUND)
async def fragment(request: Request, ticket: str, fragment: str) -> Response:
    """A fragment of the playlist: silence, a clip, or a part of them."""
    state, job = state_of(request), _job(request)
    part = Part.read(fragment)
    if part is None:
        raise NotFound("there is no such fragment; the playlist names those that there are")
    known = await _known(state, job, tenant_of(request))
    try:
        sound = await shelf_of(request).sound(state, job, tenant_of(request), known)
        data = await studio_of(request).run(part.bytes, sound)
    except (ObjectMissing, ClipCorrupt) as error:
        raise Gone(f"this part of job {job} is gone, or was rendered again; load the playlist anew") from error
    return Response(data, 200, _NEVER_CHANGES, fragments.MEDIA_TYPE)


async def _listed(request: Request) -> Playlist | None:
    """None while the job is not planned."""
    state, job, tenant = state_of(request), _job(request), tenant_of(request)
    known = await _known(state, job, tenant)
    _refuse_unheard(job, known)
    try:
        return await shelf_of(request).grown(state, job, tenant, known) if known.total else None
    except ObjectMissing as error:
        raise Gone(f"the plan of job {job} is no longer in storage; retry or submit the job anew") from error


async def _known(state: AppState, job: str, tenant: str) -> Settling:
    """Raises NotFound, Gone."""
    known = await state.store.run(jobs.settled(job, tenant))
    if known is None:
        raise unknown(job)
    if known.status is Status.EXPIRED:
        raise Gone(f"job {job} has expired; submit it again")
    return known


def _refuse_unheard(job: str, known: Settling) -> None:
    """Audio that ended half-way would be taken for all of it, so a job without a good end has no list."""
    if known.streamed:
        raise Conflict(f"job {job} is streamed to its client, and to nobody beside", code="streamed")
    if known.status in (Status.FAILED, Status.CANCELED):
        raise Conflict(f"job {job} is {known.status}; POST /v1/jobs/{job}/retry takes it up again", code="no_result")


def _job(request: Request) -> str:
    ticket: Ticket = request.scope["ticket"]
    return ticket.job


def _tickets(request: Request) -> Tickets:
    tickets: Tickets = request.app.state.tickets
    return tickets
