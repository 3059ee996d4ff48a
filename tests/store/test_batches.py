"""Batches: jobs accepted one by one, counted together, ended once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from farm.errors import BadInput, Conflict, NotFound
from farm.job import Due, Lane, Status
from farm.store import batches, jobs, outbox, quotas, segments, tasks
from tests.store.clocked import NOON, Farm, new_job


def new_batch(id: str = "batch_a", total: int = 2, **more: Any) -> batches.NewBatch:
    return batches.NewBatch(id, "ann", total, **{"spec": '{"b": 1}', "retention_s": 3600, **more})


def record(farm: Farm, batch: str = "batch_a") -> batches.BatchRecord:
    found = farm.run(batches.record(batch))
    assert found is not None
    return found


def events(farm: Farm, owner: str) -> list[str]:
    stream = farm.redis.xrange("f:ev")
    return [fields[b"s"].decode() for _, fields in stream if fields[b"o"].decode() == owner]


def test_an_accepted_batch_is_due_for_the_desk(farm: Farm) -> None:
    assert farm.run(batches.accept(new_batch())) == jobs.Accepted("batch_a", replayed=False)
    assert farm.run(batches.accept(new_batch())) == jobs.Accepted("batch_a", replayed=True)
    assert farm.task(Due.BATCH, "batch_a")
    found = record(farm)
    assert (found.tenant, found.total, found.accepted, found.spec, found.created_ms) == ("ann", 2, 0, '{"b": 1}', NOON)
    assert farm.run(batches.record("batch_a", "bob")) is None
    assert farm.run(batches.record("batch_none")) is None


def test_a_batch_has_idempotency_keys_like_a_job(farm: Farm) -> None:
    farm.run(batches.accept(new_batch(idempotency_key="k", request_digest="d")))
    again = farm.run(batches.accept(new_batch("batch_b", idempotency_key="k", request_digest="d")))
    assert again == jobs.Accepted("batch_a", replayed=True)
    assert farm.run(jobs.reserve("ann", "k", "d")) == "batch_a"
    with pytest.raises(BadInput):
        farm.run(batches.accept(new_batch("batch_b", idempotency_key="k", request_digest="e")))


def test_a_batch_counts_its_jobs_and_their_segments(farm: Farm) -> None:
    farm.run(batches.accept(new_batch(total=3)))
    farm.running("job_1", 4, batch="batch_a", on_error="skip")
    farm.accept("job_2", batch="batch_a")
    grant = farm.claim()
    farm.run(
        segments.settle(
            grant.token,
            [segments.Settled("job_1", 0, 100, review=True), segments.Settled("job_1", 1, 150, cached=True)],
        )
    )
    farm.run(segments.fail(grant.token, "job_1", 2, "bad"), MAX_ATTEMPTS=1)
    found = record(farm)
    assert (found.accepted, found.segments, found.segments_done, found.segments_dead) == (2, 4, 2, 1)
    assert (found.cached, found.review, found.milliseconds, found.ended_ms) == (1, 1, 250, None)
    assert {status: count for status, count in found.counts.items() if count} == {Status.RUNNING: 1, Status.QUEUED: 1}


def test_a_batch_completes_with_its_last_job(farm: Farm) -> None:
    farm.run(batches.accept(new_batch(webhook=True)))
    task = farm.assembling("job_1", batch="batch_a")
    farm.run(jobs.finish("job_1", task.token, "{}"))
    assert record(farm).ended_ms is None
    farm.accept("job_2", batch="batch_a")
    farm.clock.forward(5)
    farm.run(jobs.cancel("job_2", "ann"))
    assert record(farm).ended_ms == NOON + 5
    assert events(farm, "batch_a") == ["completed"]
    assert farm.run(outbox.deliveries("batch_a", "ann")) == [outbox.DeliveryRecord("batch_a.1", "completed", "{}", 0)]
    farm.clock.forward(3600 * 1000)
    assert farm.task(Due.PURGE, "batch_a")


def test_a_batch_completes_again_after_a_retry(farm: Farm) -> None:
    farm.run(batches.accept(new_batch(total=1, webhook=True)))
    farm.running("job_1", 2, batch="batch_a")
    farm.run(segments.settle("0", [segments.Settled("job_1", 0, 100)]))
    farm.run(jobs.cancel("job_1", "ann"))
    assert record(farm).ended_ms == NOON

    farm.run(jobs.retry("job_1", "ann"))

    found = record(farm)
    assert (found.ended_ms, found.counts[Status.QUEUED], found.counts[Status.CANCELED]) == (None, 1, 0)
    assert (found.segments, found.segments_done, found.milliseconds) == (0, 0, 0)
    farm.clock.forward(3600 * 1000)
    assert farm.run(tasks.take([Due.PURGE], want=1, lease_ms=1000)) == []
    farm.run(jobs.abort("job_1", Due.PLAN, farm.task(Due.PLAN, "job_1").token, "{}"))
    assert record(farm).ended_ms == farm.clock.now
    assert [delivery.id for delivery in farm.run(outbox.deliveries("batch_a")) or ()] == ["batch_a.1", "batch_a.2"]


def test_a_canceled_batch_makes_no_further_jobs_and_counts_its_other_lines_as_canceled(farm: Farm) -> None:
    farm.run(batches.accept(new_batch(total=4, webhook=True)))
    farm.accept("job_1", batch="batch_a")
    first = farm.task(Due.BATCH, "batch_a")
    assert farm.run(batches.cancel("batch_a", "ann")) is True
    assert farm.task(Due.BATCH, "batch_a") != first
    with pytest.raises(Conflict, match="canceled"):
        farm.accept("job_2", batch="batch_a", events=["canceled"])
    assert farm.run(jobs.record("job_2")) is None
    assert not farm.redis.exists("f:text:job_2")
    assert [task.id for task in farm.run(tasks.take([Due.PLAN], want=9, lease_ms=1000))] == ["job_1"]
    assert farm.run(batches.cancel("batch_a", "ann")) is True
    found = record(farm)
    assert (found.skipped, found.waiting, found.ended_ms, found.counts[Status.CANCELED]) == (3, 0, None, 3)
    assert farm.run(batches.cancel_jobs("batch_a", after=0, limit=9)) == 1
    assert farm.run(batches.cancel_jobs("batch_a", after=1, limit=9)) is None
    found = record(farm)
    assert (found.canceled, found.ended_ms, found.counts[Status.CANCELED]) == (True, NOON, 4)
    assert len(farm.run(outbox.deliveries("batch_a")) or ()) == 1
    assert farm.run(batches.cancel("batch_a", "ann")) is False
    assert farm.run(batches.cancel("batch_a", "bob")) is None


def test_a_batch_that_is_canceled_before_its_first_job_has_ended(farm: Farm) -> None:
    farm.run(batches.accept(new_batch(total=3)))
    assert farm.run(batches.cancel("batch_a", "ann")) is True
    found = record(farm)
    assert (found.ended_ms, found.counts[Status.CANCELED], events(farm, "batch_a")) == (NOON, 3, ["completed"])


def test_a_batch_that_an_older_release_canceled_ends_when_its_next_job_is_refused(farm: Farm) -> None:
    farm.run(batches.accept(new_batch(total=3)))
    farm.redis.hset("f:b:batch_a", "stopped", 1)
    assert record(farm).waiting == 3
    with pytest.raises(Conflict):
        farm.accept("job_1", batch="batch_a")
    assert (record(farm).ended_ms, record(farm).waiting) == (NOON, 0)


def test_pages_of_a_batch_have_the_order_of_its_lines(farm: Farm) -> None:
    farm.run(batches.accept(new_batch(total=5)))
    for number in (3, 1, 4, 5, 9):
        farm.accept(f"job_{number}", batch="batch_a")
    farm.accept("job_other")
    page = farm.run(jobs.page("ann", batch="batch_a", limit=2))
    assert [job.id for job in page] == ["job_3", "job_1"]
    farm.run(jobs.forget("job_1"))
    rest = farm.run(jobs.page("ann", batch="batch_a", after=(2, "job_1"), limit=9))
    assert [job.id for job in rest] == ["job_4", "job_5", "job_9"]
    assert farm.run(jobs.page("bob", batch="batch_a")) == []


def test_a_deleted_job_still_counts_as_an_end_of_its_batch(farm: Farm) -> None:
    farm.run(batches.accept(new_batch(total=1)))
    farm.running("job_1", 3, batch="batch_a")
    farm.run(jobs.forget("job_1", "ann"))
    assert record(farm).ended_ms == NOON


def test_jobs_outlive_the_record_of_their_batch(farm: Farm) -> None:
    farm.run(batches.accept(new_batch(total=1, webhook=True)))
    farm.running("job_1", 1, batch="batch_a")
    assert farm.run(batches.forget("batch_a"))
    assert not farm.run(batches.forget("batch_a"))
    farm.run(segments.settle("0", [segments.Settled("job_1", 0, 100)]))
    farm.run(jobs.finish("job_1", farm.task(Due.ASSEMBLE, "job_1").token, "{}"))
    assert farm.record("job_1").batch == "batch_a"
    assert not farm.redis.keys("f:*batch_a*")
    with pytest.raises(NotFound):
        farm.run(jobs.accept(new_job("job_2", batch="batch_a")))
    assert farm.run(jobs.record("job_2")) is None


def test_what_its_jobs_share_is_kept_for_as_long_as_one_of_them_is_left(farm: Farm) -> None:
    farm.run(batches.accept(new_batch(total=2, shared='{"language":"en","metadata":{"a":"b"},"speed":2.0}')))
    farm.accept("job_1", batch="batch_a", shares=True, spec='{"speed":null,"custom_id":"c"}')
    farm.accept("job_2", batch="batch_a", shares=True, spec="{}")
    whole = json.loads(farm.record("job_1").spec)
    assert whole == {"language": "en", "metadata": {"a": "b"}, "custom_id": "c"}
    assert farm.run(batches.forget("batch_a"))
    farm.run(jobs.forget("job_2"))
    assert json.loads(farm.record("job_1").spec) == whole
    assert [json.loads(job.spec) for job in farm.run(jobs.page("ann"))] == [whole]
    farm.run(jobs.forget("job_1"))
    assert not farm.redis.keys("f:*batch_a*")


def test_a_deleted_batch_is_gone_for_its_tenant_and_due_for_the_desk(farm: Farm) -> None:
    farm.run(batches.accept(new_batch(total=3, webhook=True, idempotency_key="k", request_digest="d")))
    farm.running("job_1", 1, batch="batch_a")
    farm.accept("job_2", batch="batch_a")
    assert not farm.run(batches.drop("batch_a", "bob"))
    assert farm.run(batches.drop("batch_a", "ann"))
    assert not farm.run(batches.drop("batch_a", "ann"))
    assert farm.run(batches.record("batch_a", "ann")) is None
    assert farm.run(batches.cancel("batch_a", "ann")) is None
    with pytest.raises(Conflict):
        farm.accept("job_3", batch="batch_a")
    assert farm.run(jobs.reserve("ann", "k", "d")) is None
    assert farm.run(tasks.take([Due.BATCH, Due.PURGE], want=9, lease_ms=1000)) == []
    assert farm.run(batches.lines("batch_a", after=0, limit=9)) == [("job_1", 1), ("job_2", 2)]
    assert farm.run(batches.lines("batch_a", after=1, limit=9)) == [("job_2", 2)]
    for job in ("job_1", "job_2"):
        farm.run(jobs.forget(job))
    assert record(farm).ended_ms == NOON
    assert farm.run(outbox.deliveries("batch_a")) == []
    farm.clock.forward(10**9)
    assert farm.run(tasks.take([Due.PURGE], want=9, lease_ms=1000)) == []
    assert farm.task(Due.DELETE, "batch_a")
    assert farm.run(batches.forget("batch_a"))
    assert not farm.redis.keys("f:*batch_a*")
    assert farm.run(tasks.take(list(Due), want=9, lease_ms=10**9)) == []


def test_batches_wait_in_the_lowest_lane(farm: Farm) -> None:
    farm.run(batches.accept(new_batch()))
    farm.accept("job_a", lane=Lane.INTERACTIVE)
    assert farm.redis.exists("f:due:batch:bulk:ann")
    assert farm.run(jobs.plan("job_a", farm.task(Due.PLAN, "job_a").token, 1))
    grant = farm.claim()
    assert farm.run(segments.begin(grant.token, grant.segments)) == {"job_a": [0]}


def test_batches_are_listed_newest_first_without_deleted_ones(farm: Farm) -> None:
    for number in range(5):
        farm.run(batches.accept(new_batch(f"batch_{number}")))
        farm.clock.forward(number % 2)  # so that some share their time
    farm.run(batches.accept(batches.NewBatch("batch_bob", "bob", 1, "{}", 3600)))
    farm.run(batches.drop("batch_3", "ann"))
    assert [found.id for found in farm.run(batches.page("ann"))] == ["batch_4", "batch_2", "batch_1", "batch_0"]
    assert [found.id for found in farm.run(batches.page("bob"))] == ["batch_bob"]
    first = farm.run(batches.page("ann", limit=2))
    assert first == [record(farm, "batch_4"), record(farm, "batch_2")]
    farm.run(batches.forget("batch_2"))
    rest = farm.run(batches.page("ann", after=(first[-1].created_ms, first[-1].id)))
    assert [found.id for found in rest] == ["batch_1", "batch_0"]


def test_a_batch_that_an_older_release_accepted_or_deleted_is_listed_right(farm: Farm) -> None:
    for id in ("batch_a", "batch_b"):
        farm.run(batches.accept(new_batch(id)))
        farm.accept(f"job_{id}", batch=id)
    farm.redis.delete("f:batches:ann")
    farm.redis.hset("f:b:batch_b", "deleted", 1)
    farm.run(quotas.recount("ann"))
    assert [found.id for found in farm.run(batches.page("ann"))] == ["batch_a"]
    farm.redis.delete("f:batches:ann")
    farm.redis.hdel("f:b:batch_a", "lines")
    farm.accept("job_2", batch="batch_a")
    assert [found.id for found in farm.run(batches.page("ann"))] == ["batch_a"]
    farm.redis.delete("f:b:batch_a")
    assert farm.run(batches.page("ann")) == []
    assert not farm.redis.exists("f:batches:ann")
