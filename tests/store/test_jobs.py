"""Accepting, reading, retrying and forgetting jobs."""

from __future__ import annotations

import pytest

from farm.errors import BadInput, Conflict
from farm.job import Due, Lane, Status
from farm.order import Order
from farm.spec import Spec
from farm.store import jobs, segments, tasks
from farm.wire import Webhook
from tests.store.clocked import LEASE, NOON, Farm, new_job


def test_an_accepted_job_is_read_back(farm: Farm) -> None:
    farm.accept(spec='{"a": 1}', characters=7, lane=Lane.BULK, retention_s=60)
    record = farm.record()
    assert (record.tenant, record.model, record.lane, record.spec) == ("ann", "m", Lane.BULK, '{"a": 1}')
    assert (record.characters, record.retention_s, record.created_ms) == (7, 60, NOON)
    assert (record.status, record.total, record.place, record.outcome) == (Status.QUEUED, 0, None, None)
    assert farm.run(jobs.text("job_a")) == "Once upon."


def test_accepting_twice_under_one_id_changes_nothing(farm: Farm) -> None:
    assert farm.run(jobs.accept(new_job())) == jobs.Accepted("job_a", replayed=False)
    assert farm.run(jobs.accept(new_job(text="other"))) == jobs.Accepted("job_a", replayed=True)
    assert farm.run(jobs.text("job_a")) == "Once upon."


def test_a_job_of_another_tenant_can_not_be_seen_or_changed(farm: Farm) -> None:
    farm.accept()
    assert farm.run(jobs.record("job_a", "bob")) is None
    assert farm.run(jobs.cancel("job_a", "bob")) is None
    assert farm.run(jobs.retry("job_a", "bob")) is None
    assert not farm.run(jobs.forget("job_a", "bob"))
    assert farm.record().status == Status.QUEUED


@pytest.mark.parametrize("text", ["Once upon.", "x" * 9000], ids=["inline", "in storage"])
def test_a_job_made_from_an_order_has_all_of_its_fields(farm: Farm, text: str) -> None:
    hook = Webhook(url="https://example.org", events=["job.failed", "batch.completed"])
    spec = Spec(language="en", voice="en-us", on_error="skip", webhook=hook)
    order = Order("job_a", "m", Lane.BULK, spec, text, 77, retention_s=60)
    farm.run(jobs.accept(jobs.NewJob.of(order, "ann", key="k", digest="d")))
    record = farm.record()
    assert (record.tenant, record.model, record.lane, record.batch) == ("ann", "m", Lane.BULK, None)
    assert (Spec.model_validate_json(record.spec), record.characters, record.retention_s) == (spec, 77, 60)
    assert farm.run(jobs.text("job_a")) == (text if order.inline else None)
    assert farm.redis.hmget("f:j:job_a", "skip", "events") == [b"1", b"failed"]
    assert farm.run(jobs.reserve("ann", "k", "d")) == "job_a"


def test_a_job_keeps_its_trace_in_a_small_field_and_an_older_record_has_none(farm: Farm) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    farm.accept(trace=trace)
    assert farm.record().trace == farm.run(jobs.trace("job_a")) == trace
    assert len(trace) <= 64, "a longer value would take the whole record out of its compact form"
    farm.redis.hdel("f:j:job_a", "trace")
    assert farm.record().trace is farm.run(jobs.trace("job_a")) is None


# --- idempotency keys -------------------------------------------------------------------------------------------------


def test_a_key_answers_with_the_first_job(farm: Farm) -> None:
    farm.accept(idempotency_key="k", request_digest="d")
    again = farm.run(jobs.accept(new_job("job_b", idempotency_key="k", request_digest="d")))
    assert again == jobs.Accepted("job_a", replayed=True)
    assert farm.run(jobs.record("job_b")) is None


def test_a_key_with_another_request_is_refused(farm: Farm) -> None:
    farm.accept(idempotency_key="k", request_digest="d")
    with pytest.raises(BadInput) as error:
        farm.run(jobs.accept(new_job("job_b", idempotency_key="k", request_digest="e")))
    assert error.value.code == "idempotency_key_reused"


