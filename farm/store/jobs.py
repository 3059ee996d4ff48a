"""Verbs on jobs, from accept to forget, and the records that the API answers with."""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from farm.errors import BadInput, Conflict, NotFound, StoreUnavailable
from farm.job import Due, Lane, Status
from farm.order import Order
from farm.quota import Standing
from farm.spec import merged, patch
from farm.store.call import Call, command, nothing, word_or_none, words
from farm.store.quotas import is_refusal, refuse


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to accept. `spec` is opaque JSON: the request without its text. `text` has at most 8 kB; it is None when
    the text was written to storage first."""

    id: str
    tenant: str
    model: str
    lane: Lane
    spec: str
    text: str | None
    characters: int
    retention_s: int
    on_error: str = "fail"  # or "skip"
    batch: str | None = None
    shares: bool = False  # its spec is a merge patch of what the jobs of its batch share
    events: Sequence[str] = ()  # ends that its webhook wants: succeeded, failed, canceled
    idempotency_key: str | None = None
    request_digest: str = ""
    drafted: bool = False  # its text was written under a draft
    streamed: bool = False  # it ends with its last clip: whoever asked for it reads the clips, and no result is made
    planned: int | None = None  # segments of its plan, which is in storage already; None when the desk is to plan it
    stored: int = 0  # bytes in storage: of its text where that lies there, and of its plan
    trace: str | None = None  # the traceparent under which its steps are traced

    @classmethod
    def of(
        cls,
        order: Order,
        tenant: str,
        *,
        batch: str | None = None,
        shared: Mapping[str, Any] | None = None,
        key: str | None = None,
        digest: str = "",
        trace: str | None = None,
    ) -> NewJob:
        """A tenant's job from an order: either a single one, with the idempotency key and digest of its request, or one
        line of a batch, with what the jobs of that batch share. The caller writes a text that is not inline to storage
        first."""
        return cls(
            id=order.id,
            tenant=tenant,
            model=order.model,
            lane=order.lane,
            spec=order.spec.to_json() if shared is None else patch(order.spec, shared),
            text=order.text if order.inline else None,
            characters=order.characters,
            retention_s=order.retention_s,
            on_error=order.spec.on_error,
            batch=batch,
            shares=shared is not None,
            events=order.spec.events,
            idempotency_key=key,
            request_digest=digest,
            stored=order.stored,
            trace=trace,
        )


@dataclass(frozen=True, slots=True)
class Accepted:
    id: str
    replayed: bool  # accepted before: by a request with the same idempotency key, or by the same call
    standing: Standing | None = field(default=None, compare=False)  # of the tenant, unless it was replayed or a batch's


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a running job in the queue, for its position and ETA. Ranks start at 0; they are None when the job
    has no ready segments."""

    tenant_rank: int | None
    tenants: int
    job_rank: int | None
    jobs: int
    lanes_ready: Mapping[Lane, int]
    tenant_ready: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The attempts that one segment has lost, each to an error of the engine or with a worker. A segment with an
    `error` is dead: it is not rendered again, and its count is 0, because the store no longer keeps it."""

    count: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Bits:
    """A set of segments, in the form that Redis keeps: a bit for each, the most significant bit of a byte first."""

    data: bytes

    @classmethod
    def of(cls, indices: Collection[int]) -> Bits:
        data = bytearray(max(indices, default=-1) // 8 + 1)
        for index in indices:
            data[index // 8] |= 128 >> index % 8
        return cls(bytes(data))

    def __contains__(self, index: int) -> bool:
        return index >> 3 < len(self.data) and bool(self.data[index >> 3] & 128 >> (index & 7))


@dataclass(frozen=True, slots=True)
class Settling:
    """How far a job is, for a reader of its clips. `done` is empty once the job has ended."""

    status: Status
    total: int  # segments; 0 until planned
    done: Bits
    outcome: str | None
    dead: int = 0
    streamed: bool = False
    version: str = ""  # another one once it was edited or planned anew, or clips of it are rendered again

    def has(self, index: int) -> bool:
        """Whether the clip of a segment is in storage."""
        return self.status in (Status.ASSEMBLING, Status.SUCCEEDED) or index in self.done


@dataclass(frozen=True, slots=True)
class JobRecord:
    id: str
    tenant: str
    status: Status
    model: str
    lane: Lane
    batch: str | None
    characters: int
    total: int  # segments; 0 until planned
    done: int
    dead: int
    ready: int
    cached: int  # of those that are done: their clip was in storage already
    review: int  # segments of which somebody should listen to the clip
    milliseconds: int  # audio settled so far
    redos: int  # how many assemblies found clips missing
    started: bool  # a segment has been claimed since the job was planned
    streamed: bool  # it has no result: it was answered clip by clip
    spec: str  # whole, with what the jobs of its batch share
    outcome: str | None  # opaque JSON: the result, or the error
    created_ms: int
    running_ms: int | None
    ended_ms: int | None
    retention_s: int
    place: Place | None
    trace: str | None = None  # the traceparent under which its steps are traced
    revision: int = 1


def draft(id: str, after_ms: int = 900_000) -> Call[None]:
    """Announces a write to storage for a job or batch that is not accepted yet. The desk deletes the object unless its
    owner is accepted within `after_ms`."""
    return Call("draft", (id, after_ms), nothing)


def accept(job: NewJob) -> Call[Accepted]:
    """Writes the job, its idempotency key, its due plan and an event. With `planned`, the job runs at once, and the
    caller wakes the render workers. Idempotent on the job id. A key that was used
    with the same digest answers with the first job.

    Raises BadInput(code="idempotency_key_reused") when the key was used with another digest, NotFound when the batch
    has been deleted, Conflict(code="batch_canceled") when it was canceled, StoreUnavailable when the draft is gone, and
    QuotaExceeded. A job of a batch meets no quota: its batch has."""
    return Call(
        "accept",
        (
            *(job.id, job.tenant, job.model, job.lane.value, job.characters, job.retention_s, job.on_error),
            *(job.batch or "", int(job.shares), ",".join(job.events)),
            *(idempotency_field(job.tenant, job.idempotency_key), job.request_digest),
            *(job.spec, job.text or "", int(job.drafted), int(job.streamed)),
            *("" if job.planned is None else job.planned, job.stored, job.trace or ""),
        ),
        read_accepted,
        lasting=True,
    )


def reserve(tenant: str, key: str, digest: str, ttl_ms: int = 60_000) -> Call[str | None]:
    """Reserves an idempotency key before slow work, such as writing a long text to storage. Returns None when the key
    is yours now, or the id that was accepted under it before.

    Raises Conflict(code="idempotency_key_in_use") while another request holds the key, and BadInput as accept does."""

    def read(answer: list[bytes]) -> str | None:
        if answer[0] == b"in use":
            raise Conflict(
                "another request with this idempotency key is being accepted; send yours again in a moment",
                code="idempotency_key_in_use",
            )
        return None if answer[0] == b"mine" else read_accepted(answer).id

    return Call("reserve", (idempotency_field(tenant, key), secrets.token_hex(8), digest, ttl_ms), read)


def unreserve(tenant: str, key: str, digest: str) -> Call[None]:
    """Gives a reservation back after the slow work has failed. A key under which a job was accepted stays."""
    return Call("unreserve", (idempotency_field(tenant, key), digest), nothing)


def plan(job: str, token: str, total: int, stored: int = 0, passage_ends: Sequence[int] = ()) -> Call[bool]:
    """queued -> running. All `total` segments become ready; the plan takes `stored` bytes of storage. A passage becomes
    due once all of its segments are settled: each ends before the segment of that number. False when the token is late
    or the job is not queued."""
    if total < 0:
        raise ValueError(f"a job can't have {total} segments")
    sizes = (end - start for start, end in pairwise((0, *passage_ends)))
    passages = b"".join(struct.pack(">II", end, size) for end, size in zip(passage_ends, sizes, strict=True))
    return Call("plan", (job, token, total, stored, passages), bool)


def redo(job: str, token: str, indices: Collection[int]) -> Call[int]:
    """assembling -> running, because clips of these segments are missing or corrupt. Returns how many are rendered
    again. At 0 nothing has changed: none of them was done, or the token is late."""
    return Call("redo", (job, token, Bits.of(indices).data), int)


def finish(job: str, token: str, outcome: str, stored: int = 0) -> Call[bool]:
    """assembling -> succeeded, by the holder of the assemble token. Writes the webhook's entry in the outbox. The
    result takes `stored` bytes of storage."""
    return Call("finish", (job, token, outcome, stored), bool)


def abort(job: str, kind: Due, token: str, outcome: str) -> Call[bool]:
    """An open job -> failed, by the holder of its plan or assemble token, when a further try would fail too."""
    return Call("abort", (job, kind.value, token, outcome), bool)


def cancel(job: str, tenant: str) -> Call[Status | None]:
    """Cancels an open job. Returns the status before, None when this tenant has no such job."""
    return Call("cancel", (job, tenant), _status_before, lasting=True)


def retry(job: str, tenant: str) -> Call[Status | None]:
    """failed | canceled | succeeded with dead segments -> queued. Counters and attempts start anew, and clips that are
    in storage are found there. Returns the status before, None when this tenant has no such job.

    Raises Conflict when the job succeeded with every segment, QuotaExceeded when its characters are too many now."""

    def read(answer: Any) -> Status | None:
        if answer == b"complete":
            raise Conflict("the job succeeded with every segment, so there is nothing to retry; submit it again")
        if is_refusal(answer):
            refuse(answer)
        return None if answer is None else Status(answer[0].decode())

    return Call("retry", (job, tenant), read, lasting=True)


def expire(job: str, token: str, purge_after_s: int) -> Call[bool]:
    """An ended job -> expired, by the holder of the expire token. Its purge becomes due."""
    return Call("expire", (job, token, purge_after_s), bool)


def forget(job: str, tenant: str | None = None) -> Call[bool]:
    """Deletes a job of any status; an open one is canceled first. With a tenant, only a job of that tenant. False when
    there is none."""
    return Call("forget", (job, tenant or ""), bool, lasting=True)


def record(job: str, tenant: str | None = None) -> Call[JobRecord | None]:
    return Call("job_record", (job, tenant or ""), _read_record_and_place)


def settled(job: str, tenant: str) -> Call[Settling | None]:
    """Which clips a job has. None when this tenant has no such job."""

    def read(answer: list[Any] | None) -> Settling | None:
        if answer is None:
            return None
        status, total, done, outcome, dead, streamed, version = answer
        return Settling(
            Status(status.decode()), total, Bits(done or b""), word_or_none(outcome), dead, bool(streamed),
            version.decode(),
        )  # fmt: skip

    return Call("settled", (job, tenant), read)


def text(job: str) -> Call[str | None]:
    """The accepted text when it is short; None when it lies in storage."""
    return command("GET", f"f:text:{job}", read=word_or_none)


def page(
    tenant: str, *, batch: str | None = None, after: tuple[int, str] | None = None, limit: int = 20
) -> Call[list[JobRecord]]:
    """Jobs of a tenant, newest first; jobs of a batch in the order of its lines. `after` has the created_ms (in a batch
    the number of the line) and the id of the last job seen. The records have no place."""
    score, id = after or ("", "")
    return Call(
        "job_page",
        (tenant, batch or "", score, id, limit),
        lambda answer: [_read_record(record) for record in answer],
    )


def trace(job: str) -> Call[str | None]:
    """The traceparent of a job."""
    return command("HGET", f"f:j:{job}", "trace", read=word_or_none)


def explain(job: str, before: str, after: str) -> Call[bool]:
    """Puts a fuller outcome in place of `before`. False when the job has another one by now, as after a retry."""
    return Call("explain", (job, before, after), bool)


def count(tenant: str) -> Call[int]:
    return command("ZCARD", f"f:list:{tenant}", read=int)


def mentions(tenant: str, texts: Sequence[str], *, first: int, count: int) -> Call[tuple[int, set[str]]]:
    """Looks at `count` jobs of a tenant, oldest first, from number `first` on. Returns how many there were, and those
    of the texts that the specs of open ones mention."""

    def read(answer: list[Any]) -> tuple[int, set[str]]:
        seen, found = answer
        return seen, {text.decode() for text in found}

    return Call("mentions", (tenant, first, count, *texts), read)


def oldest(tenant: str, limit: int) -> Call[list[str]]:
    return command("ZRANGE", f"f:list:{tenant}", 0, limit - 1, read=lambda answer: [id.decode() for id in answer])


def attempts(job: str) -> Call[dict[int, Lost]]:
    """Segment -> its lost attempts, for the segments of a job that lost any. A job that has ended keeps none."""

    def read(answer: list[bytes]) -> dict[int, Lost]:
        return {int(segment): _read_lost(lost) for segment, lost in words(answer).items()}

    return command("HGETALL", f"f:a:{job}", read=read)


def cached_bits(job: str) -> Call[Bits]:
    """The segments whose clips were found in storage. A job that has ended keeps none."""
    return command("GET", f"f:c:{job}", read=lambda answer: Bits(answer or b""))


# --- shapes -----------------------------------------------------------------------------------------------------------


def idempotency_field(tenant: str, key: str | None) -> str:
    """The key as it is stored: hashed with its tenant, so that tenants share no key and a long key costs no memory."""
    if not key:
        return ""
    return hashlib.blake2b(f"{len(tenant)}:{tenant}{key}".encode(), digest_size=16).hexdigest()


def read_accepted(answer: list[Any]) -> Accepted:
    if is_refusal(answer):
        refuse(answer)
    if answer[0] == b"reused":
        raise BadInput(
            "this idempotency key was used for a different request; send a new key with a new request",
            code="idempotency_key_reused",
        )
    if answer[0] == b"no batch":
        raise NotFound("the batch of this job has been deleted; submit the job on its own")
    if answer[0] == b"stopped":
        raise Conflict("the batch of this job has been canceled; submit the job on its own", code="batch_canceled")
    if answer[0] == b"late":
        raise StoreUnavailable("it took too long to write this to storage; send it again")
    standing = Standing(answer[2]) if len(answer) > 2 and answer[2] else None
    return Accepted(answer[1].decode(), replayed=answer[0] == b"again", standing=standing)


def _read_lost(value: str) -> Lost:
    """A number, or "x" and the error of a dead segment."""
    return Lost(error=value[1:]) if value.startswith("x") else Lost(int(value))


def _status_before(answer: bytes | None) -> Status | None:
    return None if answer is None else Status(answer.decode())


def _read_record_and_place(answer: list[Any] | None) -> JobRecord | None:
    if answer is None:
        return None
    record, *place = answer
    if not place:
        return _read_record(record)
    tenant_rank, tenants, job_rank, jobs, tenant_ready, lanes = place
    lanes_ready = {lane: int(ready or 0) for lane, ready in zip(Lane, lanes, strict=True)}
    return _read_record(record, Place(tenant_rank, tenants, job_rank, jobs, lanes_ready, tenant_ready))


def _read_record(answer: list[Any], place: Place | None = None) -> JobRecord:
    id, flat, spec, outcome, shared = answer
    fields = words(flat)

    def count(field: str) -> int:
        return int(fields.get(field, 0))

    def time(field: str) -> int | None:
        return int(fields[field]) if field in fields else None

    return JobRecord(
        id=id.decode(),
        tenant=fields["tenant"],
        status=Status(fields["status"]),
        model=fields["model"],
        lane=Lane(fields["lane"]),
        batch=fields.get("batch"),
        characters=count("characters"),
        total=count("total"),
        done=count("done"),
        dead=count("dead"),
        ready=count("ready"),
        cached=count("cached"),
        review=count("review"),
        milliseconds=count("ms"),
        redos=count("redos"),
        started="started" in fields,
        streamed="streamed" in fields,
        spec=spec.decode() if shared is None else merged(spec, shared),
        outcome=word_or_none(outcome),
        created_ms=int(fields["created"]),
        running_ms=time("running"),
        ended_ms=time("ended"),
        retention_s=count("keep"),
        place=place,
        trace=fields.get("trace"),
        revision=int(fields.get("revision", 1)),
    )
