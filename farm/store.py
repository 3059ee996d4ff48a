"""The truth about work, in Redis, behind domain verbs. Each verb is one atomic Lua call.

A verb is a function that returns a Call: what to run and how to read the answer. A runner executes it:

    store = Store.connect(settings.redis_url)
    grant = store.run(claim("espeak", want=32, worker=me, lease_ms=10_000))

    store = AsyncStore.connect(settings.redis_url)       # the API: concurrent calls share a round trip
    accepted = await store.run(accept(new_job))

so that nothing is written twice for synchronous and asynchronous callers. The keyspace is explained at the top of
farm/lua/keys.lua. Scripts check first and write after, because Lua does not roll back.

Errors: StoreUnavailable when Redis can't be reached or can't take the write; Misconfigured when it is too old, a
cluster, or written by a newer farm; Conflict and BadInput where a verb says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from farm.job import MAX_ATTEMPTS, SOLO_AFTER, TURN, Due, Lane, Status

T = TypeVar("T")
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One verb, ready to run. Safe to send twice: redis-py resends after a lost connection."""

    verb: str
    args: tuple[bytes | str | int | float, ...]
    read: Callable[[Any], T]


# --- values -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewJob:
    """What accept writes. `spec` is opaque JSON (what was asked, without the text). `text` is the accepted text up to
    8 kB, or None when it was written to storage first."""

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
    events: Sequence[str] = ()  # terminal statuses that its webhook wants: succeeded, failed, canceled
    idempotency_key: str | None = None
    request_digest: str = ""


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch whose lines are in storage already; the desk accepts its jobs one by one under ids made from the batch's."""

    id: str
    tenant: str
    total: int
    spec: str  # opaque JSON: metadata, webhook, where the lines are
    retention_s: int
    webhook: bool = False
    idempotency_key: str | None = None
    request_digest: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    id: str
    replayed: bool  # an earlier request with the same idempotency key, or the same call sent twice


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease on segments: job id -> segment indices, in the order in which they should be rendered."""

    token: str
    segments: Mapping[str, Sequence[int]]

    def __len__(self) -> int:
        return sum(len(indices) for indices in self.segments.values())


@dataclass(frozen=True, slots=True)
class Renewal:
    """`held` is False when the lease is gone. `unwanted` are jobs of it that no longer run (canceled, failed)."""

    held: bool
    unwanted: frozenset[str]


@dataclass(frozen=True, slots=True)
class Settled:
    """A clip that is in storage now."""

    job: str
    index: int
    milliseconds: int
    cached: bool = False  # storage had it already


@dataclass(frozen=True, slots=True)
class Rescued:
    """What a sweep of expired leases did. `grace` is True when nobody had swept for longer than a lease (a Redis
    outage): then all leases were extended once and nothing was taken back."""

    segments: int
    leases: int
    grace: bool


@dataclass(frozen=True, slots=True)
class Task:
    """Timed work taken from the desk, leased under `token`."""

    kind: Due
    id: str
    token: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a running job stands, for position and ETA. Ranks start at 0; None once it has no ready segments."""

    tenant_rank: int | None
    tenants: int
    job_rank: int | None
    jobs: int
    lanes_ready: Mapping[Lane, int]
    tenant_ready: int


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
    cached: int
    milliseconds: int  # audio settled so far
    started: bool  # a segment of it has been claimed since it was planned
    spec: str
    outcome: str | None  # opaque JSON: the result, or the error
    created_ms: int
    running_ms: int | None
    ended_ms: int | None
    retention_s: int
    place: Place | None


@dataclass(frozen=True, slots=True)
class BatchRecord:
    id: str
    tenant: str
    total: int
    accepted: int  # jobs that the desk has unfolded so far
    counts: Mapping[Status, int]
    segments: int  # planned segments of its jobs
    segments_done: int
    segments_dead: int
    cached: int
    milliseconds: int
    canceled: bool
    spec: str
    created_ms: int
    ended_ms: int | None


# --- verbs: jobs ------------------------------------------------------------------------------------------------------


def accept(job: NewJob) -> Call[Accepted]:
    """Job record, idempotency key, due entry and event in one. Idempotent on the job id. Conflict-free replay when the
    key was used with the same digest; BadInput(code="idempotency_key_reused") when with another. A job of a canceled
    batch is accepted as canceled."""
    raise NotImplementedError


def reserve(tenant: str, key: str, digest: str, ttl_ms: int = 60_000) -> Call[str | None]:
    """Takes an idempotency key before slow work (writing a long text to storage). None: it is yours now. An id: it was
    accepted before. Conflict(code="idempotency_key_in_use") while another request holds it; BadInput as accept."""
    raise NotImplementedError


def unreserve(tenant: str, key: str, digest: str) -> Call[None]:
    """Gives a reservation back after the slow work failed; an accepted key stays."""
    raise NotImplementedError


def plan(job: str, token: str, total: int) -> Call[bool]:
    """queued -> running: all `total` segments become ready. False when the token is late or the job is not queued."""
    raise NotImplementedError


