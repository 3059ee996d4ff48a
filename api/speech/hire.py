"""Accepts a streamed job. A short text is planned here, so that its segments are ready with the acceptance and the desk
need not see it; a longer one is planned by the desk, as every other job's is.

The plan lies in storage before the job is accepted, under a draft: an API that dies in between leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from api.jobs import accept_with_text, noted
from api.state import AppState
from farm.job import new_id
from farm.layout import pages_key, plan_key, text_key
from farm.order import Order
from farm.plan import decode_page
from farm.plan_order import PlanOrder, make_plan
from farm.segment import Segment
from farm.store import jobs, quotas
from farm.wake import DESK_QUEUE, render_queue

SHORT_CHARACTERS = 6_000  # are planned in 45 ms at most, whatever they are


@dataclass(frozen=True, slots=True)
class Hired:
    """An accepted job. `rows` are its segments; None where the desk plans them."""

    id: str
    rows: tuple[Segment, ...] | None = None
    sample_rate: int = 0  # Hz, of their clips


async def hire(state: AppState, tenant: str, order: Order, trace: str | None = None) -> Hired:
    """`trace` is the traceparent of its request. Raises BadInput for a text that is beyond a limit of jobs,
    QuotaExceeded."""
    order = replace(order, id=new_id("job"))
    if order.characters > SHORT_CHARACTERS:
        return await _for_the_desk(state, tenant, order, trace)
    text = order.text.encode()
    card = (await state.cards.get())[order.model]
    work = PlanOrder(tenant, order.spec.to_json(), card.model_dump_json(), text, order.characters)
    with state.tracing.step("plan", job_id=order.id, characters=order.characters) as span:
        files, *_ = await asyncio.gather(
            state.blocking(make_plan, work),
            state.store.run(quotas.room(tenant, characters=order.characters, bytes=len(text), records=0)),
            state.store.run(jobs.draft(order.id)),
        )
        objects = (
            (text_key(order.id), text, "application/json"),  # of which a retry plans
            (pages_key(order.id), files.pages, "application/gzip"),
            (plan_key(order.id), files.header, "application/json"),
        )
        # Side by side, because a bucket answers each by itself. Not synced: a power cut would end the request too.
        await asyncio.gather(*(state.blocking(state.storage.put, *each, synced=False) for each in objects))
        span.set(segments=files.total)
    new = replace(
        jobs.NewJob.of(order, tenant, trace=trace), text=None, drafted=True, streamed=True, planned=files.total,
        stored=sum(len(data) for _, data, _ in objects),
    )  # fmt: skip
    await noted(state, new, state.store.run(jobs.accept(new)))
    state.waker.wake(render_queue(order.model))
    return Hired(order.id, tuple(decode_page(files.pages)), card.sample_rate)


async def _for_the_desk(state: AppState, tenant: str, order: Order, trace: str | None) -> Hired:
    new = replace(jobs.NewJob.of(order, tenant, trace=trace), streamed=True)
    await noted(
        state, new, state.store.run(jobs.accept(new)) if order.inline else accept_with_text(state, new, order.text)
    )
    state.waker.wake(DESK_QUEUE)
    return Hired(order.id)
