"""Segments under leases: claim, begin, settle, fail, renew, release and rescue."""

from __future__ import annotations

import json
import random
import time

import pytest
import redis

from farm.job import Due, Lane, Status
from farm.outcome import SEGMENT_FAILED, read_outcome
from farm.store import Store, jobs, registry, segments, tasks
from farm.wire import JobError
from tests.patience import patient
from tests.store.clocked import LEASE, Farm, new_job


def clips(job: str, *indices: int) -> list[segments.Settled]:
    return [segments.Settled(job, index, 100) for index in indices]


# --- claim and begin --------------------------------------------------------------------------------------------------


def test_the_wait_of_a_job_is_counted_by_the_claim_that_begins_it(farm: Farm) -> None:
    farm.running("job_a", segments=9)
    farm.clock.forward(2_000)
    farm.running("job_b", segments=9)
    farm.clock.forward(1_000)
    assert set(farm.claim(want=16).segments) == {"job_a", "job_b"}
    farm.clock.forward(1_000)
    assert set(farm.claim(want=2).segments) == {"job_a", "job_b"}
    (waits,) = farm.run(registry.backlog()).tally.histograms("wait").values()
    assert (sum(waits.counts), waits.seconds) == (2, 3.0 + 1.0)


def test_a_settle_says_how_many_jobs_it_completed(farm: Farm) -> None:
    """Whoever settles then wakes the desk, which would sleep until the keeper looks."""
    farm.running("job_a", segments=2)
    farm.running("job_b", segments=1)
    assert farm.run(segments.settle("0", clips("job_a", 0))) == segments.Settlement([True], 0)
    both = [*clips("job_a", 0, 1), *clips("job_b", 0)]
    assert farm.run(segments.settle("0", both)) == segments.Settlement([False, True, True], 2)
    assert farm.run(segments.settle("0", both)) == segments.Settlement([False, False, False], 0)


def test_a_segment_is_claimed_once(farm: Farm) -> None:
    farm.running(segments=100)
    claimed = [index for _ in range(4) for index in farm.claim(want=30).segments["job_a"]]
    assert sorted(claimed) == list(range(100))
    assert farm.idle()


def test_a_claim_of_too_many_or_no_segments_is_refused_before_it_is_sent() -> None:
    for want in (0, 1001):
        with pytest.raises(ValueError, match="claim 1 to 1000"):
            segments.claim("m", want=want, worker="w", lease_ms=LEASE)


def test_models_do_not_share_work(farm: Farm) -> None:
    farm.running("job_a", 3)
    farm.accept("job_b", model="other")
    assert farm.run(jobs.plan("job_b", farm.task(Due.PLAN, "job_b").token, 2))
    assert farm.claim().segments == {"job_a": [0, 1, 2]}
    assert farm.idle()
    assert len(farm.run(segments.claim("other", want=9, worker="w", lease_ms=LEASE))) == 2


def test_express_claims_interactive_work_only(farm: Farm) -> None:
    farm.running("job_a", 3)
    assert farm.idle(express=True)
    farm.running("job_b", 2, lane=Lane.INTERACTIVE)
    assert farm.claim(express=True).segments == {"job_b": [0, 1]}


def test_begin_returns_the_segments_that_are_still_held_and_wanted(farm: Farm) -> None:
    farm.running("job_a", 6)
    farm.running("job_b", 2)
    grant = farm.claim()
    farm.run(segments.settle("0", clips("job_a", 1)))
    farm.run(segments.release(grant.token, {"job_a": [2]}))
    farm.run(jobs.cancel("job_b", "ann"))
    assert farm.run(segments.begin(grant.token, {"job_a": [0, 1, 2, 3, 77], "job_b": [0]})) == {"job_a": [0, 3]}
    assert farm.run(segments.begin("4711", {"job_a": [4]})) == {}


# --- settle -----------------------------------------------------------------------------------------------------------


def test_the_last_clip_makes_the_job_due_for_assembly(farm: Farm) -> None:
    farm.running(segments=3)
    grant = farm.claim()
    assert farm.run(segments.settle(grant.token, clips("job_a", 0, 2))).counted == [True, True]
    assert farm.record().status == Status.RUNNING
    assert farm.run(segments.settle(grant.token, clips("job_a", 1))).counted == [True]
    assert farm.record().status == Status.ASSEMBLING
    assert farm.task(Due.ASSEMBLE, "job_a")


def test_a_clip_counts_once(farm: Farm) -> None:
    farm.running(segments=3)
    grant = farm.claim()
    assert farm.run(segments.settle(grant.token, clips("job_a", 0, 0, 1))).counted == [True, False, True]
    assert farm.run(segments.settle(grant.token, clips("job_a", 0, 1))).counted == [False, False]
    assert (farm.record().done, farm.record().milliseconds) == (2, 200)