def redo(job: str, token: str, indices: Collection[int]) -> Call[int]:
    """assembling -> running: clips of these segments are missing or corrupt. Returns how many will be rendered again."""
    raise NotImplementedError


def finish(job: str, token: str, outcome: str) -> Call[bool]:
    """assembling -> succeeded, with the assemble token. Writes the outbox entry of the webhook."""
    raise NotImplementedError


def abort(job: str, kind: Due, token: str, outcome: str) -> Call[bool]:
    """An open job -> failed, by the holder of its plan or assemble token (the text can't be planned, ...)."""
    raise NotImplementedError


def cancel(job: str, tenant: str) -> Call[Status | None]:
    """Cancels an open job. Returns the status it had before, None when this tenant has no such job."""
    raise NotImplementedError


def retry(job: str, tenant: str) -> Call[Status | None]:
    """failed | canceled | succeeded with dead segments -> queued; storage knows what is there already. Returns the
    status it had before, None when this tenant has no such job. Counters and attempts start anew."""
    raise NotImplementedError


def expire(job: str, token: str, purge_after_s: int) -> Call[bool]:
    """An ended job -> expired, with the expire token, and its purge becomes due."""
    raise NotImplementedError


def forget(job: str, tenant: str | None = None) -> Call[bool]:
    """The record goes, whatever its status; an open job is canceled first. With a tenant, only that tenant's."""
    raise NotImplementedError


def job_record(job: str, tenant: str | None = None) -> Call[JobRecord | None]:
    raise NotImplementedError


def job_text(job: str) -> Call[str | None]:
    """The short accepted text; None when it lies in storage."""
    raise NotImplementedError


def job_page(
    tenant: str, *, batch: str | None = None, after: tuple[int, str] | None = None, limit: int = 20
) -> Call[list[JobRecord]]:
    """Newest first, or in line order within a batch. `after` is (created_ms or line number, id) of the last seen.
    Records carry no place."""
    raise NotImplementedError


def attempts(job: str) -> Call[dict[int, str]]:
    """Of a job that has not ended: segment -> number of lost or failed attempts, or "x" + the error when it is dead."""
    raise NotImplementedError


def cached_bits(job: str) -> Call[bytes]:
    """Of a job that has not ended: bit i (most significant first) is set when segment i was found in storage."""
    raise NotImplementedError


# --- verbs: rendering -------------------------------------------------------------------------------------------------


def claim(model: str, *, want: int, worker: str, lease_ms: int, express: bool = False, turn: int = TURN) -> Call[Grant | None]:
    """Up to `want` ready segments by turns of lane, tenant and job, under one lease; a suspect comes alone. `express`
    claims interactive work only, as far as waiting lanes below are not owed."""
    raise NotImplementedError


def begin(token: str, segments: Mapping[str, Sequence[int]]) -> Call[dict[str, list[int]]]:
    """The engine starts on these segments of a grant: only begun ones burn an attempt when their worker is lost.
    Returns those that may start; missing ones are no longer held or no longer wanted."""
    raise NotImplementedError


def renew(token: str, lease_ms: int) -> Call[Renewal]:
    raise NotImplementedError


def settle(token: str, clips: Sequence[Settled]) -> Call[list[bool]]:
    """Clips are in storage. Counts each segment once, from whoever is first, with or without a lease: a clip is named by
    its content. Returns per clip whether it counted. The last one makes the job due for assembly."""
    raise NotImplementedError


def fail(token: str, job: str, index: int, error: str, max_attempts: int = MAX_ATTEMPTS, solo_after: int = SOLO_AFTER) -> Call[bool]:
    """The engine's failure of one segment: one attempt burnt; ready again, alone from the second on, or dead. Needs the
    lease. A dead segment fails its job (outcome: {"code": "segment_failed", "segment": i, "message": error}) unless the
    job skips errors."""
    raise NotImplementedError


def release(token: str, segments: Mapping[str, Sequence[int]] | None = None) -> Call[int]:
    """Gives segments (all when None) back unburnt."""
    raise NotImplementedError


def rescue(lease_ms: int, limit: int = 50, max_attempts: int = MAX_ATTEMPTS, solo_after: int = SOLO_AFTER) -> Call[Rescued]:
    """Takes expired leases back, at most `limit` of them: begun segments burn an attempt ("worker lost"), others not."""
    raise NotImplementedError


# --- verbs: batches ---------------------------------------------------------------------------------------------------


def accept_batch(batch: NewBatch) -> Call[Accepted]:
    """As accept: idempotent on the id, same rules for keys. Its Due.BATCH entry makes the desk unfold it."""
    raise NotImplementedError


def cancel_batch(batch: str, tenant: str) -> Call[bool | None]:
    """Marks it and makes Due.BATCH due: the desk cancels its jobs. False when it had ended, None when there is none."""
    raise NotImplementedError


def batch_record(batch: str, tenant: str | None = None) -> Call[BatchRecord | None]:
    raise NotImplementedError


def forget_batch(batch: str) -> Call[bool]:
    """The batch's own record; its jobs keep theirs."""
    raise NotImplementedError