def test_tenants_do_not_share_keys(farm: Farm) -> None:
    farm.accept(tenant="ann:b", idempotency_key="k", request_digest="d")
    other = farm.run(jobs.accept(new_job("job_b", tenant="ann", idempotency_key="b:k", request_digest="d")))
    assert other == jobs.Accepted("job_b", replayed=False)


def test_the_key_of_a_deleted_job_is_free_again(farm: Farm) -> None:
    farm.accept(idempotency_key="k", request_digest="d")
    farm.run(jobs.forget("job_a"))
    assert not farm.run(jobs.accept(new_job("job_b", idempotency_key="k", request_digest="e"))).replayed


def test_a_reservation_keeps_others_out_until_it_is_given_back(farm: Farm) -> None:
    mine = jobs.reserve("ann", "k", "d")
    assert farm.run(mine) is None
    assert farm.run(mine) is None, "sent twice over a lost connection"
    with pytest.raises(Conflict) as error:
        farm.run(jobs.reserve("ann", "k", "d"))
    assert error.value.code == "idempotency_key_in_use"
    with pytest.raises(BadInput):
        farm.run(jobs.reserve("ann", "k", "other"))
    farm.run(jobs.unreserve("ann", "k", "d"))
    assert farm.run(jobs.reserve("ann", "k", "d")) is None


def test_a_reservation_becomes_the_job_that_it_was_made_for(farm: Farm) -> None:
    farm.run(jobs.reserve("ann", "k", "d"))
    farm.accept(idempotency_key="k", request_digest="d")
    farm.run(jobs.unreserve("ann", "k", "d"))
    assert farm.run(jobs.reserve("ann", "k", "d")) == "job_a"


def test_every_key_expires(farm: Farm) -> None:
    farm.run(jobs.reserve("ann", "reserved", "d", ttl_ms=60_000))
    farm.accept(idempotency_key="accepted", request_digest="d")
    times = sorted(farm.redis.pttl(key) for key in farm.redis.keys("f:idem:*"))
    assert 0 < times[0] <= 60_000 < times[1] <= 24 * 3600 * 1000


# --- planning and the text --------------------------------------------------------------------------------------------


def test_a_plan_makes_every_segment_ready(farm: Farm) -> None:
    farm.running(segments=21)
    record = farm.record()
    assert (record.status, record.total, record.ready, record.running_ms) == (Status.RUNNING, 21, 21, NOON)
    assert farm.run(jobs.text("job_a")) is None
    assert farm.claim(want=100).segments == {"job_a": list(range(21))}


def test_a_plan_without_segments_is_due_for_assembly_at_once(farm: Farm) -> None:
    farm.running(segments=0)
    assert farm.task(Due.ASSEMBLE, "job_a")


def test_the_text_outlives_a_cancel_so_that_a_retry_can_plan_it(farm: Farm) -> None:
    farm.accept()
    assert farm.run(jobs.cancel("job_a", "ann")) == Status.QUEUED
    assert farm.run(jobs.text("job_a")) == "Once upon."
    assert farm.run(jobs.retry("job_a", "ann")) == Status.CANCELED
    assert farm.run(jobs.plan("job_a", farm.task(Due.PLAN, "job_a").token, 1))
    assert farm.run(jobs.text("job_a")) is None


def test_the_text_is_deleted_when_the_job_expires(farm: Farm) -> None:
    farm.accept()
    farm.run(jobs.cancel("job_a", "ann"))
    farm.clock.forward(3600 * 1000)
    assert farm.run(jobs.expire("job_a", farm.task(Due.EXPIRE, "job_a").token, purge_after_s=60))
    assert farm.run(jobs.text("job_a")) is None
    farm.clock.forward(60 * 1000)
    assert farm.task(Due.PURGE, "job_a")


# --- ends -------------------------------------------------------------------------------------------------------------


