"""The store as plain Python objects: the right answer of every verb, and the right changes.

A verb that may choose its answer (claim, take) gets the answer of the store, and checks that it is a right one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from farm.job import OPEN, TRANSITIONS, Due, Lane, Status
from farm.quota import CLIP_BYTES_PER_MS, END_BYTES, RECORD_BYTES
from farm.store import batches, jobs, revisions, segments, tasks
from farm.store.jobs import idempotency_field
from tests.store.store_state import COUNTERS, ENDS_KEPT, REVISIONS_KEPT, Batch, Job, Lease, State


class StoreModel(State):
    # --- jobs ---------------------------------------------------------------------------------------------------------

    def accept(self, new: jobs.NewJob) -> jobs.Accepted | str:
        if new.id in self.jobs:
            return jobs.Accepted(new.id, True)
        key = idempotency_field(new.tenant, new.idempotency_key)
        earlier = self._earlier(key, new.request_digest)
        if earlier:
            return earlier
        if new.batch is not None and new.batch not in self.batches:
            return "not_found"
        batch = self.batches[new.batch] if new.batch is not None else None
        if batch is not None and batch.stopped:
            return "batch_canceled"
        records = RECORD_BYTES + len(new.spec) + len(new.text or "") + (END_BYTES if new.events else 0)
        bytes = records + new.stored
        if batch is None and not self.admit(new.tenant, characters=new.characters, bytes=bytes, records=records):
            return "quota_exceeded"
        if key:
            self.idempotency[key] = (new.id, new.request_digest)
        job = self.jobs[new.id] = Job(new, self.now, batch, held=new.characters, bytes=bytes, records=records)
        self.events.append((new.id, "queued"))
        if batch is not None:
            batch.accepted += 1
            batch.jobs[new.id] = batch.accepted
            batch.counts[Status.QUEUED] += 1
            batch.held -= new.characters
            batch.lines -= records
            batch.texts -= new.stored
            if batch.accepted >= batch.new.total:
                batch.release_lines()
        job.text = new.text
        if new.planned is None:
            self.schedule(Due.PLAN, new.id)
        else:
            self.begin_rendering(job, new.planned)
        return jobs.Accepted(new.id, False)

    def reserve(self, tenant: str, key: str, digest: str) -> str | None:
        field = idempotency_field(tenant, key)
        earlier = self._earlier(field, digest)
        if isinstance(earlier, jobs.Accepted):
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

    def _earlier(self, key: str, digest: str) -> jobs.Accepted | str | None:
        id, used = self.idempotency.get(key, ("", ""))
        batch = self.batches.get(id)
        if not id or (id != "?" and id not in self.jobs and (batch is None or batch.deleted)):
            return None
        if used != digest:
            return "idempotency_key_reused"
        return None if id == "?" else jobs.Accepted(id, True)

    def plan(self, id: str, token: str, total: int, stored: int, ends: tuple[int, ...] = ()) -> bool:
        job = self.jobs.get(id)
        if job is None or job.status != Status.QUEUED or not self.holds(Due.PLAN, id, token):
            return False
        self.due.pop((Due.PLAN, id))
        job.records -= len(job.text or "")
        job.bytes += stored
        job.planned, job.text = stored, None
        self.begin_rendering(job, total)
        job.passages = [[end, end - start] for start, end in pairwise((0, *ends))]
        return True

    def begin_rendering(self, job: Job, total: int) -> None:
        job.running = self.now
        job.counters = dict.fromkeys(COUNTERS, 0)
        job.count("total", total)
        self.move(job, "plan")
        self.offer(job, range(total))
        self.complete(job)

    def settled(self, id: str, tenant: str) -> jobs.Settling | None:
        job = self.jobs[id]
        if job.new.tenant != tenant:
            return None
        total = job.counters["total"] if job.counters else 0
        return jobs.Settling(job.status, total, jobs.Bits.of(job.done), job.outcome)

    def redo(self, id: str, token: str, indices: list[int]) -> int:
        job = self.jobs.get(id)
        if job is None or job.status != Status.ASSEMBLING or not self.holds(Due.ASSEMBLE, id, token):
            return 0
        again = set(indices) & job.done
        if not again:
            return 0
        assert job.counters is not None
        job.count("ms", -(job.counters["ms"] * len(again) // job.counters["done"]))
        job.count("done", -len(again))
        job.count("cached", -len(again & job.cached))
        job.count("review", -len(again & job.review))
        job.done -= again
        job.cached -= again
        job.review -= again
        job.redos += 1
        self.remove_from_grants(id)
        self.due.pop((Due.ASSEMBLE, id))
        self.move(job, "redo")
        self.offer(job, again)
        return len(again)

    def finish(self, id: str, token: str, outcome: str, stored: int) -> bool:
        job = self.jobs.get(id)
        if job is None or job.status != Status.ASSEMBLING or not self.holds(Due.ASSEMBLE, id, token):
            return False
        job.outcome = outcome
        job.bytes += stored
        job.result = stored
        self.close(job, "finish")
        return True

    def abort(self, id: str, kind: Due, token: str, outcome: str) -> bool:
        job = self.jobs.get(id)
        if job is None or job.status not in OPEN or not self.holds(kind, id, token):
            return False
        job.outcome = outcome
        self.close(job, "abort")
        return True

    def cancel(self, id: str, tenant: str) -> Status | None:
        job = self.jobs.get(id)
        if job is None or job.new.tenant != tenant:
            return None
        before = job.status
        if before in OPEN:
            self.close(job, "cancel")
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
        again = END_BYTES if job.new.events and job.ends < ENDS_KEPT else 0
        if not self.admit(tenant, characters=job.new.characters, bytes=again, records=again):
            return "quota_exceeded"
        job.held = job.new.characters
        job.records += again
        job.bytes += again - (job.planned or 0) - (job.result or 0)
        self.reopen(job, "retry")
        return before

    def reopen(self, job: Job, verb: str) -> None:
        id = job.new.id
        job.planned = job.result = None
        for name, value in (job.counters or {}).items():
            job.count(name, -value)
        job.counters = job.outcome = job.running = job.ended = None
        job.redos, job.started = 0, False
        self.remove_from_grants(id)
        self.due.pop((Due.EXPIRE, id))
        self.move(job, verb)
        self.schedule(Due.PLAN, id)

    def revise(self, change: revisions.Change) -> int | str | None:
        id, tenant, spec = change.job, change.tenant, change.spec.to_json()
        job = self.jobs.get(id)
        if job is None or job.new.tenant != tenant:
            return "not_found"
        key = idempotency_field(tenant, change.idempotency_key)
        earlier = self._earlier(key, change.request_digest)
        if earlier:
            return earlier if isinstance(earlier, str) else None
        if change.of != job.revision:
            return "revision_changed"
        if job.status not in TRANSITIONS["revise"] or job.new.streamed:
            return {Status.EXPIRED: "expired", Status.SUCCEEDED: "streamed"}.get(job.status, "not_ended")
        again = END_BYTES if change.spec.events and job.ends < ENDS_KEPT else 0
        inline = len(job.text or "") if change.text_bytes is not None else 0
        records = len(spec) - len(job.new.spec) - inline + again
        bytes = records + (change.text_bytes or 0)
        if not self.admit(tenant, characters=change.characters, bytes=bytes, records=records):
            return "quota_exceeded"
        if key:
            self.idempotency[key] = (id, change.request_digest)
        job.records += records
        job.bytes += bytes
        if job.result is not None:
            self.keep(job)
        job.new = replace(
            job.new, spec=spec, characters=change.characters, retention_s=change.retention_s,
            on_error=change.spec.on_error, events=change.spec.events, shares=False,
        )  # fmt: skip
        job.held = change.characters
        if change.text_bytes is not None:
            job.text = None
        job.revision += 1
        self.reopen(job, "revise")
        return job.revision

    def keep(self, job: Job) -> None:
        """The result, until the end of its retention."""
        assert job.counters is not None
        assert job.ended is not None
        assert job.result is not None
        total, done, cached = (job.counters[name] for name in ("total", "done", "cached"))
        expires = job.ended + 1000 * job.new.retention_s
        kept = f"{job.ended} {expires} {job.result} {total} {done - cached} {cached} {job.outcome}"
        job.past[job.revision] = kept
        job.records += len(kept)
        job.bytes += len(kept)
        self.due[Due.RETIRE, f"{job.new.id}.{job.revision}"] = (expires, None)
        if len(job.past) > REVISIONS_KEPT:
            self.schedule(Due.RETIRE, f"{job.new.id}.{min(job.past)}")

    def retire(self, task: tasks.Task) -> bool:
        if not self.holds(Due.RETIRE, task.id, task.token):
            return False
        del self.due[Due.RETIRE, task.id]
        job = self.jobs[task.id.rsplit(".", 1)[0]]
        kept = job.past.pop(int(task.id.rsplit(".", 1)[1]))
        job.records -= len(kept)
        job.bytes -= len(kept) + int(kept.split(" ")[2])
        return True

    def expire(self, id: str, token: str, purge_after_s: int) -> bool:
        job = self.jobs.get(id)
        if job is None or job.status not in TRANSITIONS["expire"] or not self.holds(Due.EXPIRE, id, token):
            return False
        job.records -= len(job.text or "") + sum(len(kept) for kept in job.past.values())
        for number in job.past:
            del self.due[Due.RETIRE, f"{id}.{number}"]
        job.bytes, job.text, job.past = job.records, None, {}
        self.due.pop((Due.EXPIRE, id))
        self.move(job, "expire")
        self.schedule(Due.PURGE, id, purge_after_s * 1000)
        return True

    def forget(self, id: str, tenant: str | None) -> bool:
        job = self.jobs.get(id)
        if job is None or tenant not in (None, job.new.tenant):
            return False
        if job.status in OPEN:
            self.close(job, "cancel")
        if job.batch is not None:
            job.batch.jobs.pop(id, None)
        self.drop_due(id)
        self.outbox.pop(id, None)
        self.events.append((id, "deleted"))
        del self.jobs[id]
        return True

    # --- rendering ----------------------------------------------------------------------------------------------------

    def claimed(self, grant: segments.Grant | None, want: int, worker: str, lease_ms: int, express: bool) -> bool:
        """Whether segments had to wait because their tenant has as much in hand as it may."""
        running = [job for job in self.jobs.values() if job.status == Status.RUNNING]
        tenants = {job.new.tenant for job in running}
        ready = sum(map(self.claimable, tenants))
        held_back = sum(len(job.ready) for job in running) > ready
        quarantined = sum(len(job.quarantined) for job in running if self.room(job.new.tenant))
        if grant is None:
            assert express or ready + quarantined == 0, "claim found nothing"
            return held_back
        assert grant.token not in self.leases
        assert grant.revisions == {id: n for id in grant.segments if (n := self.jobs[id].revision) > 1}
        pairs = [(id, index) for id, indices in grant.segments.items() for index in indices]
        assert len(pairs) == len(set(pairs)) <= want
        alone = len(pairs) == 1 and pairs[0][1] in self.jobs[pairs[0][0]].quarantined
        assert alone or len(pairs) <= min(want, ready)
        for tenant, count in Counter(self.jobs[id].new.tenant for id, _ in pairs).items():
            assert count <= self.room(tenant), f"{tenant} has more in hand than it may"
            begun = {id for id, _ in pairs if not self.jobs[id].started and self.jobs[id].new.tenant == tenant}
            assert len(begun) <= max(self.job_room(tenant), 0), f"{tenant} has more jobs under way than it may"
        for id, index in pairs:
            job = self.jobs[id]
            job.started = True
            assert not express or job.new.lane == Lane.INTERACTIVE
            assert not any((id, index) in lease.segments for lease in self.leases.values()), "held twice"
            if alone:
                job.quarantined.remove(index)
            else:
                job.ready.remove(index)
                job.count("ready", -1)
        for id, _ in pairs:
            tenant = self.jobs[id].new.tenant
            if "segments" in self.limits.get(tenant, {}):
                self.held[tenant, grant.token] = self.held.get((tenant, grant.token), 0) + 1
        self.leases[grant.token] = Lease(worker, self.now + lease_ms, dict.fromkeys(pairs, False))
        full = alone or express or len(pairs) == want
        assert full or not any(map(self.claimable, tenants)), "the batch is not full"
        return held_back

    def begin(self, token: str, segments: dict[str, list[int]]) -> dict[str, list[int]]:
        lease = self.leases.get(token)
        starting: dict[str, list[int]] = {}
        if lease is None:
            return starting
        for id, indices in segments.items():
            for index in indices:
                if (id, index) not in lease.segments:
                    continue
                if id in self.jobs and self.jobs[id].unsettled([index]):
                    lease.segments[id, index] = True
                    starting.setdefault(id, []).append(index)
                else:
                    del lease.segments[id, index]
                    self.let_go(token, id)
        self.drop_empty()
        return starting

    def renew(self, token: str, lease_ms: int) -> segments.Renewal:
        lease = self.leases.get(token)
        if lease is None:
            return segments.Renewal(False, frozenset())
        lease.expiry = self.now + lease_ms
        held = {id for id, _ in lease.segments}
        unwanted = {id for id in held if id not in self.jobs or self.jobs[id].status != Status.RUNNING}
        return segments.Renewal(True, frozenset(unwanted))

    def settle(self, token: str, clips: list[segments.Settled]) -> segments.Settlement:
        counted, lease, passages = [], self.leases.get(token), 0
        for clip in clips:
            held = lease is not None and lease.segments.pop((clip.job, clip.index), None) is not None
            if held:
                self.let_go(token, clip.job)
            job = self.jobs.get(clip.job)
            total = (job.counters or {}).get("total", 0) if job else 0
            wanted = job is not None and clip.index < total and (held or job.revision == 1)
            counted.append(job is not None and wanted and bool(job.unsettled([clip.index])))
            if job is None or not counted[-1]:
                continue
            job.done.add(clip.index)
            job.count("done", 1)
            job.count("ms", clip.milliseconds)
            if clip.cached:
                job.cached.add(clip.index)
                job.count("cached", 1)
            else:
                job.bytes += clip.milliseconds * CLIP_BYTES_PER_MS
            if clip.review:
                job.review.add(clip.index)
                job.count("review", 1)
            if job.attempts.get(clip.index, "").startswith("x"):
                del job.attempts[clip.index]
                job.count("dead", -1)
                continue
            if clip.index in job.ready:
                job.ready.remove(clip.index)
                job.count("ready", -1)
            elif clip.index in job.quarantined:
                job.quarantined.remove(clip.index)
            passages += self.pass_(job, clip.index)
        changed = dict.fromkeys(clip.job for clip, fresh in zip(clips, counted, strict=True) if fresh)
        completed = sum(self.complete(self.jobs[id]) for id in changed)
        self.drop_empty()
        return segments.Settlement(counted, completed + passages)

    def fail(self, token: str, id: str, index: int, error: str, max_attempts: int) -> bool:
        lease = self.leases.get(token)
        if lease is None or lease.segments.pop((id, index), None) is None:
            return False
        self.let_go(token, id)
        if id in self.jobs:
            self.count_losses(self.jobs[id], self.jobs[id].unsettled([index]), error, max_attempts)
        self.drop_empty()
        return True

    def release(self, token: str, segments: dict[str, list[int]] | None) -> int:
        lease = self.leases.get(token)
        if lease is None:
            return 0
        given = [(id, i) for id, ii in segments.items() for i in ii] if segments is not None else list(lease.segments)
        ready = 0
        for id, index in given:
            if lease.segments.pop((id, index), None) is not None and id in self.jobs:
                self.let_go(token, id)
                ready += self.give_back(self.jobs[id], self.jobs[id].unsettled([index]))
        self.drop_empty()
        return ready

    def rescue(self, lease_ms: int, limit: int) -> segments.Rescued:
        gap = self.now - (self.now if self.swept is None else self.swept)
        self.swept = self.now
        if gap > lease_ms:
            for lease in self.leases.values():
                lease.expiry = max(lease.expiry, self.now + lease_ms)
            return segments.Rescued(0, len(self.leases), True)
        expired = sorted((lease.expiry, token) for token, lease in self.leases.items() if lease.expiry <= self.now)[
            :limit
        ]
        count = 0
        for _, token in expired:
            held = self.leases.pop(token).segments
            self.held = {key: k for key, k in self.held.items() if key[1] != token}
            for id in dict.fromkeys(id for id, _ in held):
                if id not in self.jobs:
                    continue
                job = self.jobs[id]
                waiting = job.unsettled([i for (owner, i), begun in held.items() if owner == id and not begun])
                begun = job.unsettled([i for (owner, i), begun in held.items() if owner == id and begun])
                count += len(waiting) + len(begun)
                self.give_back(job, waiting)
                self.count_losses(job, begun, "worker lost")
        return segments.Rescued(count, len(expired), False)

    # --- batches ------------------------------------------------------------------------------------------------------

    def accept_batch(self, new: batches.NewBatch) -> jobs.Accepted | str:
        if new.id in self.batches:
            return jobs.Accepted(new.id, True)
        key = idempotency_field(new.tenant, new.idempotency_key)
        earlier = self._earlier(key, new.request_digest)
        if earlier:
            return earlier
        written = new.written
        records = RECORD_BYTES + len(new.spec) + len(new.shared or "") + (END_BYTES if new.webhook else 0)
        bytes, lines = records + written.packed, written.lines + new.total * RECORD_BYTES
        whole = bytes + lines + written.texts
        if not self.admit(new.tenant, characters=written.characters, bytes=whole, records=records + lines):
            return "quota_exceeded"
        if key:
            self.idempotency[key] = (new.id, new.request_digest)
        self.batches[new.id] = Batch(
            new, self.now, bytes=bytes, records=records, held=written.characters, lines=lines, texts=written.texts
        )
        if new.shared is not None:
            self.shared[new.id] = new.shared
        self.schedule(Due.BATCH, new.id)
        return jobs.Accepted(new.id, False)

    def cancel_batch(self, id: str, tenant: str) -> bool | None:
        batch = self.batches.get(id)
        if batch is None or batch.new.tenant != tenant or batch.deleted:
            return None
        if batch.completed is not None:
            return False
        self.stop(batch)
        self.schedule(Due.BATCH, id)
        return True

    def drop_batch(self, id: str, tenant: str) -> bool:
        batch = self.batches.get(id)
        if batch is None or batch.new.tenant != tenant or batch.deleted:
            return False
        batch.deleted = True
        self.stop(batch)
        self.drop_due(id)
        self.outbox.pop(id, None)
        self.events.append((id, "deleted"))
        self.schedule(Due.DELETE, id)
        return True

    def cancel_jobs(self, id: str, after: int, limit: int) -> int | None:
        batch = self.batches.get(id)
        lines = sorted((line, job) for job, line in (batch.jobs if batch else {}).items() if line > after)[:limit]
        for _, job in lines:
            if self.jobs[job].status in OPEN:
                self.close(self.jobs[job], "cancel")
        return lines[-1][0] if lines else None

    def forget_batch(self, id: str) -> bool:
        if id not in self.batches:
            return False
        batch = self.batches.pop(id)
        for job in self.jobs.values():
            if job.batch is batch:
                job.batch = None
        self.drop_due(id)
        self.outbox.pop(id, None)
        return True

    # --- timed work ---------------------------------------------------------------------------------------------------

    def taken(self, expected: list[tasks.Task], kinds: list[Due], want: int, lease_ms: int) -> None:
        due = [(kind, id) for kind in kinds for (k, id), (at, _) in self.due.items() if k == kind and at <= self.now]
        assert len(expected) == min(want, len(due)), (expected, due)
        for task in expected:
            assert self.due[task.kind, task.id][0] <= self.now, "not due, or taken twice"
            self.due[task.kind, task.id] = (self.now + lease_ms, task.token)

    def extend(self, task: tasks.Task, lease_ms: int) -> bool:
        if not self.holds(task.kind, task.id, task.token):
            return False
        self.due[task.kind, task.id] = (self.now + lease_ms, task.token)
        return True

    def done(self, task: tasks.Task, again_ms: int | None) -> bool:
        if not self.holds(task.kind, task.id, task.token):
            return False
        del self.due[task.kind, task.id]
        if again_ms is not None:
            self.schedule(task.kind, task.id, again_ms)
        return True

    def passage(self, task: tasks.Task) -> tuple[int, int] | None:
        id, number = task.id.rsplit(".", 1)
        passages = self.jobs[id].passages if id in self.jobs else []
        if int(number) >= len(passages):
            return None
        first = passages[int(number) - 1][0] if int(number) else 0
        return first, passages[int(number)][0] - first

    def passage_done(self, task: tasks.Task, again: Sequence[int] = ()) -> bool:
        if not self.holds(Due.PASSAGE, task.id, task.token):
            return False
        del self.due[Due.PASSAGE, task.id]
        job = self.jobs[task.id.rsplit(".", 1)[0]]
        job.passages_due -= 1
        for number in again:
            id = f"{job.new.id}.{number}"
            if number < len(job.passages) and job.passages[number][1] == 0 and (Due.PASSAGE, id) not in self.due:
                self.schedule(Due.PASSAGE, id)
                job.passages_due += 1
        taken = self.due.get((Due.ASSEMBLE, job.new.id), (0, None))[1]
        if job.passages_due or taken or job.status != Status.ASSEMBLING:
            return False
        self.schedule(Due.ASSEMBLE, job.new.id)
        return True

    def delivered(self, task: tasks.Task, record: str, again_ms: int | None) -> bool:
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
        if home.asked is not None and self.now < home.asked + 1000:
            return False
        home.asked = self.now
        self.schedule(Due.DELIVER, id)
        return True

    # --- documents and lexicons -----------------------------------------------------------------------------------

    def put_document(self, tenant: str, id: str, record: str, bytes: int, due_ms: int, limit: int) -> bool | str:
        put = self._put("docs", tenant, id, record, bytes, limit)
        if put is True:
            self.schedule(Due.DOCUMENT, f"{id}.{tenant}", due_ms)
        return put

    def note_document(self, tenant: str, id: str, record: str, bytes: int, due_ms: int, token: str) -> bool:
        task = f"{id}.{tenant}"
        if id not in self.kept["docs", tenant] or (token and not self.holds(Due.DOCUMENT, task, token)):
            return False
        self.kept["docs", tenant][id] = (bytes, record)
        self.schedule(Due.DOCUMENT, task, due_ms)
        return True

    def drop_document(self, tenant: str, id: str, token: str) -> bool:
        task = f"{id}.{tenant}"
        if token and not self.holds(Due.DOCUMENT, task, token):
            return False
        self.due.pop((Due.DOCUMENT, task), None)
        return self.kept["docs", tenant].pop(id, None) is not None

    def put_lexicon(self, tenant: str, name: str, record: str, bytes: int, old: str, limit: int) -> int | str:
        if self._shown("lexicons", tenant, name) != old:
            return -1
        put = self._put("lexicons", tenant, name, record, bytes, limit)
        return put if isinstance(put, str) else int(put)

    def drop_lexicon(self, tenant: str, name: str) -> str | None:
        before = self._shown("lexicons", tenant, name)
        self.kept["lexicons", tenant].pop(name, None)
        return before or None

    def _put(self, kind: str, tenant: str, name: str, record: str, bytes: int, limit: int) -> bool | str:
        kept = self.kept[kind, tenant]
        if name not in kept and len(kept) >= limit:
            return False
        if not self.admit(tenant, bytes=bytes - kept.get(name, (0, ""))[0]):
            return "quota_exceeded"
        kept[name] = (bytes, record)
        return True

    def _shown(self, kind: str, tenant: str, name: str) -> str:
        bytes, record = self.kept[kind, tenant].get(name, (0, ""))
        return f"{bytes} {record}" if record else ""