def test_clips_count_once_in_any_order_and_beside_others_that_count_already(farm: Farm) -> None:
    farm.running(segments=100)
    token, earlier = farm.claim(want=100).token, range(3, 100, 7)
    assert all(farm.run(segments.settle(token, clips("job_a", *reversed(earlier)))).counted)
    shuffled = random.Random(1).sample(range(100), 100)
    settlement = farm.run(segments.settle(token, clips("job_a", *shuffled, 0, 99)))
    assert settlement.counted == [*(index not in earlier for index in shuffled), False, False]
    assert (settlement.became_due, farm.record().done) == (1, 100)


def test_the_list_of_jobs_with_fresh_clips_stays_short(farm: Farm) -> None:
    farm.running(segments=400)
    for index in range(400):
        farm.run(segments.settle("0", clips("job_a", index)), SETTLED_KEPT=100)
    assert 100 <= farm.redis.xlen("f:settled") < 250  # Redis drops whole pages of a stream


def test_clips_of_many_jobs_are_answered_in_the_order_given(farm: Farm) -> None:
    farm.running("job_a", 3)
    farm.running("job_b", 3)
    mixed = [
        segments.Settled("job_a", 0, 1),
        segments.Settled("job_b", 9, 1),
        segments.Settled("job_a", 1, 1),
        segments.Settled("job_none", 0, 1),
    ]
    assert farm.run(segments.settle("0", [*mixed, segments.Settled("job_b", 0, 1)])).counted == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_a_segment_that_a_job_does_not_have_is_refused_before_anything_is_written(farm: Farm) -> None:
    farm.running(segments=3)
    assert farm.run(segments.settle("0", clips("job_a", 3, 7, 2**32 - 1, 10**15))).counted == [False] * 4
    assert farm.record().done == 0
    assert not farm.redis.exists("f:d:job_a")
    with pytest.raises(ValueError, match="negative"):
        segments.settle("0", clips("job_a", -1))


def test_a_late_worker_settles_a_segment_that_is_ready_again(farm: Farm) -> None:
    farm.running(segments=3)
    grant = farm.claim()
    farm.lose_workers()
    assert farm.record().ready == 3
    assert farm.run(segments.settle(grant.token, clips("job_a", 0, 1, 2))).counted == [True] * 3
    assert farm.record().ready == 0
    assert farm.idle()


def test_a_late_worker_settles_a_segment_that_another_holds(farm: Farm) -> None:
    farm.running(segments=3)
    late = farm.claim()
    farm.lose_workers()
    other = farm.claim()
    assert farm.run(segments.settle(late.token, clips("job_a", 0))).counted == [True]
    assert farm.run(segments.begin(other.token, {"job_a": [0, 1]})) == {"job_a": [1]}
    assert farm.run(segments.settle(other.token, clips("job_a", 0, 1))).counted == [False, True]
    farm.lose_workers()
    assert farm.claim().segments == {"job_a": [2]}


def test_a_late_worker_settles_a_quarantined_segment(farm: Farm) -> None:
    farm.running(segments=3)
    farm.quarantine(index=1)
    assert farm.run(segments.settle("0", clips("job_a", 1))).counted == [True]
    assert farm.record().status == Status.ASSEMBLING
    assert farm.idle()


def test_a_late_worker_brings_a_dead_segment_back(farm: Farm) -> None:
    farm.running(segments=2, on_error="skip")
    grant = farm.claim()
    farm.run(segments.fail(grant.token, "job_a", 0, "bad"), MAX_ATTEMPTS=1)
    assert farm.record().dead == 1
    assert farm.run(segments.settle("0", clips("job_a", 0))).counted == [True]
    assert (farm.record().dead, farm.record().done, farm.run(jobs.attempts("job_a"))) == (0, 1, {})
    farm.run(segments.settle(grant.token, clips("job_a", 1)))
    assert farm.record().status == Status.ASSEMBLING


@pytest.mark.parametrize("end", ["canceled", "forgotten", "assembling"])
def test_a_late_clip_of_a_job_that_no_longer_runs_does_not_count(farm: Farm, end: str) -> None:
    farm.running(segments=2)
    grant = farm.claim()
    if end == "assembling":
        farm.run(segments.settle("0", clips("job_a", 0, 1)))
    elif end == "canceled":
        farm.run(jobs.cancel("job_a", "ann"))
    else:
        farm.redis.delete("f:j:job_a")
    assert farm.run(segments.settle(grant.token, clips("job_a", 0, 1))).counted == [False, False]
    assert not farm.redis.exists("f:lease")