def test_a_finished_job_has_its_outcome_and_is_due_to_expire(farm: Farm) -> None:
    task = farm.assembling(count=3)
    farm.clock.forward(500)
    assert farm.run(jobs.finish("job_a", task.token, '{"seconds": 3}'))
    record = farm.record()
    assert (record.outcome, record.ended_ms, record.done, record.milliseconds) == ('{"seconds": 3}', NOON + 500, 3, 300)
    assert not farm.run(jobs.finish("job_a", task.token, "{}")), "once"
    farm.clock.forward(3600 * 1000)
    assert farm.task(Due.EXPIRE, "job_a")


def test_the_work_of_a_job_is_removed_at_its_end(farm: Farm) -> None:
    farm.running(segments=40)
    farm.quarantine(index=7)
    farm.accept("job_b")
    farm.run(jobs.cancel("job_a", "ann"))
    left = {key.decode() for key in farm.redis.keys("f:*job_a*")}
    assert left == {"f:j:job_a", "f:s:job_a"}
    assert not farm.redis.exists("f:solo:m")
    assert farm.idle()


def test_an_aborted_job_has_the_reason_as_its_outcome(farm: Farm) -> None:
    farm.accept()
    task = farm.task(Due.PLAN, "job_a")
    assert farm.run(jobs.abort("job_a", Due.PLAN, task.token, '{"code": "no_text"}'))
    assert (farm.record().status, farm.record().outcome) == (Status.FAILED, '{"code": "no_text"}')
    assert farm.run(jobs.retry("job_a", "ann")) == Status.FAILED
    assert farm.record().outcome is None


def test_a_retried_job_starts_anew(farm: Farm) -> None:
    farm.running(segments=4, on_error="fail")
    grant = farm.claim()
    farm.run(segments.settle(grant.token, [segments.Settled("job_a", 0, 100, cached=True)]))
    farm.run(segments.begin(grant.token, {"job_a": [1]}))
    farm.run(segments.fail(grant.token, "job_a", 1, "bad"), MAX_ATTEMPTS=1)
    assert farm.record().status == Status.FAILED

    farm.run(jobs.retry("job_a", "ann"))

    record = farm.record()
    assert (record.total, record.done, record.dead, record.cached, record.milliseconds) == (0, 0, 0, 0, 0)
    assert (record.started, record.running_ms, record.ended_ms, record.outcome) == (False, None, None, None)
    farm.run(jobs.plan("job_a", farm.task(Due.PLAN, "job_a").token, 4))
    assert farm.run(jobs.attempts("job_a")) == {}
    assert farm.claim().segments == {"job_a": [0, 1, 2, 3]}


def test_a_holder_from_before_a_retry_cannot_give_segments_back_twice(farm: Farm) -> None:
    farm.running(segments=4)
    old = farm.claim()
    farm.run(jobs.cancel("job_a", "ann"))
    farm.run(jobs.retry("job_a", "ann"))
    farm.run(jobs.plan("job_a", farm.task(Due.PLAN, "job_a").token, 4))
    new = farm.claim()
    assert farm.run(segments.release(old.token)) == 0
    farm.clock.forward(1)
    assert farm.idle()
    assert all(
        farm.run(segments.settle(new.token, [segments.Settled("job_a", index, 100) for index in range(4)])).counted
    )


def test_a_forgotten_job_leaves_nothing(farm: Farm) -> None:
    farm.running(segments=4, events=["canceled"])
    grant = farm.claim(want=2)
    assert farm.run(jobs.forget("job_a", "ann"))
    left = {key.decode() for key in farm.redis.keys("f:*job_a*")} | set(farm.redis.hgetall("f:due:token"))
    assert left == set()
    assert farm.redis.hget("f:count", "canceled") == b"0"
    assert not farm.redis.keys("f:due:*:*")
    # Its holder can still let go of it.
    assert farm.run(segments.settle(grant.token, [segments.Settled("job_a", 0, 100)])).counted == [False]
    assert farm.run(segments.release(grant.token)) == 0
    assert not farm.run(jobs.forget("job_a"))


# --- redo -------------------------------------------------------------------------------------------------------------


