"""The webhooks of a job or a batch: what was sent where, how often, and sending it again."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request, Response

from api import batches, jobs
from api.answers import json_response
from api.openapi import problem
from api.state import state_of, tenant_of
from api.views import moment
from farm.errors import NotFound, TooOften
from farm.spec import BatchSpec, Spec
from farm.store import outbox
from farm.wake import DESK_QUEUE
from farm.webhooks.schedule import Record
from farm.wire import Delivery, Page, Webhook

router = APIRouter(tags=["webhooks"])

_TOO_OFTEN: dict[int | str, dict[str, Any]] = {429: problem("One of them was asked for less than a second ago")}


@router.get("/v1/jobs/{job_id}/deliveries", response_model=Page[Delivery])
async def of_job(request: Request, job_id: str) -> Response:
    """Oldest first; a job that was retried has one for every end."""
    job = await jobs.find(request, job_id)
    return await _page(request, job.id, Spec.model_validate_json(job.spec).webhook)


@router.get("/v1/batches/{batch_id}/deliveries", response_model=Page[Delivery])
async def of_batch(request: Request, batch_id: str) -> Response:
    """Of the batch itself; its jobs have theirs."""
    batch = await batches.find(request, batch_id)
    return await _page(request, batch.id, BatchSpec.model_validate_json(batch.spec).webhook)


@router.post(
    "/v1/jobs/{job_id}/deliveries/{delivery_id}/redeliver",
    responses=_TOO_OFTEN,
    status_code=202,
    response_class=Response,
)
async def redeliver_of_job(request: Request, job_id: str, delivery_id: str) -> Response:
    """Sends it again now, whatever came of it before, under the same id."""
    return await _redeliver(request, jobs.known(job_id), delivery_id)


@router.post(
    "/v1/batches/{batch_id}/deliveries/{delivery_id}/redeliver",
    responses=_TOO_OFTEN,
    status_code=202,
    response_class=Response,
)
async def redeliver_of_batch(request: Request, batch_id: str, delivery_id: str) -> Response:
    """Sends it again now, whatever came of it before, under the same id."""
    return await _redeliver(request, batches.known(batch_id), delivery_id)


async def _page(request: Request, owner: str, webhook: Webhook | None) -> Response:
    found = await state_of(request).store.run(outbox.deliveries(owner, tenant_of(request))) or []
    url = str(webhook.url) if webhook is not None else ""
    return json_response(Page[Delivery](data=[_shown(each, url) for each in found], has_more=False))


def _shown(found: outbox.DeliveryRecord, url: str) -> Delivery:
    record = Record.read(found.record, ending=found.event, url=url)
    due = None if found.due_ms is None else moment(round(time.time() * 1000) + found.due_ms)
    return record.shown(found.id, due)


async def _redeliver(request: Request, owner: str, delivery_id: str) -> Response:
    state = state_of(request)
    number = delivery_id.removeprefix(f"{owner}.")
    if number == delivery_id or not number.isdecimal():
        raise _unknown(owner, delivery_id)
    asked = await state.store.run(outbox.redeliver(delivery_id, tenant_of(request)))
    if asked is None:
        raise _unknown(owner, delivery_id)
    if not asked:
        raise TooOften(f"a delivery of {owner} was asked for less than a second ago; ask again in a moment")
    state.waker.wake(DESK_QUEUE)
    return Response(status_code=202)


def _unknown(owner: str, delivery_id: str) -> NotFound:
    return NotFound(f"{owner} has no delivery {delivery_id[:80]!r}; its deliveries are listed at …/deliveries")