def test_clips_that_were_found_in_storage_count_as_cached(farm: Farm) -> None:
    farm.running(segments=3)
    grant = farm.claim()
    farm.run(
        segments.settle(
            grant.token, [segments.Settled("job_a", 0, 100, cached=True), segments.Settled("job_a", 1, 100)]
        )
    )
    farm.run(segments.settle(grant.token, [segments.Settled("job_a", 1, 100, cached=True)]))
    assert (farm.record().cached, farm.record().done) == (1, 2)


def test_clips_that_somebody_should_listen_to_are_counted_once(farm: Farm) -> None:
    farm.running(segments=3)
    token = farm.claim().token
    for _ in range(2):
        odd = segments.Settled("job_a", 0, 100, cached=True, review=True)
        farm.run(segments.settle(token, [odd, segments.Settled("job_a", 1, 100)]))
    assert (farm.record().review, farm.record().done) == (1, 2)


# --- fail -------------------------------------------------------------------------------------------------------------


def test_a_failing_segment_is_ready_again_then_quarantined_then_dead(farm: Farm) -> None:
    farm.running(segments=2)
    for tries in ({"job_a": [0, 1]}, {"job_a": [0]}):
        grant = farm.claim()
        assert grant.segments == tries
        assert farm.run(segments.fail(grant.token, "job_a", 0, "no such voice"))
        farm.run(segments.settle(grant.token, clips("job_a", 1)))
    farm.running("job_b", 5)
    alone = farm.claim()
    assert alone.segments == {"job_a": [0]}
    assert alone.quarantined
    assert farm.run(segments.fail(alone.token, "job_a", 0, "no such voice"))
    record = farm.record()
    assert record.status == Status.FAILED
    assert json.loads(record.outcome or "") == {"code": "segment_failed", "segment": 0, "message": "no such voice"}
    assert read_outcome(record.outcome or "") == JobError(code=SEGMENT_FAILED, segment=0, message="no such voice")


@pytest.mark.parametrize("how", ["release", "rescue"])
def test_a_quarantined_segment_that_comes_back_before_it_began_is_claimed_alone_again(farm: Farm, how: str) -> None:
    farm.running(segments=2)
    farm.quarantine(index=1)
    farm.running("job_b", 5)
    alone = farm.claim()
    assert alone.quarantined
    if how == "release":
        assert farm.run(segments.release(alone.token)) == 1
    else:
        farm.lose_workers()
    grants = [farm.claim(), farm.claim()]
    assert sorted((dict(grant.segments), grant.quarantined) for grant in grants if grant.quarantined) == [
        ({"job_a": [1]}, True)
    ]
    assert [len(grant) for grant in grants if not grant.quarantined] == [5]


def test_a_job_that_skips_errors_goes_on_without_the_dead_segment(farm: Farm) -> None:
    farm.running(segments=2, on_error="skip")
    grant = farm.claim()
    farm.run(segments.settle(grant.token, clips("job_a", 1)))
    assert farm.run(segments.fail(grant.token, "job_a", 0, "bad"), MAX_ATTEMPTS=1)
    assert (farm.record().status, farm.record().dead) == (Status.ASSEMBLING, 1)
    assert farm.run(jobs.attempts("job_a")) == {0: jobs.Lost(error="bad")}


def test_a_late_worker_cannot_fail_a_segment(farm: Farm) -> None:
    farm.running(segments=2)
    late = farm.claim()
    farm.lose_workers()
    assert not farm.run(segments.fail(late.token, "job_a", 0, "bad"), MAX_ATTEMPTS=1)
    assert farm.record().status == Status.RUNNING


# --- renew and release ------------------------------------------------------------------------------------------------


def test_a_renewal_keeps_a_lease_and_names_jobs_that_ended(farm: Farm) -> None:
    farm.running("job_a", 2)
    farm.running("job_b", 2)
    grant = farm.claim()
    farm.run(segments.rescue(LEASE))
    for _ in range(3):
        farm.clock.forward(LEASE - 1)
        assert farm.run(segments.renew(grant.token, LEASE)) == segments.Renewal(True, frozenset())
        assert farm.run(segments.rescue(LEASE)) == segments.Rescued(0, 0, False)
    farm.run(jobs.cancel("job_b", "ann"))
    assert farm.run(segments.renew(grant.token, LEASE)) == segments.Renewal(True, frozenset({"job_b"}))


def test_a_late_worker_cannot_renew(farm: Farm) -> None:
    farm.running(segments=2)
    late = farm.claim()
    farm.lose_workers()
    assert farm.run(segments.renew(late.token, LEASE)) == segments.Renewal(False, frozenset())


