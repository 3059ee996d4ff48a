"""Verbs on the outbox: the webhook deliveries that the ends of jobs and batches have left to be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from farm.store.call import Call
from farm.store.tasks import Task, or_never


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """The outbox entry of one webhook. Its id is "<job or batch id>.<k>", k counting the ends of its owner; the
    Due.DELIVER task has the same id. `record` is opaque JSON kept by the deliverer, {} at first."""

    id: str
    event: str  # succeeded | failed | canceled | completed
    record: str
    due_ms: int | None  # until the next attempt; None when none is due


def deliveries(owner: str, tenant: str | None = None) -> Call[list[DeliveryRecord] | None]:
    """Of a job or a batch, oldest first; None when this tenant has no such owner."""

    def read(answer: list[Any] | None) -> list[DeliveryRecord] | None:
        if answer is None:
            return None
        found = []
        for k, entry, due_ms in sorted(answer):
            event, record = entry.decode().split(" ", 1)
            found.append(DeliveryRecord(f"{owner}.{k}", event, record, due_ms))
        return found

    return Call("deliveries", (owner, tenant or ""), read)


def delivered(task: Task, record: str, again_ms: int | None) -> Call[bool]:
    """One attempt is over: its record is kept, and it is due again in `again_ms` unless None. False when the token is
    late."""
    return Call("delivered", (task.id, task.token, record, or_never(again_ms)), bool)


def redeliver(delivery: str, tenant: str) -> Call[bool | None]:
    """Due again now. None when this tenant has no such delivery."""
    return Call("redeliver", (delivery, tenant), lambda answer: None if answer is None else True, lasting=True)