def test_missing_clips_are_rendered_again(farm: Farm) -> None:
    task = farm.assembling(count=10)
    assert farm.run(jobs.redo("job_a", task.token, [3, 9, 12])) == 2
    record = farm.record()
    assert (record.status, record.done, record.ready, record.milliseconds) == (Status.RUNNING, 8, 2, 800)
    grant = farm.claim()
    assert grant.segments == {"job_a": [3, 9]}
    farm.run(segments.settle(grant.token, [segments.Settled("job_a", index, 150) for index in (3, 9)]))
    assert farm.record().milliseconds == 1100
    assert farm.task(Due.ASSEMBLE, "job_a")


def test_a_redo_of_no_segment_keeps_the_job_and_its_token(farm: Farm) -> None:
    task = farm.assembling(count=4)
    assert farm.run(jobs.redo("job_a", task.token, [])) == 0
    assert farm.run(jobs.redo("job_a", task.token, [99])) == 0
    assert farm.run(jobs.finish("job_a", task.token, "{}"))


def test_a_holder_that_was_overtaken_does_not_give_a_redone_segment_back(farm: Farm) -> None:
    farm.running(segments=2)
    slow = farm.claim()
    farm.run(segments.begin(slow.token, slow.segments))
    farm.run(segments.settle("0", [segments.Settled("job_a", index, 100) for index in range(2)]))
    farm.run(jobs.redo("job_a", farm.task(Due.ASSEMBLE, "job_a").token, [0, 1]))
    assert farm.claim().segments == {"job_a": [0, 1]}
    assert farm.run(segments.release(slow.token)) == 0
    assert farm.idle()


def test_a_redone_segment_is_no_longer_cached(farm: Farm) -> None:
    farm.running(segments=3)
    farm.run(segments.settle("0", [segments.Settled("job_a", index, 100, cached=True) for index in range(3)]))
    assert farm.run(jobs.cached_bits("job_a")) == jobs.Bits(bytes([0b11100000]))
    farm.run(jobs.redo("job_a", farm.task(Due.ASSEMBLE, "job_a").token, [1]))
    assert farm.run(jobs.cached_bits("job_a")) == jobs.Bits(bytes([0b10100000]))
    assert farm.record().cached == 2


def test_a_redone_segment_is_no_longer_one_to_listen_to(farm: Farm) -> None:
    farm.running(segments=3)
    farm.run(segments.settle("0", [segments.Settled("job_a", index, 100, review=index > 0) for index in range(3)]))
    assert farm.record().review == 2
    farm.run(jobs.redo("job_a", farm.task(Due.ASSEMBLE, "job_a").token, [0, 1]))
    assert farm.record().review == 1
    farm.run(segments.settle("0", [segments.Settled("job_a", index, 100) for index in (0, 1)]))
    assert farm.record().review == 1


@pytest.mark.parametrize("indices", [(), (0,), (7, 8), (3, 9, 12), tuple(range(40))])
def test_bits_contain_the_segments_that_they_are_made_of(indices: tuple[int, ...]) -> None:
    bits = jobs.Bits.of(indices)
    assert [index for index in range(50) if index in bits] == list(indices)


# --- records ----------------------------------------------------------------------------------------------------------


def test_a_place_is_shown_while_a_job_runs(farm: Farm) -> None:
    farm.running("job_a", 10, tenant="ann")
    farm.running("job_b", 20, tenant="bob")
    farm.running("job_c", 5, tenant="bob")
    farm.running("job_d", 3, tenant="ann", lane=Lane.BULK)
    place = farm.record("job_c").place
    assert place is not None
    assert (place.tenant_rank, place.tenants, place.job_rank, place.jobs, place.tenant_ready) == (1, 2, 1, 2, 25)
    assert place.lanes_ready == {Lane.INTERACTIVE: 0, Lane.NORMAL: 35, Lane.BULK: 3}
    farm.claim(want=100)
    place = farm.record("job_c").place
    assert place is not None
    assert (place.tenant_rank, place.job_rank, place.tenant_ready) == (None, None, 0)
    assert farm.record("job_c").started


