"""Verbs of the desk: timed work, leased by moving its due time forward, and the outbox of webhook deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from farm.job import Due
from farm.store.call import Call


@dataclass(frozen=True, slots=True)
class Task:
    """Timed work taken from the desk, leased under `token`."""

    kind: Due
    id: str
    token: str


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """The outbox entry of one webhook. Its id is "<job or batch id>.<k>", k counting the ends of its owner; the
    Due.DELIVER task has the same id. `record` is opaque JSON kept by the deliverer, {} at first."""

    id: str
    event: str  # succeeded | failed | canceled | completed
    record: str
    due_ms: int | None  # until the next attempt; None when none is due


def take(kinds: Sequence[Due], *, want: int, lease_ms: int, express: bool = False) -> Call[list[Task]]:
    """Due work, leased by moving its due time forward: lanes in order with every fourth take from below, within a lane
    each kind the first in turn, tenants by turns. `express` takes interactive work only."""

    def read(answer: list[list[bytes]]) -> list[Task]:
        return [Task(Due(kind.decode()), id.decode(), token.decode()) for kind, id, token in answer]

    return Call("take", (want, lease_ms, int(express), *(kind.value for kind in kinds)), read)


def extend(task: Task, lease_ms: int) -> Call[bool]:
    """Keeps a long task leased. False when the token is late."""
    return Call("extend", (task.kind.value, task.id, task.token, lease_ms), bool)


def done(task: Task, again_ms: int | None = None) -> Call[bool]:
    """The task is finished, or due again in `again_ms`. False when the token is late."""
    return Call("done", (task.kind.value, task.id, task.token, _or_never(again_ms)), bool)


def next_due(kinds: Sequence[Due]) -> Call[dict[Due, int]]:
    """kind -> milliseconds until its earliest entry is due (0 when overdue); kinds without entries are absent."""

    def read(answer: list[int | None]) -> dict[Due, int]:
        return {kind: wait for kind, wait in zip(kinds, answer, strict=True) if wait is not None}

    return Call("next_due", tuple(kind.value for kind in kinds), read)


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
    return Call("delivered", (task.id, task.token, record, _or_never(again_ms)), bool)


def redeliver(delivery: str, tenant: str) -> Call[bool | None]:
    """Due again now. None when this tenant has no such delivery."""
    return Call("redeliver", (delivery, tenant), lambda answer: None if answer is None else True, lasting=True)


def _or_never(milliseconds: int | None) -> int | str:
    return "" if milliseconds is None else milliseconds
