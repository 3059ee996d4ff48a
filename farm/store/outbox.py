"""Verbs on the outbox: one webhook delivery for each end of a job or batch that its webhook wants to hear of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from farm.store.call import Call
from farm.store.tasks import Task, or_never


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """One delivery. Its id is "<job or batch id>.<k>", where k numbers the ends of this owner; the Due.DELIVER task has
    the same id. `record` is opaque JSON of the sender, {} at first."""

    id: str
    event: str  # succeeded | failed | canceled | completed
    record: str
    due_ms: int | None  # until the next attempt; None when none is due


def deliveries(owner: str, tenant: str | None = None) -> Call[list[DeliveryRecord] | None]:
    """The deliveries of a job or batch, oldest first; None when this tenant has no such job or batch."""

    def read(answer: list[Any] | None) -> list[DeliveryRecord] | None:
        if answer is None:
            return None
        found = []
        for k, entry, due_ms in sorted(answer):
            event, record = entry.decode().split(" ", 1)
            found.append(DeliveryRecord(f"{owner}.{k}", event, record, due_ms))
        return found

    return Call("deliveries", (owner, tenant or ""), read)


def delivered(task: Task, record: str, again_ms: int | None, *, outcome: str) -> Call[bool]:
    """Keeps the record of an attempt that is over, and counts it under its outcome. The delivery is due again in
    `again_ms`, or never when that is None. False when the token is late."""
    return Call("delivered", (task.id, task.token, record, outcome, or_never(again_ms)), bool)


def redeliver(delivery: str, tenant: str) -> Call[bool | None]:
    """Makes a delivery due now. False when one of the same job or batch was asked for less than a second ago, None when
    this tenant has no such delivery."""
    return Call("redeliver", (delivery, tenant), lambda answer: None if answer is None else bool(answer), lasting=True)
