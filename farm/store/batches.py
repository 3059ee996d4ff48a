"""Verbs on batches: many jobs submitted together, with their own progress and completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from farm.job import Due, Lane, Status
from farm.order import Written
from farm.store.call import Call, command, word_or_none, words
from farm.store.jobs import Accepted, idempotency_field, read_accepted

_NOTHING = Written()


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch whose lines are in storage already. The desk accepts its jobs one by one, under the ids in its lines."""

    id: str
    tenant: str
    total: int
    spec: str  # opaque JSON: models, metadata, webhook
    retention_s: int
    webhook: bool = False
    shared: str | None = None  # JSON: what its jobs share of their specs
    idempotency_key: str | None = None
    request_digest: str = ""
    drafted: bool = False  # its lines were written under a draft
    written: Written = _NOTHING
    trace: str | None = None  # the traceparent of its request


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A deleted job stays in the counts and sums, so that its batch still completes."""

    id: str
    tenant: str
    total: int
    accepted: int  # jobs that the desk has accepted so far
    skipped: int  # lines of a canceled batch that never became jobs; they count as canceled
    counts: Mapping[Status, int]
    segments: int  # planned segments of its jobs
    segments_done: int
    segments_dead: int
    cached: int
    review: int  # segments of which somebody should listen to the clip
    milliseconds: int
    canceled: bool
    spec: str
    shared: str | None
    created_ms: int
    ended_ms: int | None
    trace: str | None = None  # the traceparent of its request

    @property
    def waiting(self) -> int:
        """Lines that are no jobs yet."""
        return self.total - self.accepted - self.skipped


def accept(batch: NewBatch) -> Call[Accepted]:
    """Idempotent on the id, with the rules of jobs.accept for idempotency keys and quotas: a batch counts for all of
    its lines, and each job takes over its part. Makes Due.BATCH due: the desk accepts the jobs of the batch."""
    return Call(
        "accept_batch",
        (
            *(batch.id, batch.tenant, batch.total, batch.retention_s, int(batch.webhook)),
            *(idempotency_field(batch.tenant, batch.idempotency_key), batch.request_digest),
            *(batch.spec, batch.shared or "", int(batch.drafted)),
            *(batch.written.packed, batch.written.characters, batch.written.lines, batch.written.texts),
            batch.trace or "",
        ),
        read_accepted,
        lasting=True,
    )


def cancel(batch: str, tenant: str) -> Call[bool | None]:
    """Marks a batch as canceled. No line becomes a job any more, and Due.BATCH is due: the desk cancels its jobs. False
    when it had ended, None when this tenant has no such batch."""
    return Call("cancel_batch", (batch, tenant), lambda answer: None if answer is None else bool(answer), lasting=True)


def drop(batch: str, tenant: str) -> Call[bool]:
    """Hides a batch from its tenant for good, and makes Due.DELETE due: the desk deletes its jobs, then the batch.
    False when this tenant has no such batch."""
    return Call("drop_batch", (batch, tenant), bool, lasting=True)


def lines(batch: str, *, after: int, limit: int) -> Call[list[tuple[str, int]]]:
    """The next jobs after a line, each with its line. Jobs that were deleted are absent."""

    def read(answer: list[bytes]) -> list[tuple[str, int]]:
        return [(job.decode(), int(line)) for job, line in zip(answer[::2], answer[1::2], strict=True)]

    return command("ZRANGEBYSCORE", f"f:lines:{batch}", f"({after}", "+inf", "WITHSCORES", "LIMIT", 0, limit, read=read)


def cancel_jobs(batch: str, *, after: int, limit: int) -> Call[int | None]:
    """Cancels those of the next `limit` jobs after a line that are open. Returns the last line that it looked at, None
    when there is none after this one."""
    return Call("cancel_jobs", (batch, after, limit), lambda answer: answer)


def record(batch: str, tenant: str | None = None) -> Call[BatchRecord | None]:
    """With a tenant, only a batch of that tenant that is not deleted."""
    return Call("batch_record", (batch, tenant or ""), lambda answer: None if answer is None else _read(answer))


def page(tenant: str, *, after: tuple[int, str] | None = None, limit: int = 20) -> Call[list[BatchRecord]]:
    """Batches of a tenant, newest first, without deleted ones. `after` has the created_ms and the id of the last one
    seen."""
    score, id = after or ("", "")
    return Call("batch_page", (tenant, score, id, limit), lambda answer: [_read(record) for record in answer])


def some(cursor: int) -> Call[tuple[int | None, list[str]]]:
    """Some batches of all tenants, and the cursor of the next call, None at the end. The first cursor is 0. Looks at
    every key of the farm: for operators."""

    def read(answer: list[Any]) -> tuple[int | None, list[str]]:
        following, keys = answer
        return int(following) or None, [key.decode().removeprefix("f:b:") for key in keys]

    return command("SCAN", cursor, "MATCH", "f:b:*", "COUNT", 1000, read=read)


def unfolding(tenant: str) -> Call[int]:
    """How many batches of a tenant the desk is at work on."""
    return command("ZCARD", f"f:due:{Due.BATCH}:{Lane.BULK}:{tenant}", read=int)


def forget(batch: str) -> Call[bool]:
    """Deletes the record of a batch; its jobs keep theirs."""
    return Call("forget_batch", (batch,), bool)


def _read(record: list[Any]) -> BatchRecord:
    id, flat, spec, shared = record
    fields = words(flat)
    return BatchRecord(
        id=id.decode(),
        tenant=fields["tenant"],
        total=int(fields["total"]),
        accepted=int(fields["accepted"]),
        skipped=int(fields.get("skipped", 0)),
        counts={status: int(fields.get(status, 0)) for status in Status},
        segments=int(fields.get("segments", 0)),
        segments_done=int(fields.get("done", 0)),
        segments_dead=int(fields.get("dead", 0)),
        cached=int(fields.get("cached", 0)),
        review=int(fields.get("review", 0)),
        milliseconds=int(fields.get("ms", 0)),
        canceled="stopped" in fields,
        spec=spec.decode(),
        shared=word_or_none(shared),
        created_ms=int(fields["created"]),
        ended_ms=int(fields["completed"]) if "completed" in fields else None,
        trace=fields.get("trace"),
    )