def test_released_segments_are_ready_again_without_a_lost_attempt(farm: Farm) -> None:
    farm.running(segments=10)
    grant = farm.claim()
    farm.run(segments.begin(grant.token, {"job_a": [0, 1]}))
    assert farm.run(segments.release(grant.token, {"job_a": [0, 1, 99]})) == 2
    assert farm.run(segments.settle(grant.token, clips("job_a", 2))).counted == [True]
    assert farm.run(segments.release(grant.token)) == 7
    assert farm.run(jobs.attempts("job_a")) == {}
    assert farm.record().ready == 9
    assert farm.run(segments.release(grant.token)) == 0


def test_a_late_worker_cannot_release_the_segments_of_another(farm: Farm) -> None:
    farm.running(segments=4)
    late = farm.claim()
    farm.lose_workers()
    farm.claim()
    assert farm.run(segments.release(late.token)) == 0
    assert farm.idle()


# --- rescue -----------------------------------------------------------------------------------------------------------


def test_only_begun_segments_lose_an_attempt_with_their_worker(farm: Farm) -> None:
    farm.running(segments=4)
    grant = farm.claim()
    farm.run(segments.begin(grant.token, {"job_a": [1, 2]}))
    farm.lose_workers()
    assert farm.run(jobs.attempts("job_a")) == {1: jobs.Lost(1), 2: jobs.Lost(1)}
    assert farm.claim().segments == {"job_a": [0, 1, 2, 3]}


def test_a_segment_that_kills_its_workers_takes_no_neighbours_with_it(farm: Farm) -> None:
    """Of 70 segments number 40 kills every worker that renders it. The worker holds one batch ahead."""
    farm.running(segments=70, on_error="skip")
    deaths = 0
    while farm.record().status == Status.RUNNING:
        grant = farm.claim()
        farm.run(segments.claim("m", want=32, worker="w", lease_ms=LEASE))
        farm.run(segments.begin(grant.token, grant.segments))
        if 40 in grant.segments["job_a"]:
            deaths += 1
        else:
            farm.run(segments.settle(grant.token, clips("job_a", *grant.segments["job_a"])))
        farm.lose_workers()
    assert (deaths, farm.record().dead, farm.record().done) == (3, 1, 69)
    assert farm.run(jobs.attempts("job_a"))[40] == jobs.Lost(error="worker lost")


def test_quarantined_segments_do_not_hold_up_the_others(farm: Farm) -> None:
    farm.running("job_a", 3)
    farm.quarantine("job_a", 0)
    farm.running("job_b", 40)
    alone, batch = farm.claim(), farm.claim()
    assert (alone.segments, len(batch)) == ({"job_a": [0]}, 32)


def test_after_an_outage_leases_are_extended_once_and_no_segment_is_taken_back(farm: Farm) -> None:
    farm.running(segments=2)
    grant = farm.claim()
    farm.run(segments.rescue(LEASE))
    farm.clock.forward(10 * LEASE)
    assert farm.run(segments.rescue(LEASE)) == segments.Rescued(0, 1, True)
    assert farm.run(segments.renew(grant.token, LEASE)).held
    farm.clock.forward(LEASE)
    assert farm.run(segments.rescue(LEASE)) == segments.Rescued(2, 1, False)


def test_one_rescue_takes_back_a_limited_number_of_leases(farm: Farm) -> None:
    farm.running(segments=60)
    for _ in range(6):
        farm.claim(want=10)
    farm.run(segments.rescue(LEASE))
    farm.clock.forward(LEASE)
    assert [farm.run(segments.rescue(LEASE, limit=4)).leases for _ in range(3)] == [4, 2, 0]
    assert farm.record().ready == 60


def test_a_lease_expires_by_the_clock_of_redis(redis_url: str) -> None:
    """With the real clock: a lease of 50 ms, and rescues until it has expired."""
    store = Store.connect(redis_url)
    store.run(jobs.accept(new_job()))
    (task,) = store.run(tasks.take([Due.PLAN], want=1, lease_ms=LEASE))
    store.run(jobs.plan("job_a", task.token, 2))
    client = redis.Redis.from_url(redis_url)
    begun = client.time()
    grant = store.run(segments.claim("m", want=2, worker="w", lease_ms=50))
    assert grant is not None
    rescued, deadline = store.run(segments.rescue(LEASE)), time.monotonic() + patient(10)
    while not rescued.leases and time.monotonic() < deadline:
        rescued = store.run(segments.rescue(LEASE))
    ended = client.time()
    assert rescued == segments.Rescued(2, 1, False)
    assert (ended[0] - begun[0]) * 1000 + (ended[1] - begun[1]) / 1000 >= 49
    store.close()
    client.close()
