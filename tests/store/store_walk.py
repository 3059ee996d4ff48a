"""A random walk over the verbs: the same steps on a real store and on its model, compared key by key."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from redis.exceptions import ResponseError

from farm.errors import BadInput, Conflict, NotFound, Outdated
from farm.job import OPEN, Due, Lane, Status
from farm.order import Written
from farm.quota import QuotaExceeded
from farm.spec import Spec
from farm.store import batches, documents, jobs, lexicons, outbox, quotas, revisions, segments, tasks
from farm.store.call import Call
from farm.wire import Webhook
from tests.store.clocked import NOON
from tests.store.store_keys import expected_keys, snapshot
from tests.store.store_model import StoreModel

LEASE = 1000
TENANTS = ("ann", "bob", "cat")
KEEPERS = ("ann", "ann", "bob", "bob", "cat")  # of documents and lexicons; cat has few requests, for her jobs
EVENTS = ("succeeded", "failed", "canceled")
MOST_JOBS = 14
HOOK = Webhook.model_validate({"url": "https://example.com/hook", "events": ["job.failed", "job.succeeded"]})
# So that each of them refuses or holds back now and then, and seldom enough for the other verbs.
LIMITS = {
    "ann": {"characters": 20, "records": 60_000},
    "bob": {"segments": 30},
    "cat": {"requests": 8, "bytes": 2_000_000, "running_jobs": 2},
}


class Walk:
    """One walk. Verbs that would be rare are weighted up, and arguments are mostly right, sometimes late or wrong."""

    def __init__(self, farm: Any, seed: int) -> None:
        self.farm = farm
        self.model = StoreModel(NOON)
        self.random = random.Random(seed)
        self.hits: Counter[str] = Counter()
        self._named = 0
        for tenant, limits in LIMITS.items():
            self.model.limits[tenant] = limits
            farm.run(quotas.limit(tenant, limits))
        self._tokens: deque[str] = deque(["0"], maxlen=20)
        self._held: dict[str, list[tuple[str, int]]] = {"0": []}
        self._tasks: deque[tasks.Task] = deque(maxlen=40)
        self._steps: list[tuple[int, Callable[[], None]]] = [
            (12, self.accept),
            (3, self.accept_batch),
            (1, self.reserve),
            (14, self.take),
            (10, self.plan),
            (18, self.claim),
            (8, self.begin),
            (4, self.renew),
            (16, self.settle),
            (3, self.settled),
            (6, self.fail),
            (4, self.release),
            (6, self.rescue),
            (6, self.passages),
            (12, self.assemble),
            (3, self.abort),
            (2, self.cancel),
            (4, self.retry),
            (5, self.revise),
            (4, self.retire),
            (6, self.expire),
            (4, self.forget),
            (3, self.batches),
            (4, self.deliver),
            (4, self.documents),
            (3, self.lexicons),
            (3, self.tasks),
            (8, self.wait),
        ]

    def run(self, steps: int, look_every: int = 4) -> None:
        weights, verbs = zip(*self._steps, strict=True)
        for step in range(steps):
            verb = self.random.choices(verbs, weights)[0]
            try:
                verb()
                if step % look_every == 0:
                    self.compare()
            except (AssertionError, KeyError, ResponseError) as error:  # a script may fall over what a bug has left
                raise AssertionError(f"step {step}, {verb.__name__}: {error}") from error
        self.compare()

    def same(self, call: Call[Any], expected: Any, **constants: int) -> None:
        """The store answers as the model did; an error by its code. `constants` are those of this call's script."""
        try:
            answer = self.farm.run(call, **constants)
        except (BadInput, Conflict, NotFound, Outdated, QuotaExceeded) as error:
            answer = error.code
            self.hits[answer] += 1
        assert answer == expected, f"{call.verb}{call.args} answered {answer}, not {expected}"
        if expected not in (None, False, 0, {}) and not (
            isinstance(expected, segments.Rescued) and not expected.segments
        ):
            self.hits[call.verb] += 1

    def compare(self) -> None:
        expected, found = expected_keys(self.model), snapshot(self.farm.redis)
        for key in sorted(expected.keys() | found.keys()):
            assert found.get(key) == expected.get(key), f"{key} holds {found.get(key)}, not {expected.get(key)}"
        stream = [(fields[b"o"].decode(), fields[b"s"].decode()) for _, fields in self.farm.redis.xrange("f:ev")]
        assert stream == self.model.events
        for key in self.farm.redis.keys("f:desk:*"):
            for tenant, score in self.farm.redis.zrange(key, 0, -1, withscores=True):
                leaf = key.replace(b"desk", b"due") + b":" + tenant
                head = self.farm.redis.zrange(leaf, 0, 0, withscores=True)[0][1]
                assert score == head or head < score < self.model.now + 1, (
                    f"{key!r} seats {tenant!r} at {score}, not {head}"
                )

    # --- steps --------------------------------------------------------------------------------------------------------

    def accept(self) -> None:
        if len(self.model.jobs) >= MOST_JOBS:
            return
        self._named += 1
        choose, chance = self.random.choice, self.random.random
        open_batches = [id for id, batch in self.model.batches.items() if batch.accepted < batch.new.total]
        batch = choose(open_batches) if open_batches and chance() < 0.5 else None
        planned = choose((0, 1, 3, 9)) if chance() < 0.2 else None
        new = jobs.NewJob(
            id=choose(list(self.model.jobs)) if self.model.jobs and chance() < 0.05 else f"job_{self._named}",
            tenant=self.model.batches[batch].new.tenant if batch else choose(TENANTS),
            model="m",
            lane=choose(list(Lane)),
            spec='{"spec": 1}',
            text=choose(("text", None)) if planned is None else None,
            characters=4,
            retention_s=choose((1, 20)),
            on_error=choose(("fail", "skip")),
            batch="batch_gone" if chance() < 0.02 else batch,
            shares=batch in self.model.shared,
            events=choose(((), EVENTS, ("failed",))),
            idempotency_key=f"key{self.random.randrange(6)}" if chance() < 0.15 else None,
            request_digest=choose(("digest1", "digest2")),
            streamed=chance() < 0.2,
            planned=planned,
            stored=choose((0, 500)),
        )
        self.same(jobs.accept(new), self.model.accept(new))

    def accept_batch(self) -> None:
        if len(self.model.batches) >= 3:
            return
        self._named += 1
        total = self.random.randint(1, 5)
        new = batches.NewBatch(
            id=self.random.choice([f"batch_{self._named}"] * 9 + [*self.model.batches]),
            tenant=self.random.choice(TENANTS),
            total=total,
            written=Written(total, 4 * total, 15 * total, self.random.choice((0, 500 * total)), 77),
            spec="{}",
            shared=self.random.choice((None, '{"metadata": {"a": "b"}}')),
            retention_s=2,
            webhook=self.random.random() < 0.7,
            idempotency_key=self.random.choice((None, "key1", "key2")),
            request_digest="digest1",
        )
        self.same(batches.accept(new), self.model.accept_batch(new))

    def reserve(self) -> None:
        arguments = (
            self.random.choice(TENANTS),
            f"key{self.random.randrange(6)}",
            self.random.choice(("digest1", "digest2")),
        )
        self.same(jobs.reserve(*arguments, ttl_ms=10**9), self.model.reserve(*arguments))
        if self.random.random() < 0.7:
            self.model.unreserve(*arguments)
            self.same(jobs.unreserve(*arguments), None)

    def take(self) -> None:
        kinds = self.random.choice(([Due.PLAN], [Due.ASSEMBLE], [Due.PLAN, Due.ASSEMBLE, Due.DELIVER], list(Due)))
        want = self.random.randint(1, 4)
        taken = self.farm.run(tasks.take(kinds, want=want, lease_ms=LEASE))
        self.model.taken(taken, kinds, want, LEASE)
        self._tasks.extend(taken)

    def plan(self) -> None:
        for task in self._of(Due.PLAN):
            total, stored = self.random.choice((0, 1, 3, 8, 9, 20, 33, 70)), self.random.choice((0, 300))
            cuts = self.random.sample(range(1, total), self.random.choice((1, 2))) if total > 2 else []
            ends = (*sorted(cuts), total) if cuts and self.random.random() < 0.6 else ()
            planned = (task.id, task.token, total, stored, ends)
            self.same(jobs.plan(*planned), self.model.plan(*planned))

    def claim(self) -> None:
        want, turn = self.random.choice((1, 3, 8, 32, 70)), self.random.choice((1, 4, 8))
        express = self.random.random() < 0.2
        grant = self.farm.run(segments.claim("m", want=want, worker="w", lease_ms=LEASE, express=express), TURN=turn)
        self.hits["held back"] += self.model.claimed(grant, want, "w", LEASE, express)
        if grant is not None:
            self.hits["claim"] += 1
            self._tokens.append(grant.token)
            self._held[grant.token] = _pairs(grant)

    def begin(self) -> None:
        token, by_job = self._some()
        self.same(segments.begin(token, by_job), self.model.begin(token, by_job))

    def renew(self) -> None:
        token, _ = self._some()
        self.same(segments.renew(token, LEASE), self.model.renew(token, LEASE))

    def settle(self) -> None:
        token, by_job = self._some()
        clips = [
            segments.Settled(id, index, milliseconds, cached=self.random.random() < 0.3, review=milliseconds % 3 == 0)
            for id, indices in by_job.items()
            for index in indices
            for milliseconds in (self.random.randrange(3000),)
        ]
        if self.model.jobs and self.random.random() < 0.3:
            weak = [(id, index) for id, job in self.model.jobs.items() for index in job.attempts]
            other = (self.random.choice(list(self.model.jobs)), self.random.choice((0, 5, 75, 10**9)))
            clips.append(segments.Settled(*self.random.choice([*weak, other]), milliseconds=7))
        if clips:
            self.same(segments.settle(token, clips), self.model.settle(token, clips))

    def settled(self) -> None:
        if not self.model.jobs:
            return
        id, tenant = self.random.choice(list(self.model.jobs)), self.random.choice(TENANTS)
        found, expected = self.farm.run(jobs.settled(id, tenant)), self.model.settled(id, tenant)
        assert (found is None) == (expected is None), f"settled {id} of {tenant} answered {found}"
        if found is not None and expected is not None:
            clips = range(expected.total + 1)
            seen, right = ((each.status, each.total, [each.has(n) for n in clips]) for each in (found, expected))
            assert seen == right, f"settled {id} answered {found}, not {expected}"
            self.hits["settled"] += 1

    def fail(self) -> None:
        token, by_job = self._some()
        weak = [
            (token, id, index)
            for token, lease in self.model.leases.items()
            for id, index in lease.segments
            if id in self.model.jobs and index in self.model.jobs[id].attempts
        ]
        if weak and self.random.random() < 0.6:
            token, id, index = self.random.choice(weak)
            by_job = {id: [index]}
        for id, indices in by_job.items():
            for index in indices[:2]:
                most = self.random.choice((1, 3))
                self.same(
                    segments.fail(token, id, index, "bad"),
                    self.model.fail(token, id, index, "bad", most),
                    MAX_ATTEMPTS=most,
                )

    def release(self) -> None:
        token, by_job = self._some()
        chosen = None if self.random.random() < 0.5 else by_job
        self.same(segments.release(token, chosen), self.model.release(token, chosen))

    def rescue(self) -> None:
        limit = self.random.choice((1, 50))
        outage = self.random.choice((3 * LEASE, 60 * LEASE, 60 * LEASE))
        self.same(segments.rescue(outage, limit), self.model.rescue(outage, limit))

    def passages(self) -> None:
        for task in self._of(Due.PASSAGE):
            if task.id.rpartition(".")[2].isdecimal():
                self.same(tasks.passage(task), self.model.passage(task))
                again = self.random.choices(range(4), k=self.random.choice((0, 0, 3)))
                self.same(tasks.passage_done(task, again), self.model.passage_done(task, again))

    def assemble(self) -> None:
        for task in self._of(Due.ASSEMBLE):
            job = self.model.jobs.get(task.id)
            total = (job.counters or {}).get("total", 0) if job else 0
            if self.random.random() < 0.5:
                indices = self.random.sample(range(total + 9), self.random.choice((0, 2, min(total, 9))))
                self.same(jobs.redo(task.id, task.token, indices), self.model.redo(task.id, task.token, indices))
            else:
                self.same(
                    jobs.finish(task.id, task.token, "{}", 9_000), self.model.finish(task.id, task.token, "{}", 9_000)
                )

    def abort(self) -> None:
        for task in self._of(self.random.choice((Due.PLAN, Due.ASSEMBLE, Due.EXPIRE)), most=1):
            self.same(
                jobs.abort(task.id, task.kind, task.token, "{}"), self.model.abort(task.id, task.kind, task.token, "{}")
            )

    def cancel(self) -> None:
        id, tenant = self._job(OPEN)
        quarantined = [job for job in self.model.jobs.values() if job.quarantined]
        if quarantined and self.random.random() < 0.3:
            id, tenant = quarantined[0].new.id, quarantined[0].new.tenant
        self.same(jobs.cancel(id, tenant), self.model.cancel(id, tenant))

    def retry(self) -> None:
        id, tenant = self._job(set(Status) - OPEN)
        self.same(jobs.retry(id, tenant), self.model.retry(id, tenant))

    def revise(self) -> None:
        id, tenant = self._job(set(Status) - OPEN)
        succeeded = [job for job in self.model.jobs.values() if job.result is not None]
        if succeeded and self.random.random() < 0.6:
            id, tenant = succeeded[0].new.id, succeeded[0].new.tenant
        job, choose, chance = self.model.jobs.get(id), self.random.choice, self.random.random
        spec = Spec(
            language="en",
            voice=choose(("anna", "bo")),
            on_error=choose(("fail", "skip")),
            webhook=choose((None, HOOK)),
        )
        change = revisions.Change(
            id,
            tenant,
            (job.revision if job else 1) - (chance() < 0.1),
            spec,
            characters=choose((3, 5)),
            retention_s=choose((1, 20)),
            text_bytes=choose((None, -4, 30)),
            idempotency_key=f"key{self.random.randrange(6)}" if chance() < 0.15 else None,
            request_digest=choose(("digest1", "digest2")),
        )
        self.same(revisions.revise(change), self.model.revise(change))

    def retire(self) -> None:
        for task in self._of(Due.RETIRE):
            if task.id.rpartition(".")[2].isdecimal():
                self.same(revisions.retire(task), self.model.retire(task))

    def expire(self) -> None:
        for task in self._of(Due.EXPIRE, most=2):
            self.same(jobs.expire(task.id, task.token, 2), self.model.expire(task.id, task.token, 2))

    def forget(self) -> None:
        ended = len(self.model.jobs) >= MOST_JOBS - 2 or self.random.random() < 0.8
        id, tenant = self._job(set(Status) - OPEN if ended else set(Status))
        owner = self.random.choice((None, tenant))
        self.same(jobs.forget(id, owner), self.model.forget(id, owner))

    def batches(self) -> None:
        id = self.random.choice([*self.model.batches, "batch_none"])
        if self.random.random() < 0.3:
            self.same(batches.forget(id), self.model.forget_batch(id))
        elif self.random.random() < 0.3:
            after, limit = self.random.choice((0, 0, 2)), self.random.choice((1, 9))
            self.same(batches.cancel_jobs(id, after=after, limit=limit), self.model.cancel_jobs(id, after, limit))
        elif self.random.random() < 0.3:
            batch = self.model.batches.get(id)
            tenant = batch.new.tenant if batch and self.random.random() < 0.7 else self.random.choice(TENANTS)
            self.same(batches.drop(id, tenant), self.model.drop_batch(id, tenant))
        else:
            tenant = self.random.choice(TENANTS)
            self.same(batches.cancel(id, tenant), self.model.cancel_batch(id, tenant))

    def deliver(self) -> None:
        for task in self._of(Due.DELIVER):
            again = self.random.choice((None, 500))
            self.same(
                outbox.delivered(task, '{"n": 1}', again, outcome="delivered"),
                self.model.delivered(task, '{"n": 1}', again),
            )
        if self.model.outbox and self.random.random() < 0.3:
            id = f"{self.random.choice(list(self.model.outbox))}.{self.random.randint(1, 3)}"
            tenant = self.random.choice(TENANTS)
            self.same(outbox.redeliver(id, tenant), self.model.redeliver(id, tenant))

    def documents(self) -> None:
        tenant, id, limit = self.random.choice(KEEPERS), f"doc_{self.random.randrange(4)}", 2
        bytes, due_ms = self.random.choice((0, 700, 90_000)), self.random.choice((0, 50, 9_000))
        record, token = f'{{"n": {bytes}}}', ""
        if self.random.random() < 0.4:
            put = (tenant, id, record)
            self.same(
                documents.put(*put, bytes=bytes, due_ms=due_ms, limit=limit),
                self.model.put_document(*put, bytes, due_ms, limit),
            )
            return
        taken = [task for task in self._tasks if task.kind == Due.DOCUMENT]  # some of them by desks that are late
        if taken and self.random.random() < 0.8:
            task = self.random.choice(taken)
            tenant, id = documents.of_task(task.id)
            token = task.token
        if self.random.random() < 0.5:
            self.same(
                documents.note(tenant, id, record, bytes=bytes, due_ms=due_ms, token=token),
                self.model.note_document(tenant, id, record, bytes, due_ms, token),
            )
        else:
            self.same(documents.drop(tenant, id, token), self.model.drop_document(tenant, id, token))

    def lexicons(self) -> None:
        tenant, name = self.random.choice(KEEPERS), f"words{self.random.randrange(3)}"
        if self.random.random() < 0.4:
            self.same(lexicons.drop(tenant, name), self.model.drop_lexicon(tenant, name))
            return
        bytes = self.random.choice((0, 300, 40_000))
        stale = self.random.random() < 0.2
        old = "1 {}" if stale else self.farm.run(lexicons.every(tenant)).get(name, "")
        self.same(
            lexicons.put(tenant, name, f'{{"n": {bytes}}}', bytes=bytes, old=old, limit=2),
            self.model.put_lexicon(tenant, name, f'{{"n": {bytes}}}', bytes, old, 2),
        )

    def tasks(self) -> None:
        if self._tasks:
            task = self.random.choice(self._tasks)
            if self.random.random() < 0.5:
                self.same(tasks.extend(task, 2 * LEASE), self.model.extend(task, 2 * LEASE))
            elif task.kind not in (Due.EXPIRE, Due.PLAN, Due.ASSEMBLE, Due.PASSAGE):
                again = self.random.choice((None, 100))
                self.same(tasks.done(task, again), self.model.done(task, again))
            else:
                self.same(tasks.done(task, 100), self.model.done(task, 100))

    def wait(self) -> None:
        self.farm.clock.forward(self.random.choice((1, 50, 400, 1100, 1100, 3500)))
        self.model.now = self.farm.clock.now

    # --- choices ------------------------------------------------------------------------------------------------------

    def _of(self, kind: Due, most: int = 3) -> list[tasks.Task]:
        """Tasks of a kind, now and then with the token of another."""
        taken = [task for task in self._tasks if task.kind == kind]
        late = self.random.random() < 0.1
        taken = [task for task in taken if late or self.model.due.get((kind, task.id), (0, ""))[1] == task.token][
            -most:
        ]
        if self._tasks and self.random.random() < 0.1:
            taken.append(tasks.Task(kind, self.random.choice(self._tasks).id, self.random.choice(self._tasks).token))
        return taken

    def _some(self) -> tuple[str, dict[str, list[int]]]:
        """A token, mostly of a living lease, and some of the segments that it once held."""
        living = list(self.model.leases)
        token = self.random.choice(living if living and self.random.random() < 0.8 else list(self._tokens))
        share = self.random.choice((0.3, 0.8, 1.0))
        segments: dict[str, list[int]] = {}
        for id, index in self._held[token]:
            if self.random.random() < share:
                segments.setdefault(id, []).append(index)
        return token, segments

    def _job(self, statuses: Any) -> tuple[str, str]:
        jobs = [job for job in self.model.jobs.values() if job.status in statuses]
        if not jobs or self.random.random() < 0.05:
            return self.random.choice([*self.model.jobs, "job_none"]), self.random.choice(TENANTS)
        job = self.random.choice(jobs)
        return job.new.id, job.new.tenant


def _pairs(grant: segments.Grant) -> list[tuple[str, int]]:
    return [(id, index) for id, indices in grant.segments.items() for index in indices]
