"""The state of the farm, for people and probes: its models, its queue, and whether it accepts work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from api.answers import json_response
from api.estimate import speeds
from api.state import AppState, principal_of, state_of
from farm.errors import FarmError
from farm.job import Lane
from farm.storage_mark import on_another_storage
from farm.store import registry
from farm.wire import Queue, Worker

router = APIRouter(tags=["farm"])


class Readiness(BaseModel):
    """`checks` says of Redis, the storage and the workers "ok", or what is wrong. What is wrong with a worker makes the
    farm no less ready: the others work."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, str]


@router.get("/v1/queue", response_model=Queue)
async def queue(request: Request) -> Response:
    """How much work there is, and who is at it. A tenant sees its own waiting segments and the speed of each model; the
    totals of all tenants and the workers are for an operator's key."""
    state, principal = state_of(request), principal_of(request)
    whole = _queue(*await _figures(state))
    if principal.operator:
        return json_response(whole)
    return json_response(_of_tenant(whole, await state.store.run(registry.own_queue(principal.tenant))))


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """This process answers. Says nothing of the farm behind it: a restart would not mend that."""
    return {"status": "ok"}


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
async def readyz(request: Request) -> Response:
    """Whether jobs can be accepted: Redis has room, and storage can be written."""
    state = state_of(request)
    checks = {"redis": await _check_redis(state), "storage": await state.storage_trouble.get()}
    ready = not any(checks.values())
    checks["workers"] = None if checks["redis"] else await _check_workers(state)
    shown = Readiness(
        status="ok" if ready else "unavailable", checks={name: said or "ok" for name, said in checks.items()}
    )
    return json_response(shown, 200 if ready else 503)


async def _figures(state: AppState) -> tuple[registry.Backlog, list[Worker]]:
    found, beats = await asyncio.gather(state.store.run(registry.backlog()), state.store.run(registry.workers()))
    return found, [Worker.model_validate_json(beat) for beat in beats]


def _queue(found: registry.Backlog, alive: list[Worker]) -> Queue:
    speed = speeds(alive)
    names = sorted(
        {*found.ready, *found.quarantined, *found.leased, *(worker.model for worker in alive if worker.model)}
    )
    nothing = dict.fromkeys(Lane, 0)
    return Queue(
        jobs=dict(found.jobs),
        models={
            name: Queue.Depth(
                ready=dict(found.ready.get(name, nothing)),
                leased=found.leased.get(name, 0),
                segments_per_second=round(speed.get(name, 0.0), 3),
                workers=sum(worker.model == name for worker in alive),
            )
            for name in names
        },
        due={kind.value: count for kind, count in found.due.items()},
        workers=alive,
    )


def _of_tenant(whole: Queue, own: Mapping[str, Mapping[Lane, int]]) -> Queue:
    """What a tenant sees: nothing of others and of machines."""
    nothing = dict.fromkeys(Lane, 0)
    models = {
        name: depth.model_copy(update={"ready": {**nothing, **own.get(name, {})}, "leased": 0, "workers": 0})
        for name, depth in whole.models.items()
    }
    return Queue(jobs={}, models=models, due={}, workers=[])


async def _check_redis(state: AppState) -> str | None:
    try:
        await state.store.run(registry.ping())
        state.note(await state.store.pressure())
    except FarmError as error:
        return error.message
    return "is nearly full: no new work is accepted until some is done" if state.pressure.full else None


async def _check_workers(state: AppState) -> str | None:
    """Whoever asks is told the random part of a worker's id, and not the name of its host."""
    known, beats = await asyncio.gather(state.store.run(registry.storage_mark()), state.store.run(registry.workers()))
    strange = (
        other.id.rpartition("-")[2] for other in on_another_storage(map(Worker.model_validate_json, beats), known)
    )
    named = ", ".join(strange)
    return f"on another storage than the farm's, and about to end: {named}; `farm doctor` says more" if named else None