def test_pages_run_from_the_newest_to_the_oldest(farm: Farm) -> None:
    for number in range(7):
        farm.accept(f"job_{number}")
        farm.clock.forward(number % 2)  # some in the same millisecond
    farm.accept("job_b", tenant="bob")
    seen = []
    page = farm.run(jobs.page("ann", limit=3))
    while page:
        seen += [record.id for record in page]
        page = farm.run(jobs.page("ann", after=(page[-1].created_ms, page[-1].id), limit=3))
    assert sorted(seen) == [f"job_{number}" for number in range(7)]
    assert [farm.record(job).created_ms for job in seen] == sorted(
        (farm.record(job).created_ms for job in seen), reverse=True
    )


def test_a_page_starts_behind_the_last_job_seen_though_it_was_deleted(farm: Farm) -> None:
    for number in range(6):
        farm.accept(f"job_{number}")
    first = farm.run(jobs.page("ann", limit=2))
    farm.run(jobs.forget(first[-1].id))
    rest = farm.run(jobs.page("ann", after=(first[-1].created_ms, first[-1].id), limit=9))
    assert [record.id for record in first + rest] == [f"job_{number}" for number in (5, 4, 3, 2, 1, 0)]


def test_lost_attempts_and_cached_segments_are_read_for_the_manifest(farm: Farm) -> None:
    farm.running(segments=3, on_error="skip")
    grant = farm.claim()
    farm.run(segments.settle(grant.token, [segments.Settled("job_a", 2, 100, cached=True)]))
    farm.run(segments.fail(grant.token, "job_a", 0, "no voice"), MAX_ATTEMPTS=1)
    farm.run(segments.fail(grant.token, "job_a", 1, "hiccup"))
    assert farm.run(jobs.attempts("job_a")) == {0: jobs.Lost(error="no voice"), 1: jobs.Lost(1)}
    assert farm.run(jobs.cached_bits("job_a")) == jobs.Bits(bytes([0b00100000]))
    assert farm.run(segments.rescue(1000)).segments == 0


# --- streamed jobs ----------------------------------------------------------------------------------------------------


def test_a_job_that_is_planned_already_runs_from_its_acceptance_on(farm: Farm) -> None:
    farm.accept(planned=3, text=None)
    assert (farm.record().status, farm.record().total, farm.record().ready) == (Status.RUNNING, 3, 3)
    assert farm.run(tasks.take([Due.PLAN], want=9, lease_ms=LEASE)) == []
    assert farm.claim().segments == {"job_a": [0, 1, 2]}


def test_a_streamed_job_ends_with_its_last_clip_and_without_the_desk(farm: Farm) -> None:
    farm.running(segments=2, streamed=True)
    half = farm.run(segments.settle("0", [segments.Settled("job_a", 1, 100)]))
    assert (half.became_due, farm.record().status, farm.record().streamed) == (0, Status.RUNNING, True)
    whole = farm.run(segments.settle("0", [segments.Settled("job_a", 0, 100)]))
    assert (whole.became_due, farm.record().status, farm.record().outcome) == (0, Status.SUCCEEDED, None)
    assert farm.run(tasks.take([Due.ASSEMBLE], want=9, lease_ms=LEASE)) == []
    farm.clock.forward(3600 * 1000)
    assert farm.run(jobs.expire("job_a", farm.task(Due.EXPIRE, "job_a").token, 60))


def test_a_streamed_job_without_segments_ends_when_it_is_planned(farm: Farm) -> None:
    farm.accept(streamed=True, planned=0)
    assert farm.record().status == Status.SUCCEEDED


def test_a_reader_of_clips_hears_which_segments_have_one(farm: Farm) -> None:
    farm.running(segments=3, streamed=True)
    farm.run(segments.settle("0", [segments.Settled("job_a", 1, 100)]))
    found = farm.run(jobs.settled("job_a", "ann"))
    assert found is not None
    assert [found.has(index) for index in range(3)] == [False, True, False]
    farm.run(segments.settle("0", [segments.Settled("job_a", index, 100) for index in (0, 2)]))
    found = farm.run(jobs.settled("job_a", "ann"))
    assert found is not None
    assert (found.status, found.total, [found.has(index) for index in range(3)]) == (Status.SUCCEEDED, 3, [True] * 3)
    assert farm.run(jobs.settled("job_a", "bob")) is None
    assert farm.run(jobs.settled("job_b", "ann")) is None