# --- verbs: timed work ------------------------------------------------------------------------------------------------


def take(kinds: Sequence[Due], *, want: int, lease_ms: int) -> Call[list[Task]]:
    """Due work, leased by moving its due time forward: kinds in the given order, lanes in order with every fourth take
    from the lowest, tenants by turns."""
    raise NotImplementedError


def extend(task: Task, lease_ms: int) -> Call[bool]:
    """Keeps a long task leased. False when the token is late."""
    raise NotImplementedError


def done(task: Task, again_ms: int | None = None) -> Call[bool]:
    """The task is finished, or due again in `again_ms`. False when the token is late."""
    raise NotImplementedError


def next_due(kinds: Sequence[Due]) -> Call[dict[Due, int]]:
    """kind -> milliseconds until its earliest entry is due (0 when overdue); kinds without entries are absent."""
    raise NotImplementedError


# --- verbs: deliveries, voices, keys, workers ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """The outbox entry of one webhook. Its id is "<job or batch id>.<k>", k counting the ends of its owner; the Due.DELIVER
    task has the same id. `record` is opaque JSON kept by the deliverer."""

    id: str
    event: str  # succeeded | failed | canceled | completed
    record: str
    due_ms: int | None  # until the next attempt; None when none is due


def deliveries(owner: str, tenant: str | None = None) -> Call[list[DeliveryRecord] | None]:
    """Of a job or a batch, oldest first; None when this tenant has no such owner."""
    raise NotImplementedError


def delivered(task: Task, record: str, again_ms: int | None) -> Call[bool]:
    """One attempt is over: its record is kept, and it is due again in `again_ms` unless None."""
    raise NotImplementedError


def redeliver(delivery: str, tenant: str) -> Call[bool | None]:
    """Due again now. None when this tenant has no such delivery."""
    raise NotImplementedError


def put_voice(tenant: str, name: str, voice: str, limit: int = 1000) -> Call[bool]:
    """`voice` is opaque JSON. False when the tenant has `limit` voices already."""
    raise NotImplementedError


def drop_voice(tenant: str, name: str) -> Call[str | None]:
    """The JSON it had."""
    raise NotImplementedError


def voices(tenant: str) -> Call[dict[str, str]]:
    raise NotImplementedError


def put_key(digest: str, tenant: str, name: str) -> Call[bool]:
    """An API key by its SHA-256. False when the name is taken."""
    raise NotImplementedError


def drop_key(name: str) -> Call[bool]:
    raise NotImplementedError


def keys() -> Call[dict[str, dict[str, str]]]:
    """name -> {digest, tenant, created_ms}."""
    raise NotImplementedError


def announce(model: str, card: str) -> Call[None]:
    """A model card (JSON) becomes what requests are validated against; it outlives its worker."""
    raise NotImplementedError


def models() -> Call[dict[str, str]]:
    raise NotImplementedError


def beat(worker: str, heartbeat: str | None, ttl_ms: int) -> Call[None]:
    """A worker's heartbeat (JSON), gone after `ttl_ms` unless repeated; None takes it away."""
    raise NotImplementedError


def workers() -> Call[list[str]]:
    """Heartbeats of the workers that are alive; forgets the others."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Backlog:
    jobs: Mapping[Status, int]
    ready: Mapping[str, Mapping[Lane, int]]  # model -> lane -> ready segments
    solo: Mapping[str, int]  # model -> suspects that wait
    leased: Mapping[str, int]  # model -> leased segments
    due: Mapping[Due, int]  # entries that are due now


def backlog() -> Call[Backlog]:
    raise NotImplementedError


def lock(name: str, holder: str, ttl_ms: int) -> Call[bool]:
    """Takes or keeps a named lock (the keeper's)."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Event:
    id: str
    owner: str  # a job or batch id
    status: str  # a Status, or "completed" for a batch


@dataclass(frozen=True, slots=True)
class Pressure:
    used_bytes: int
    limit_bytes: int  # 0: no limit

    @property
    def full(self) -> bool:
        return self.limit_bytes > 0 and self.used_bytes >= 0.8 * self.limit_bytes


# --- runners ----------------------------------------------------------------------------------------------------------


class Store:
    """Runs calls on a pool of connections, from any thread."""

    @classmethod
    def connect(cls, url: str) -> Store:
        """Checks server version (>= 6.2), cluster mode and schema."""
        raise NotImplementedError

    def run(self, call: Call[T]) -> T:
        raise NotImplementedError

    def pressure(self) -> Pressure:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class AsyncStore:
    """Runs calls from one event loop; calls that wait at the same moment share a pipeline (group commit: facts say
    0.36 against 0.24 of an empty handler's requests per second)."""

    @classmethod
    async def connect(cls, url: str) -> AsyncStore:
        raise NotImplementedError

    async def run(self, call: Call[T]) -> T:
        raise NotImplementedError

    async def pressure(self) -> Pressure:
        raise NotImplementedError

    async def events(self, after: str, block_ms: int) -> list[Event]:
        """Events after this stream id ("$": from now on), waiting up to `block_ms` for the first."""
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError
