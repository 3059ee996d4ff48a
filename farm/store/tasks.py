"""Verbs on timed work: the desk takes a due task under a lease, extends the lease while it works, and ends the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from farm.job import Due
from farm.store.call import Call


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of timed work under a lease, which `token` names."""

    kind: Due
    id: str
    token: str


def take(kinds: Sequence[Due], *, want: int, lease_ms: int, express: bool = False) -> Call[list[Task]]:
    """Leases up to `want` due tasks, by moving their due times forward. Lanes come in order, but every fourth take
    begins with a lower lane. Within a lane each kind in turn is the first, and tenants take turns. `express` takes
    interactive work only."""

    def read(answer: list[list[bytes]]) -> list[Task]:
        return [Task(Due(kind.decode()), id.decode(), token.decode()) for kind, id, token in answer]

    return Call("take", (want, lease_ms, int(express), *(kind.value for kind in kinds)), read)


def extend(task: Task, lease_ms: int) -> Call[bool]:
    """Keeps a long task under its lease. False when the token is late."""
    return Call("extend", (task.kind.value, task.id, task.token, lease_ms), bool)


def done(task: Task, again_ms: int | None = None) -> Call[bool]:
    """Ends a task, or makes it due again in `again_ms`. False when the token is late."""
    return Call("done", (task.kind.value, task.id, task.token, or_never(again_ms)), bool)


def passage(task: Task) -> Call[tuple[int, int] | None]:
    """The first segment of the task's passage, and the number of its segments. None when its job has ended."""
    job, number = task.id.rsplit(".", 1)

    def read(answer: list[int] | None) -> tuple[int, int] | None:
        return None if answer is None else (answer[0], answer[1] - answer[0])

    return Call("passage", (job, number), read)


def passage_done(task: Task, again: Sequence[int] = ()) -> Call[bool]:
    """Ends the task of a passage. True when its job is due for assembly now, and the caller wakes the desk. `again` are
    the numbers of passages of the job that are made and due once more, unless they are so already."""
    job, number = task.id.rsplit(".", 1)
    return Call("passage_done", (job, number, task.token, ",".join(map(str, again))), bool)


def next_due(kinds: Sequence[Due]) -> Call[dict[Due, int]]:
    """kind -> milliseconds until its earliest task is due, 0 when it is overdue. A kind without tasks is absent."""

    def read(answer: list[int | None]) -> dict[Due, int]:
        return {kind: wait for kind, wait in zip(kinds, answer, strict=True) if wait is not None}

    return Call("next_due", tuple(kind.value for kind in kinds), read)


def or_never(milliseconds: int | None) -> int | str:
    return "" if milliseconds is None else milliseconds
