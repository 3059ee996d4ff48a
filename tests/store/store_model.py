"""The store as plain Python objects: what every verb should answer, and what every key should hold afterwards.

Verbs whose answer is a choice (claim, take) are given the store's own answer and check that it was a right one.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from farm.job import OPEN, TRANSITIONS, Due, Lane, Status
from farm.store import Accepted, Grant, NewBatch, NewJob, Renewal, Rescued, Settled, Task
from farm.store.jobs import idempotency_field

COUNTERS = ("total", "ready", "done", "dead", "cached", "ms")


@dataclass
class Job:
    new: NewJob
    created: int
    batch: Batch | None
    status: Status = Status.QUEUED
    counters: dict[str, int] | None = None
    text: str | None = None
    outcome: str | None = None
    ready: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    cached: set[int] = field(default_factory=set)
    solo: set[int] = field(default_factory=set)
    attempts: dict[int, str] = field(default_factory=dict)
    started: bool = False
    running: int | None = None
    ended: int | None = None
    ends: int = 0

    def count(self, name: str, change: int) -> None:
        assert self.counters is not None
        self.counters[name] += change
        if self.batch is not None and name != "ready":
            self.batch.sums["segments" if name == "total" else name] += change

    def unsettled(self, segments: Any) -> list[int]:
        return [s for s in segments if self.status == Status.RUNNING and s not in self.done]


@dataclass
class Batch:
    new: NewBatch
    created: int
    jobs: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    counts: Counter[Status] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    completed: int | None = None
    stopped: bool = False
    ends: int = 0


@dataclass
class Lease:
    worker: str
    expiry: int
    segments: dict[tuple[str, int], bool]  # (job, segment) -> begun


class StoreModel:
    def __init__(self, now: int) -> None:
        self.now = now
        self.jobs: dict[str, Job] = {}
        self.batches: dict[str, Batch] = {}
        self.leases: dict[str, Lease] = {}
        self.due: dict[tuple[Due, str], tuple[int, str | None]] = {}
        self.outbox: dict[str, dict[int, tuple[str, str]]] = defaultdict(dict)
        self.idempotency: dict[str, tuple[str, str]] = {}
        self.events: list[tuple[str, str]] = []
        self.swept: int | None = None

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def accept(self, new: NewJob) -> Accepted | str:
        if new.id in self.jobs:
            return Accepted(new.id, True)
        key = idempotency_field(new.tenant, new.idempotency_key)
        earlier = self._earlier(key, new.request_digest)
        if earlier:
            return earlier
        if new.batch is not None and new.batch not in self.batches:
            return "not_found"
        batch = self.batches[new.batch] if new.batch is not None else None
        if key:
            self.idempotency[key] = (new.id, new.request_digest)
        job = self.jobs[new.id] = Job(new, self.now, batch)
        self.events.append((new.id, "queued"))
        if batch is not None:
            batch.accepted += 1
            batch.jobs[new.id] = batch.accepted
            batch.counts[Status.QUEUED] += 1
            if batch.stopped:
                self._close(job, "cancel")
                return Accepted(new.id, False)
        job.text = new.text
        self._arm(Due.PLAN, new.id)
        return Accepted(new.id, False)

    def reserve(self, tenant: str, key: str, digest: str) -> str | None:
        field = idempotency_field(tenant, key)
        earlier = self._earlier(field, digest)
        if isinstance(earlier, Accepted):
            return earlier.id
        if earlier:
            return earlier
        if field in self.idempotency and self.idempotency[field][0] == "?":
            return "idempotency_key_in_use"
        self.idempotency[field] = ("?", digest)
        return None

    def unreserve(self, tenant: str, key: str, digest: str) -> None:
        field = idempotency_field(tenant, key)
        if self.idempotency.get(field) == ("?", digest):
            del self.idempotency[field]

    def _earlier(self, key: str, digest: str) -> Accepted | str | None:
        id, used = self.idempotency.get(key, ("", ""))
        if not id or (id != "?" and id not in self.jobs and id not in self.batches):
            return None
        if used != digest:
            return "idempotency_key_reused"
        return None if id == "?" else Accepted(id, True)

    def plan(self, id: str, token: str, total: int) -> bool:
        job = self.jobs.get(id)
        if job is None or job.status != Status.QUEUED or not self._holds(Due.PLAN, id, token):
            return False
        self.due.pop((Due.PLAN, id))
        job.text = None
        job.running = self.now
        job.counters = dict.fromkeys(COUNTERS, 0)
        job.count("total", total)
        self._move(job, "plan")
        self._offer(job, range(total))
        self._complete(job)
        return True

    def redo(self, id: str, token: str, indices: list[int]) -> int:
        job = self.jobs.get(id)
        if job is None or job.status != Status.ASSEMBLING or not self._holds(Due.ASSEMBLE, id, token):
            return 0
        again = set(indices) & job.done
        if not again:
            return 0
        assert job.counters is not None
        job.count("ms", -(job.counters["ms"] * len(again) // job.counters["done"]))
        job.count("done", -len(again))
        job.count("cached", -len(again & job.cached))
        job.done -= again
        job.cached -= again
        self._strip(id)
        self.due.pop((Due.ASSEMBLE, id))
        self._move(job, "redo")
        self._offer(job, again)
        return len(again)

    def finish(self, id: str, token: str, outcome: str) -> bool:
        job = self.jobs.get(id)
        if job is None or job.status != Status.ASSEMBLING or not self._holds(Due.ASSEMBLE, id, token):
            return False
        job.outcome = outcome
        self._close(job, "finish")
        return True

    def abort(self, id: str, kind: Due, token: str, outcome: str) -> bool:
        job = self.jobs.get(id)
        if job is None or job.status not in OPEN or not self._holds(kind, id, token):
            return False
        job.outcome = outcome
        self._close(job, "abort")
        return True

    def cancel(self, id: str, tenant: str) -> Status | None:
        job = self.jobs.get(id)
        if job is None or job.new.tenant != tenant:
            return None
        before = job.status
        if before in OPEN:
            self._close(job, "cancel")
        return before

    def retry(self, id: str, tenant: str) -> Status | str | None:
        job = self.jobs.get(id)
        if job is None or job.new.tenant != tenant:
            return None
        before = job.status
        if before == Status.SUCCEEDED and not (job.counters or {}).get("dead"):
            return "conflict"
        if before not in TRANSITIONS["retry"]:
            return before
        for name, value in (job.counters or {}).items():
            job.count(name, -value)
        job.counters = job.outcome = job.running = job.ended = None
        job.started = False
        self._strip(id)
        self.due.pop((Due.EXPIRE, id))
        self._move(job, "retry")
        self._arm(Due.PLAN, id)
        return before

    def expire(self, id: str, token: str, purge_after_s: int) -> bool:
        job = self.jobs.get(id)
        if job is None or job.status not in TRANSITIONS["expire"] or not self._holds(Due.EXPIRE, id, token):
            return False
        job.text = None
        self.due.pop((Due.EXPIRE, id))
        self._move(job, "expire")
        self._arm(Due.PURGE, id, purge_after_s * 1000)
        return True

    def forget(self, id: str, tenant: str | None) -> bool:
        job = self.jobs.get(id)
        if job is None or tenant not in (None, job.new.tenant):
            return False
        if job.status in OPEN:
            self._close(job, "cancel")
        if job.batch is not None:
            job.batch.jobs.pop(id, None)
        self._drop_due(id)
        self.outbox.pop(id, None)
        del self.jobs[id]
        return True

    # --- rendering ----------------------------------------------------------------------------------------------------

    def claimed(self, grant: Grant | None, want: int, worker: str, lease_ms: int, express: bool) -> None:
        running = [job for job in self.jobs.values() if job.status == Status.RUNNING]
        ready = sum(len(job.ready) for job in running)
        suspects = sum(len(job.solo) for job in running)
        if grant is None:
            assert express or ready + suspects == 0, "claim found nothing"
            return
        assert grant.token not in self.leases
        pairs = [(id, index) for id, indices in grant.segments.items() for index in indices]
        assert len(pairs) == len(set(pairs)) <= want
        alone = len(pairs) == 1 and pairs[0][1] in self.jobs[pairs[0][0]].solo
        assert alone or express or len(pairs) == min(want, ready), "the batch is not full"
        for id, index in pairs:
            job = self.jobs[id]
            job.started = True
            assert not express or job.new.lane == Lane.INTERACTIVE
            assert not any((id, index) in lease.segments for lease in self.leases.values()), "held twice"
            if alone:
                job.solo.remove(index)
            else:
                job.ready.remove(index)
                job.count("ready", -1)
        self.leases[grant.token] = Lease(worker, self.now + lease_ms, dict.fromkeys(pairs, False))

    def begin(self, token: str, segments: dict[str, list[int]]) -> dict[str, list[int]]:
        lease = self.leases.get(token)
        starting: dict[str, list[int]] = {}
        for id, indices in segments.items() if lease else ():
            for index in indices:
                if (id, index) not in lease.segments:
                    continue
                if id in self.jobs and self.jobs[id].unsettled([index]):
                    lease.segments[id, index] = True
                    starting.setdefault(id, []).append(index)
                else:
                    del lease.segments[id, index]
        self._drop_empty()
        return starting

    def renew(self, token: str, lease_ms: int) -> Renewal:
        lease = self.leases.get(token)
        if lease is None:
            return Renewal(False, frozenset())
        lease.expiry = self.now + lease_ms
        held = {id for id, _ in lease.segments}
        unwanted = {id for id in held if id not in self.jobs or self.jobs[id].status != Status.RUNNING}
        return Renewal(True, frozenset(unwanted))

    def settle(self, token: str, clips: list[Settled]) -> list[bool]:
        counted, lease = [], self.leases.get(token)
        for clip in clips:
            if lease:
                lease.segments.pop((clip.job, clip.index), None)
            job = self.jobs.get(clip.job)
            fresh = job is not None and clip.index < (job.counters or {}).get("total", 0)
            fresh = fresh and bool(job.unsettled([clip.index]))
            counted.append(fresh)
            if not fresh:
                continue
            job.done.add(clip.index)
            job.count("done", 1)
            job.count("ms", clip.milliseconds)
            if clip.cached:
                job.cached.add(clip.index)
                job.count("cached", 1)
            if clip.index in job.ready:
                job.ready.remove(clip.index)
                job.count("ready", -1)
            elif clip.index in job.solo:
                job.solo.remove(clip.index)
            elif job.attempts.get(clip.index, "").startswith("x"):
                del job.attempts[clip.index]
                job.count("dead", -1)
        for id in dict.fromkeys(clip.job for clip, fresh in zip(clips, counted, strict=True) if fresh):
            self._complete(self.jobs[id])
        self._drop_empty()
        return counted

    def fail(self, token: str, id: str, index: int, error: str, max_attempts: int) -> bool:
        lease = self.leases.get(token)
        if lease is None or lease.segments.pop((id, index), None) is None:
            return False
        if id in self.jobs:
            self._strike(self.jobs[id], self.jobs[id].unsettled([index]), error, max_attempts)
        self._drop_empty()
        return True

    def release(self, token: str, segments: dict[str, list[int]] | None) -> int:
        lease = self.leases.get(token)
        if lease is None:
            return 0
        given = [(id, i) for id, ii in segments.items() for i in ii] if segments is not None else list(lease.segments)
        ready = 0
        for id, index in given:
            if lease.segments.pop((id, index), None) is not None and id in self.jobs:
                ready += self._offer(self.jobs[id], self.jobs[id].unsettled([index]))
        self._drop_empty()
        return ready

    def rescue(self, lease_ms: int, limit: int) -> Rescued:
        gap = self.now - (self.now if self.swept is None else self.swept)
        self.swept = self.now
        if gap > lease_ms:
            for lease in self.leases.values():
                lease.expiry = max(lease.expiry, self.now + lease_ms)
            return Rescued(0, len(self.leases), True)
        expired = sorted((lease.expiry, token) for token, lease in self.leases.items() if lease.expiry <= self.now)[
            :limit
        ]
        segments = 0
        for _, token in expired:
            held = self.leases.pop(token).segments
            for id in dict.fromkeys(id for id, _ in held):
                if id not in self.jobs:
                    continue
                job = self.jobs[id]
                waiting = job.unsettled([i for (owner, i), begun in held.items() if owner == id and not begun])
                begun = job.unsettled([i for (owner, i), begun in held.items() if owner == id and begun])
                segments += len(waiting) + len(begun)
                self._offer(job, waiting)
                self._strike(job, begun, "worker lost")
        return Rescued(segments, len(expired), False)

    # --- batches ------------------------------------------------------------------------------------------------------

    def accept_batch(self, new: NewBatch) -> Accepted | str:
        if new.id in self.batches:
            return Accepted(new.id, True)
        key = idempotency_field(new.tenant, new.idempotency_key)
        earlier = self._earlier(key, new.request_digest)
        if earlier:
            return earlier
        if key:
            self.idempotency[key] = (new.id, new.request_digest)
        self.batches[new.id] = Batch(new, self.now)
        self._arm(Due.BATCH, new.id)
        return Accepted(new.id, False)

    def cancel_batch(self, id: str, tenant: str) -> bool | None:
        batch = self.batches.get(id)
        if batch is None or batch.new.tenant != tenant:
            return None
        if batch.completed is not None:
            return False
        batch.stopped = True
        self._arm(Due.BATCH, id)
        return True

    def forget_batch(self, id: str) -> bool:
        if id not in self.batches:
            return False
        batch = self.batches.pop(id)
        for job in self.jobs.values():
            if job.batch is batch:
                job.batch = None
        self._drop_due(id)
        self.outbox.pop(id, None)
        return True

    # --- timed work ---------------------------------------------------------------------------------------------------

    def taken(self, tasks: list[Task], kinds: list[Due], want: int, lease_ms: int) -> None:
        due = [(kind, id) for kind in kinds for (k, id), (at, _) in self.due.items() if k == kind and at <= self.now]
        assert len(tasks) == min(want, len(due)), (tasks, due)
        assert sorted([kinds.index(task.kind) for task in tasks]) == [kinds.index(task.kind) for task in tasks]
        for task in tasks:
            assert self.due[task.kind, task.id][0] <= self.now, "not due, or taken twice"
            self.due[task.kind, task.id] = (self.now + lease_ms, task.token)

    def extend(self, task: Task, lease_ms: int) -> bool:
        if not self._holds(task.kind, task.id, task.token):
            return False
        self.due[task.kind, task.id] = (self.now + lease_ms, task.token)
        return True

    def done(self, task: Task, again_ms: int | None) -> bool:
        if not self._holds(task.kind, task.id, task.token):
            return False
        del self.due[task.kind, task.id]
        if again_ms is not None:
            self._arm(task.kind, task.id, again_ms)
        return True

    def delivered(self, task: Task, record: str, again_ms: int | None) -> bool:
        if not self.done(task, again_ms):
            return False
        owner, k = task.id.rsplit(".", 1)
        self.outbox[owner][int(k)] = (self.outbox[owner][int(k)][0], record)
        return True

    def redeliver(self, id: str, tenant: str) -> bool | None:
        owner, k = id.rsplit(".", 1)
        home = self.jobs.get(owner) or self.batches.get(owner)
        if home is None or home.new.tenant != tenant or int(k) not in self.outbox.get(owner, {}):
            return None
        self._arm(Due.DELIVER, id)
        return True

    # --- what happens inside verbs ------------------------------------------------------------------------------------

    def _arm(self, kind: Due, id: str, after_ms: int = 0) -> None:
        self.due[kind, id] = (self.now + after_ms, None)

    def _holds(self, kind: Due, id: str, token: str) -> bool:
        return self.due.get((kind, id), (0, None))[1] == token

    def _drop_due(self, owner: str) -> None:
        for kind, id in list(self.due):
            if id == owner or (kind == Due.DELIVER and id.rsplit(".", 1)[0] == owner):
                del self.due[kind, id]

    def _move(self, job: Job, verb: str) -> None:
        before, job.status = job.status, TRANSITIONS[verb][job.status]
        self.events.append((job.new.id, job.status))
        batch = job.batch
        if batch is None:
            return
        batch.counts[before] -= 1
        batch.counts[job.status] += 1
        if before in OPEN and job.status not in OPEN:
            batch.ended += 1
            if batch.ended == batch.new.total:
                batch.completed = self.now
                self.events.append((batch.new.id, "completed"))
                self._arm(Due.PURGE, batch.new.id, batch.new.retention_s * 1000)
                self._conclude(batch, batch.new.id, "completed", batch.new.webhook)
        elif verb == "retry":
            batch.ended -= 1
            if batch.completed is not None:
                batch.completed = None
                self.due.pop((Due.PURGE, batch.new.id), None)

    def _conclude(self, what: Job | Batch, id: str, event: str, wanted: bool) -> None:
        what.ends += 1
        if wanted:
            self.outbox[id][what.ends] = (event, "{}")
            self._arm(Due.DELIVER, f"{id}.{what.ends}")

    def _close(self, job: Job, verb: str) -> None:
        if job.counters is not None:
            job.counters["ready"] = 0
        for part in (job.ready, job.done, job.cached, job.solo, job.attempts):
            part.clear()
        self.due.pop((Due.PLAN, job.new.id), None)
        self.due.pop((Due.ASSEMBLE, job.new.id), None)
        job.ended = self.now
        self._move(job, verb)
        self._arm(Due.EXPIRE, job.new.id, job.new.retention_s * 1000)
        self._conclude(job, job.new.id, job.status, job.status in job.new.events)

    def _complete(self, job: Job) -> None:
        counters = job.counters
        if job.status == Status.RUNNING and counters and counters["total"] == counters["done"] + counters["dead"]:
            self._move(job, "complete")
            self._arm(Due.ASSEMBLE, job.new.id)

    def _offer(self, job: Job, segments: Any) -> int:
        fresh = set(segments) - job.ready
        if fresh:
            job.ready |= fresh
            job.count("ready", len(fresh))
        return len(fresh)

    def _strike(self, job: Job, segments: list[int], error: str, max_attempts: int = 3) -> None:
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
                    self._close(job, "abort")
                    return
            elif lost == 2:
                job.solo.add(index)
            else:
                again.append(index)
        self._offer(job, again)
        if segments:
            self._complete(job)

    def _strip(self, id: str) -> None:
        for lease in self.leases.values():
            for pair in [pair for pair in lease.segments if pair[0] == id]:
                del lease.segments[pair]
        self._drop_empty()

    def _drop_empty(self) -> None:
        self.leases = {token: lease for token, lease in self.leases.items() if lease.segments}

    # --- every key ----------------------------------------------------------------------------------------------------

    def keys(self) -> dict[str, Any]:
        """Every key of the store but sequences, and the order of rings and suspects."""
        keys: dict[str, Any] = {"f:count": Counter(job.status.value for job in self.jobs.values())}
        zsets: defaultdict[str, dict[str, int]] = defaultdict(dict)
        sets: defaultdict[str, set[str]] = defaultdict(set)
        sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for id, job in self.jobs.items():
            new, place = job.new, f"m:{job.new.lane}"
            keys[f"f:j:{id}"] = _job_fields(job)
            keys |= {f"f:s:{id}": new.spec, f"f:o:{id}": job.outcome, f"f:text:{id}": job.text}
            zsets[f"f:list:{new.tenant}"][id] = job.created
            if job.status in OPEN and job.counters is not None:
                keys |= {f"f:r:{id}": job.ready, f"f:d:{id}": job.done, f"f:c:{id}": job.cached}
                keys[f"f:a:{id}"] = {str(index): lost for index, lost in job.attempts.items()}
            sets["f:solo:m"] |= {f"{id}:{index}" for index in job.solo}
            if job.ready:
                sets[f"f:ring:{place}"].add(new.tenant)
                sets[f"f:jobs:{place}:{new.tenant}"].add(id)
                sums["f:ready"][place] += len(job.ready)
                sums["f:load:m"][f"{new.lane}:{new.tenant}"] += len(job.ready)
        for id, batch in self.batches.items():
            keys |= {f"f:b:{id}": _batch_fields(batch), f"f:s:{id}": batch.new.spec, f"f:lines:{id}": batch.jobs}
        for token, lease in self.leases.items():
            zsets["f:lease"][token] = lease.expiry
            held = {f"{id}:{index}": "1" if begun else "" for (id, index), begun in lease.segments.items()}
            keys[f"f:g:{token}"] = {"w": lease.worker, "m": "m", **held}
        for (kind, id), (at, _) in self.due.items():
            owner = id.rsplit(".", 1)[0] if kind == Due.DELIVER else id
            home = self.jobs.get(owner) or self.batches[owner]
            lane = home.new.lane if isinstance(home, Job) else Lane.BULK
            zsets[f"f:due:{kind}:{lane}:{home.new.tenant}"][id] = at
            sets[f"f:desk:{kind}:{lane}"].add(home.new.tenant)
        keys["f:due:token"] = {f"{kind}:{id}": token for (kind, id), (_, token) in self.due.items() if token}
        for owner, outbox in self.outbox.items():
            keys[f"f:w:{owner}"] = {str(k): f"{event} {record}" for k, (event, record) in outbox.items()}
        for key, (id, digest) in self.idempotency.items():
            keys[f"f:idem:{key}"] = f"{id} {digest}"
        if self.swept is not None:
            keys["f:swept"] = str(self.swept)
        keys |= zsets | sets | sums
        return {key: value for key, value in keys.items() if value}


def _job_fields(job: Job) -> dict[str, str]:
    new = job.new
    fields = {
        "status": job.status,
        "tenant": new.tenant,
        "model": new.model,
        "lane": new.lane,
        "created": job.created,
        "characters": new.characters,
        "keep": new.retention_s,
        **(job.counters or {}),
        "batch": new.batch,
        "skip": 1 if new.on_error == "skip" else None,
        "events": ",".join(new.events) or None,
        "running": job.running,
        "ended": job.ended,
        "ends": job.ends or None,
        "started": 1 if job.started else None,
    }
    return {name: str(value) for name, value in fields.items() if value is not None}


def _batch_fields(batch: Batch) -> dict[str, str]:
    fields = {
        "tenant": batch.new.tenant,
        "total": batch.new.total,
        "keep": batch.new.retention_s,
        "webhook": int(batch.new.webhook),
        "created": batch.created,
        "completed": batch.completed,
        "accepted": batch.accepted or None,
        "ended": batch.ended or None,
        "ends": batch.ends or None,
        "stopped": 1 if batch.stopped else None,
        **batch.counts,
        **batch.sums,
    }
    return {
        str(name): str(value)
        for name, value in fields.items()
        if (value is not None and value != 0) or name == "webhook"
    }
