"""The parts of the store's model, and the steps that its verbs share."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from farm.job import OPEN, TRANSITIONS, Due, Status
from farm.quota import MINUTE_MS
from farm.store import batches, jobs

ENDS_KEPT = 20
REVISIONS_KEPT = 10
PASSAGES_WAIT_MS = 30 * 60 * 1000
COUNTERS = ("total", "ready", "done", "dead", "cached", "review", "ms")


@dataclass
class Job:
    new: jobs.NewJob
    created: int
    batch: Batch | None
    status: Status = Status.QUEUED
    counters: dict[str, int] | None = None
    text: str | None = None
    outcome: str | None = None
    ready: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    cached: set[int] = field(default_factory=set)
    review: set[int] = field(default_factory=set)
    quarantined: set[int] = field(default_factory=set)
    attempts: dict[int, str] = field(default_factory=dict)
    redos: int = 0
    started: bool = False
    running: int | None = None
    ended: int | None = None
    ends: int = 0
    asked: int | None = None
    held: int | None = None  # characters that count for its tenant
    bytes: int = 0
    records: int = 0
    planned: int | None = None
    result: int | None = None
    passages: list[list[int]] = field(default_factory=list)  # of each the segment after it, and how many are left
    passages_due: int = 0
    revision: int = 1
    past: dict[int, str] = field(default_factory=dict)  # of earlier revisions, what is kept

    def count(self, name: str, change: int) -> None:
        assert self.counters is not None
        self.counters[name] += change
        if self.batch is not None and name != "ready":
            self.batch.sums["segments" if name == "total" else name] += change

    def unsettled(self, segments: Any) -> list[int]:
        return [s for s in segments if self.status == Status.RUNNING and s not in self.done]


@dataclass
class Batch:
    new: batches.NewBatch
    created: int
    jobs: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    counts: Counter[Status] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    completed: int | None = None
    stopped: bool = False
    skipped: int = 0
    deleted: bool = False
    ends: int = 0
    asked: int | None = None
    bytes: int = 0  # its own, and of its lines that are no jobs yet:
    records: int = 0
    held: int = 0
    lines: int = 0
    texts: int = 0

    def release_lines(self) -> None:
        self.held = self.lines = self.texts = 0


@dataclass
class Lease:
    worker: str
    expiry: int
    segments: dict[tuple[str, int], bool]  # (job, segment) -> begun


class State:
    def __init__(self, now: int) -> None:
        self.now = now
        self.jobs: dict[str, Job] = {}
        self.batches: dict[str, Batch] = {}
        self.shared: dict[str, str] = {}  # batch -> what its jobs share, also after the batch
        self.leases: dict[str, Lease] = {}
        self.due: dict[tuple[Due, str], tuple[int, str | None]] = {}
        self.outbox: dict[str, dict[int, tuple[str, str]]] = defaultdict(dict)
        self.idempotency: dict[str, tuple[str, str]] = {}
        self.events: list[tuple[str, str]] = []
        self.swept: int | None = None
        self.limits: dict[str, dict[str, int]] = {}  # tenant -> "characters", …, "segments", "running_jobs"
        self.requests: dict[str, tuple[int, int]] = {}  # tenant -> how many, since when
        self.held: dict[tuple[str, str], int] = {}  # tenant with a limit of segments, token -> segments
        # A tenant's documents ("docs") and lexicons, by their names: the bytes that each counts for, and its record.
        self.kept: defaultdict[tuple[str, str], dict[str, tuple[int, str]]] = defaultdict(dict)

    # --- quotas, whose counts are a scan over all that a tenant has -------------------------------------------------

    def used(self, tenant: str) -> dict[str, int]:
        jobs = [job for job in self.jobs.values() if job.new.tenant == tenant]
        batches = [batch for batch in self.batches.values() if batch.new.tenant == tenant]
        kept = [bytes for kind in ("docs", "lexicons") for bytes, _ in self.kept[kind, tenant].values()]
        return {
            "characters": sum(job.held or 0 for job in jobs) + sum(batch.held for batch in batches),
            "bytes": sum(job.bytes for job in jobs)
            + sum(batch.bytes + batch.lines + batch.texts for batch in batches)
            + sum(kept),
            "records": sum(job.records for job in jobs) + sum(batch.records + batch.lines for batch in batches),
        }

    def admit(self, tenant: str, **more: int) -> bool:
        """Counts a request, unless the tenant would have too much."""
        count, since = self.requests.get(tenant, (0, 0))
        if self.now >= since + MINUTE_MS:
            count, since = 0, self.now
        limits, used = self.limits.get(tenant, {}), {**self.used(tenant), "requests": count}
        for name, change in {**more, "requests": 1}.items():
            if change > 0 and used[name] + change > limits.get(name, 10**12):
                return False
        self.requests[tenant] = (count + 1, since)
        return True

    def let_go(self, token: str, job: str) -> None:
        """A lease holds a segment of a job less."""
        key = (self.jobs[job].new.tenant if job in self.jobs else "", token)
        if key in self.held:
            self.held[key] -= 1
            if not self.held[key]:
                del self.held[key]

    def room(self, tenant: str) -> int:
        most = self.limits.get(tenant, {}).get("segments", 10**12)
        return max(most - sum(k for (who, token), k in self.held.items() if who == tenant and token in self.leases), 0)

    @staticmethod
    def is_under_way(job: Job) -> bool:
        return job.status == Status.RUNNING and job.started

    def job_room(self, tenant: str) -> int:
        under_way = sum(self.is_under_way(job) for job in self.jobs.values() if job.new.tenant == tenant)
        return self.limits.get(tenant, {}).get("running_jobs", 10**12) - under_way

    def claimable(self, tenant: str) -> int:
        """Ready segments of a tenant, as far as it may have more in hand; 0 only where none can be claimed."""
        jobs = [job for job in self.jobs.values() if job.status == Status.RUNNING and job.new.tenant == tenant]
        ready = sum(len(job.ready) for job in jobs if job.started or self.job_room(tenant) > 0)
        return min(ready, self.room(tenant))

    # --- the rest ---------------------------------------------------------------------------------------------------

    def schedule(self, kind: Due, id: str, after_ms: int = 0) -> None:
        self.due[kind, id] = (self.now + after_ms, None)

    def holds(self, kind: Due, id: str, token: str) -> bool:
        return self.due.get((kind, id), (0, None))[1] == token

    def drop_due(self, owner: str) -> None:
        for kind, id in list(self.due):
            if id == owner or (kind in (Due.DELIVER, Due.PASSAGE, Due.RETIRE) and id.rsplit(".", 1)[0] == owner):
                del self.due[kind, id]

    def move(self, job: Job, verb: str) -> None:
        before, job.status = job.status, TRANSITIONS[verb][job.status]
        self.events.append((job.new.id, job.status))
        batch = job.batch
        if batch is None:
            return
        batch.counts[before] -= 1
        batch.counts[job.status] += 1
        if before in OPEN and job.status not in OPEN:
            self.end_in_batch(batch, 1)
        elif before not in OPEN and job.status in OPEN:
            batch.ended -= 1
            if batch.completed is not None:
                batch.completed = None
                self.due.pop((Due.PURGE, batch.new.id), None)

    def stop(self, batch: Batch) -> None:
        if not batch.stopped:
            batch.release_lines()
            batch.stopped, batch.skipped = True, batch.new.total - batch.accepted
            batch.counts[Status.CANCELED] += batch.skipped
            if batch.skipped:
                self.end_in_batch(batch, batch.skipped)

    def end_in_batch(self, batch: Batch, count: int) -> None:
        batch.ended += count
        if batch.ended == batch.new.total:
            batch.completed = self.now
            self.events.append((batch.new.id, "completed"))
            if batch.deleted:
                return
            self.schedule(Due.PURGE, batch.new.id, batch.new.retention_s * 1000)
            self.record_end(batch, batch.new.id, "completed", batch.new.webhook)

    def record_end(self, what: Job | Batch, id: str, event: str, wanted: bool) -> None:
        what.ends += 1
        if wanted:
            revision = what.revision if isinstance(what, Job) else 1
            self.outbox[id][what.ends] = (event, f'{{"revision":{revision}}}' if revision > 1 else "{}")
            self.schedule(Due.DELIVER, f"{id}.{what.ends}")
            for end in [end for end in self.outbox[id] if end <= what.ends - ENDS_KEPT]:
                del self.outbox[id][end]
                self.due.pop((Due.DELIVER, f"{id}.{end}"), None)

    def close(self, job: Job, verb: str) -> None:
        if job.counters is not None:
            job.counters["ready"] = 0
        for part in (job.ready, job.done, job.cached, job.review, job.quarantined, job.attempts):
            part.clear()
        for number in range(len(job.passages)):
            self.due.pop((Due.PASSAGE, f"{job.new.id}.{number}"), None)
        job.passages, job.passages_due = [], 0
        self.due.pop((Due.PLAN, job.new.id), None)
        self.due.pop((Due.ASSEMBLE, job.new.id), None)
        job.ended, job.held = self.now, None
        self.move(job, verb)
        self.schedule(Due.EXPIRE, job.new.id, job.new.retention_s * 1000)
        self.record_end(job, job.new.id, job.status, job.status in job.new.events)

    def complete(self, job: Job) -> bool:
        counters = job.counters
        if job.status == Status.RUNNING and counters and counters["total"] == counters["done"] + counters["dead"]:
            self.move(job, "complete")
            if job.new.streamed:
                self.close(job, "finish")
                return False
            if job.passages_due:
                self.schedule(Due.ASSEMBLE, job.new.id, PASSAGES_WAIT_MS)
                return False
            self.schedule(Due.ASSEMBLE, job.new.id)
            return True
        return False

    def pass_(self, job: Job, segment: int) -> int:
        """A segment is done or dead. How many passages are due by that."""
        for number, passage in enumerate(job.passages):
            if segment < passage[0]:
                passage[1] = (passage[1] - 1) % 2**32
                if passage[1]:
                    return 0
                self.schedule(Due.PASSAGE, f"{job.new.id}.{number}")
                job.passages_due += 1
                return 1
        return 0

    def offer(self, job: Job, segments: Any) -> int:
        fresh = set(segments) - job.ready
        if fresh:
            job.ready |= fresh
            job.count("ready", len(fresh))
        return len(fresh)

    def give_back(self, job: Job, segments: Any) -> int:
        quarantined = {index for index in segments if job.attempts.get(index) == "2"}
        job.quarantined |= quarantined
        return len(quarantined) + self.offer(job, set(segments) - quarantined)

    def count_losses(self, job: Job, segments: list[int], error: str, max_attempts: int = 3) -> None:
        again = []
        for index in segments:
            lost = int(job.attempts.get(index, "0")) + 1
            job.attempts[index] = str(lost)
            if lost >= max_attempts:
                job.attempts[index] = "x" + error
                job.count("dead", 1)
                if job.new.on_error == "fail":
                    outcome = {"code": "segment_failed", "segment": index, "message": error}
                    job.outcome = json.dumps(outcome, sort_keys=True)
                    self.close(job, "abort")
                    return
                self.pass_(job, index)
            else:
                again.append(index)
        self.give_back(job, again)
        if segments:
            self.complete(job)

    def remove_from_grants(self, id: str) -> None:
        for token, lease in self.leases.items():
            for pair in [pair for pair in lease.segments if pair[0] == id]:
                del lease.segments[pair]
                self.let_go(token, id)
        self.drop_empty()

    def drop_empty(self) -> None:
        self.leases = {token: lease for token, lease in self.leases.items() if lease.segments}
