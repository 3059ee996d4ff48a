"""Quotas in the store: what is counted, refused and held back, and what an older release left uncounted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.errors import Conflict
from farm.job import SHARE, TURN, Due, Lane
from farm.order import Written
from farm.quota import MINUTE_MS, NO_LIMIT, Quota, QuotaExceeded
from farm.store import batches, jobs, quotas, registry, segments, tasks
from tests.store.clocked import LEASE, Farm, new_job
from tests.store.quota_scan import counted, scanned
from tests.store.store_keys import snapshot
from tests.store.test_turns import tenants_of

FIELDS = ("held", "bytes", "records", "planned", "result")


def limit(farm: Farm, tenant: str = "ann", **limits: Any) -> None:
    farm.run(quotas.limit(tenant, limits))


# --- refused ----------------------------------------------------------------------------------------------------------


def test_only_a_farm_that_ever_had_a_key_has_quotas_by_default(farm: Farm) -> None:
    assert all(farm.run(quotas.account("ann")).standing.most_of(quota) is None for quota in Quota)
    farm.run(registry.put_key("digest", "ann", "laptop"))
    assert all(farm.run(quotas.account("ann")).standing.most_of(quota) for quota in Quota)
    limit(farm, characters=NO_LIMIT, requests=5)
    standing = farm.run(quotas.account("ann")).standing
    assert (standing.most_of(Quota.CHARACTERS), standing.most_of(Quota.REQUESTS)) == (None, 5)
    limit(farm, characters=None)
    assert farm.run(quotas.account("ann")).standing.most_of(Quota.CHARACTERS)


def test_a_refused_request_changes_nothing(farm: Farm) -> None:
    limit(farm, characters=15)
    farm.accept("job_a")
    before = {key: farm.redis.dump(key) for key in farm.redis.keys("f:*")}
    with pytest.raises(QuotaExceeded) as refused:
        farm.accept("job_b", idempotency_key="key", request_digest="d")
    assert refused.value.violated == (Quota.CHARACTERS,)
    assert {key: farm.redis.dump(key) for key in farm.redis.keys("f:*")} == before


def test_all_quotas_that_a_request_violates_are_named(farm: Farm) -> None:
    limit(farm, characters=5, records=100, bytes=100, requests=0)
    with pytest.raises(QuotaExceeded) as refused:
        farm.accept()
    assert refused.value.violated == tuple(Quota)
    assert refused.value.policies == ["requests", "characters", "bytes"]
    assert not refused.value.retryable


def test_a_minute_of_requests_begins_with_the_first(farm: Farm) -> None:
    limit(farm, requests=2)
    farm.accept("job_a")
    farm.clock.forward(MINUTE_MS - 1)
    farm.accept("job_b")
    with pytest.raises(QuotaExceeded) as refused:
        farm.accept("job_c")
    assert (refused.value.retryable, refused.value.retry_after_s) == (True, 1)
    farm.clock.forward(1)
    farm.accept("job_c")


def test_the_same_request_again_is_counted_once(farm: Farm) -> None:
    limit(farm, requests=1)
    for id in ("job_a", "job_a", "job_b"):
        assert farm.run(jobs.accept(new_job(id, idempotency_key="key", request_digest="d"))).id == "job_a"


def test_jobs_of_a_batch_meet_no_quota_because_their_batch_has(farm: Farm) -> None:
    limit(farm, requests=1, characters=30)
    batch = batches.NewBatch("batch_a", "ann", 3, "{}", 3600, written=Written(3, 30, 36, 0, 99))
    farm.run(batches.accept(batch))
    for number in range(3):
        farm.accept(f"job_{number}", batch="batch_a")
        assert counted(farm.store, "ann") == scanned(farm.store, "ann")
        assert counted(farm.store, "ann")["characters"] == 30
    for number in range(3):
        farm.run(jobs.cancel(f"job_{number}", "ann"))
    assert counted(farm.store, "ann")["characters"] == 0


@pytest.mark.parametrize("stop", [batches.cancel, batches.drop])
def test_a_stopped_batch_counts_no_longer_for_the_lines_that_are_no_jobs(farm: Farm, stop: Any) -> None:
    batch = batches.NewBatch("batch_a", "ann", 3, "{}", 3600, written=Written(3, 30, 36, 900, 99))
    farm.run(batches.accept(batch))
    farm.accept("job_1", batch="batch_a", stored=300)
    farm.run(stop("batch_a", "ann"))
    assert counted(farm.store, "ann") == scanned(farm.store, "ann")
    assert counted(farm.store, "ann")["characters"] == 10
    farm.run(jobs.forget("job_1"))
    farm.run(batches.forget("batch_a"))
    assert set(counted(farm.store, "ann").values()) == {0}


def test_a_job_counts_for_what_is_stored_of_it(farm: Farm) -> None:
    text = "Once upon."
    farm.accept(text=text)
    record = counted(farm.store, "ann")["records"]
    farm.run(jobs.plan("job_a", farm.task(Due.PLAN, "job_a").token, 2, stored=500))
    planned = counted(farm.store, "ann")
    assert (planned["records"], planned["bytes"]) == (record - len(text), record + 500)
    farm.run(
        segments.settle("0", [segments.Settled("job_a", 0, 1000), segments.Settled("job_a", 1, 1000, cached=True)])
    )
    clips = counted(farm.store, "ann")["bytes"] - planned["bytes"]
    assert 17_000 <= clips <= 27_000, "of the clip that was rendered for it"
    farm.run(jobs.finish("job_a", farm.task(Due.ASSEMBLE, "job_a").token, "{}", stored=7_000))
    assert counted(farm.store, "ann")["bytes"] == planned["bytes"] + clips + 7_000
    farm.clock.forward(3_600_000)
    farm.run(jobs.expire("job_a", farm.task(Due.EXPIRE, "job_a").token, 60))
    expired = counted(farm.store, "ann")
    assert expired["bytes"] == expired["records"] == record - len(text)
    farm.run(jobs.forget("job_a"))
    assert set(counted(farm.store, "ann").values()) == {0}


def test_voices_count_as_they_lie_in_storage(farm: Farm) -> None:
    farm.run(registry.put_voice("ann", "v", "{}", bytes=700))
    farm.run(registry.put_voice("ann", "v", "{}", bytes=800))
    assert counted(farm.store, "ann")["bytes"] == 1_500
    farm.run(quotas.weigh_voices("ann", 800))
    assert counted(farm.store, "ann")["bytes"] == 800
    limit(farm, bytes=1_000)
    with pytest.raises(QuotaExceeded):
        farm.run(registry.put_voice("ann", "w", "{}", bytes=300))
    assert list(farm.run(registry.voices("ann"))) == ["v"]


def test_a_forgotten_tenant_has_no_limits_and_keeps_the_generation_of_its_secret(farm: Farm) -> None:
    limit(farm, characters=5, lane="bulk", segments=3, running_jobs=2)
    farm.run(quotas.rotate_secret("ann"))
    farm.run(quotas.forget("ann"))
    account = farm.run(quotas.account("ann"))
    assert (account.standing.most_of(Quota.CHARACTERS), account.lane) == (None, None)
    assert (account.most_segments, account.most_running_jobs) == (None, None)
    assert farm.run(registry.access()).lanes == {}
    assert farm.run(quotas.secret_generations("ann", farm.clock.now + 10**9)) == [1]


# --- held back --------------------------------------------------------------------------------------------------------


def test_a_tenant_has_at_most_so_many_segments_in_hand(farm: Farm) -> None:
    limit(farm, segments=10)
    farm.running("job_a", 100, tenant="ann")
    farm.running("job_b", 100, tenant="bob")
    assert tenants_of(farm, farm.claim(want=64)) == {"ann": 10, "bob": 54}
    assert tenants_of(farm, farm.claim(want=16)) == {"bob": 16}
    assert farm.run(quotas.account("ann")).segments == 10


def test_held_back_segments_are_handed_out_as_others_leave_the_hand(farm: Farm) -> None:
    limit(farm, segments=6)
    farm.running("job_a", 30)
    first = farm.claim()
    assert farm.idle()
    indices = first.segments["job_a"]
    farm.run(segments.settle(first.token, [segments.Settled("job_a", index, 1) for index in indices[:2]]))
    assert len(farm.claim()) == 2
    farm.run(segments.release(first.token, {"job_a": indices[2:3]}))
    assert len(farm.claim()) == 1
    farm.run(segments.begin(first.token, {"job_a": indices[3:4]}))
    farm.run(segments.fail(first.token, "job_a", indices[3], "bad"))
    assert len(farm.claim()) == 1
    farm.lose_workers()
    assert len(farm.claim()) == 6


def test_what_a_deleted_job_had_in_hand_counts_until_its_lease_is_over(farm: Farm) -> None:
    limit(farm, segments=4)
    farm.running("job_a", 4)
    farm.claim()
    farm.run(jobs.forget("job_a"))
    farm.running("job_b", 9)
    assert farm.idle()
    farm.lose_workers()
    assert len(farm.claim()) == 4


def test_tenants_that_are_held_back_starve_nobody(farm: Farm) -> None:
    for number in range(30):
        limit(farm, f"full{number}", segments=0)
        farm.running(f"job_{number}", 50, tenant=f"full{number}", lane=list(Lane)[number % 3])
    farm.running("job_a", 100, tenant="ann", lane=Lane.BULK)
    assert tenants_of(farm, farm.claim(want=32)) == {"ann": 32}
    farm.running("job_b", 100, tenant="bob", lane=Lane.INTERACTIVE)
    shares = sum((tenants_of(farm, farm.claim(want=8)) for _ in range(16)), start=tenants_of(farm, farm.claim(want=8)))
    assert set(shares) == {"ann", "bob"}
    assert shares["ann"] >= shares.total() / (SHARE + 2)


def test_a_lane_that_is_held_back_is_owed_nothing(farm: Farm) -> None:
    """Otherwise the interactive lane would get no express claims, and later the lane everything at once."""
    limit(farm, segments=0)
    farm.running("job_a", 500, tenant="ann", lane=Lane.BULK)
    farm.running("job_b", 500, tenant="bob", lane=Lane.INTERACTIVE)
    for _ in range(4):
        assert tenants_of(farm, farm.claim(want=32)) == {"bob": 32}
    assert len(farm.claim(want=40, express=True)) == 40
    limit(farm, segments=None)
    assert tenants_of(farm, farm.claim(want=TURN)) == {"bob": TURN}


def test_a_claim_that_finds_only_held_back_work_leaves_it_counted_as_ready(farm: Farm) -> None:
    limit(farm, segments=0)
    farm.running("job_a", 9)
    assert farm.idle()
    assert farm.run(registry.backlog()).ready["m"][Lane.NORMAL] == 9
    assert farm.run(registry.own_queue("ann")) == {}
    farm.run(registry.announce("m", "{}"))
    assert farm.run(registry.own_queue("ann")) == {"m": {Lane.INTERACTIVE: 0, Lane.NORMAL: 9, Lane.BULK: 0}}
    limit(farm, segments=None)
    assert len(farm.claim()) == 9


def quarantined(farm: Farm, job: str, count: int, **more: Any) -> None:
    """A job whose segments have all lost two workers. Claims must find nothing else."""
    farm.running(job, count, on_error="skip", **more)
    for _ in range(2):
        grant = farm.claim(want=count)
        assert grant.segments == {job: list(range(count))}
        farm.run(segments.begin(grant.token, grant.segments))
        farm.lose_workers()


def test_quarantined_segments_are_held_back_like_others_and_keep_their_place(farm: Farm) -> None:
    quarantined(farm, "job_a", 3)
    limit(farm, segments=1)
    for index in range(3):
        alone = farm.claim()
        assert (alone.segments, alone.quarantined) == ({"job_a": [index]}, True)
        assert farm.idle()
        assert farm.run(quotas.account("ann")).segments == 1
        farm.run(segments.settle(alone.token, [segments.Settled("job_a", index, 1)]))


def test_a_quarantined_segment_that_is_held_back_holds_up_nobody(farm: Farm) -> None:
    quarantined(farm, "job_a", 2)
    limit(farm, segments=0)
    quarantined(farm, "job_b", 2, tenant="bob")
    farm.running("job_c", 9, tenant="cat")
    grants = [farm.claim() for _ in range(3)]
    assert [dict(grant.segments) for grant in grants] == [{"job_b": [0]}, {"job_c": list(range(9))}, {"job_b": [1]}]
    assert farm.idle()


def test_a_long_quarantine_that_is_held_back_hides_nothing_behind_it(farm: Farm) -> None:
    """A claim looks at a part of it."""
    quarantined(farm, "job_a", 350)
    limit(farm, segments=0)
    quarantined(farm, "job_b", 1, tenant="bob")
    looks = 0
    while farm.idle():
        farm.clock.forward(1)
        looks += 1
        assert looks < 4
    assert farm.record("job_b").ready == 0
    assert farm.run(registry.backlog()).quarantined == {"m": 350}


def test_a_quarantined_segment_takes_turns_with_others_for_the_room_of_its_tenant(farm: Farm) -> None:
    """However many claims find no room in between."""
    quarantined(farm, "job_a", 5)
    farm.running("job_b", 5)
    limit(farm, segments=1)
    order = []
    for number in range(10):
        grant = farm.claim()
        ((job, (index,)),) = grant.segments.items()
        order.append(job)
        assert all(farm.idle() for _ in range(number % 3))
        farm.run(segments.settle(grant.token, [segments.Settled(job, index, 1)]))
    assert order == ["job_a", "job_b"] * 5


def test_a_claim_finds_a_quarantined_segment_where_all_others_are_held_back(farm: Farm) -> None:
    quarantined(farm, "job_a", 2)
    farm.running("job_b", 9, tenant="bob")
    limit(farm, "bob", segments=0)
    assert [farm.claim().segments for _ in range(2)] == [{"job_a": [0]}, {"job_a": [1]}]


# --- jobs that are held back ------------------------------------------------------------------------------------------


def jobs_of(grant: segments.Grant) -> dict[str, int]:
    return {job: len(indices) for job, indices in grant.segments.items()}


def settle(farm: Farm, grant: segments.Grant) -> None:
    clips = [segments.Settled(job, index, 50) for job, indices in grant.segments.items() for index in indices]
    farm.run(segments.settle(grant.token, clips))


def test_a_tenant_has_at_most_so_many_jobs_under_way(farm: Farm) -> None:
    limit(farm, running_jobs=2)
    for job in ("job_a", "job_b", "job_c"):
        farm.running(job, 12)
    first = farm.claim(want=30)
    assert jobs_of(first) == {"job_a": 12, "job_b": 12}
    assert farm.idle()
    assert farm.run(quotas.account("ann")).running_jobs == 2
    settle(farm, first)
    assert farm.run(quotas.account("ann")).running_jobs == 0
    assert jobs_of(farm.claim(want=30)) == {"job_c": 12}


def test_jobs_under_way_go_on_in_turn_while_others_wait(farm: Farm) -> None:
    limit(farm, running_jobs=2)
    for job in ("job_a", "job_b", "job_c"):
        farm.running(job, 3 * TURN)
    assert [jobs_of(farm.claim(want=TURN)) for _ in range(5)] == [
        {job: TURN} for job in ("job_a", "job_b") * 2 + ("job_a",)
    ]


@pytest.mark.parametrize("verb", [jobs.cancel, lambda job, tenant: jobs.forget(job)])
def test_a_job_that_is_canceled_or_deleted_makes_room_for_another(farm: Farm, verb: Callable[..., Any]) -> None:
    limit(farm, running_jobs=1)
    farm.running("job_a", 30)
    farm.running("job_b", 30)
    assert jobs_of(farm.claim(want=TURN)) == {"job_a": TURN}
    farm.run(verb("job_a", "ann"))
    assert jobs_of(farm.claim(want=TURN)) == {"job_b": TURN}


def test_a_job_whose_worker_is_lost_stays_under_way_and_comes_first(farm: Farm) -> None:
    limit(farm, running_jobs=1)
    farm.running("job_a", 5)
    farm.running("job_b", 5)
    farm.claim(want=5)
    farm.lose_workers()
    assert jobs_of(farm.claim(want=9)) == {"job_a": 5}


def test_a_job_whose_clips_were_lost_goes_on_beside_as_many_as_there_may_be(farm: Farm) -> None:
    limit(farm, running_jobs=1)
    farm.running("job_a", 4)
    farm.running("job_b", 4)
    settle(farm, farm.claim(want=4))
    assert jobs_of(farm.claim(want=2)) == {"job_b": 2}
    farm.run(jobs.redo("job_a", farm.task(Due.ASSEMBLE, "job_a").token, [0, 1]))
    assert farm.run(quotas.account("ann")).running_jobs == 2
    assert jobs_of(farm.claim(want=9)) == {"job_a": 2, "job_b": 2}


def test_a_lower_limit_ends_nothing_and_none_lets_what_has_begun_end(farm: Farm) -> None:
    farm.running("job_a", 9)
    farm.running("job_b", 9)
    assert jobs_of(farm.claim(want=TURN + 1)) == {"job_a": TURN, "job_b": 1}
    limit(farm, running_jobs=0)
    farm.running("job_c", 9)
    assert jobs_of(farm.claim(want=30)) == {"job_a": 1, "job_b": 8}
    assert farm.idle()
    limit(farm, running_jobs=None)
    assert jobs_of(farm.claim(want=30)) == {"job_c": 9}


def test_a_tenant_with_enough_jobs_under_way_starves_nobody(farm: Farm) -> None:
    """Its job that is under way is in another lane, where it goes on."""
    limit(farm, running_jobs=1)
    farm.running("job_a", 100, lane=Lane.BULK)
    assert jobs_of(farm.claim(want=TURN)) == {"job_a": TURN}
    for number in range(20):
        farm.running(f"job_{number}", 50)
    farm.running("job_b", 100, tenant="bob")
    shares = [jobs_of(farm.claim(want=16)) for _ in range(6)]
    assert set().union(*shares) == {"job_a", "job_b"}
    assert farm.run(quotas.account("ann")).running_jobs == 1
    assert farm.idle() == (farm.record("job_a").ready == 0)


def test_a_job_that_an_older_release_began_is_counted_by_the_next_claim_or_recount(farm: Farm) -> None:
    farm.running("job_a", 50)
    farm.running("job_b", 50)
    for meet in (lambda: farm.claim(want=TURN), lambda: farm.run(quotas.recount("ann"))):
        farm.claim(want=2 * TURN)
        farm.redis.delete("f:running:ann")
        meet()
        assert farm.run(quotas.account("ann")).running_jobs >= 1
    assert farm.run(quotas.account("ann")).running_jobs == 2


def test_a_job_that_an_older_release_ended_or_deleted_is_under_way_no_longer_after_a_recount(farm: Farm) -> None:
    farm.running("job_a", 1)
    settle(farm, farm.claim())
    farm.redis.sadd("f:running:ann", "job_a", "job_gone")
    farm.run(quotas.recount("ann"))
    assert farm.run(quotas.account("ann")).running_jobs == 0


# --- any order of events ----------------------------------------------------------------------------------------------

names = st.sampled_from(["job_1", "job_2", "job_3"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("accept"), names, st.integers(1, 30)),
        st.tuples(st.sampled_from(["cancel", "retry", "forget"]), names, st.just(0)),
        st.tuples(st.just("work"), st.just(""), st.integers(0, 3)),
        st.tuples(st.just("begin"), st.just(""), st.integers(1, 3)),
        st.tuples(st.just("wait"), st.just(""), st.integers(1, 4_000_000)),
    ),
    max_size=25,
)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(steps=steps)
def test_after_any_order_of_accepts_ends_cancels_and_deletes_the_counts_are_those_of_a_scan(
    farm: Farm, steps: list[tuple[str, str, int]]
) -> None:
    farm.redis.delete(*(key for key in farm.redis.keys("f:*") if key not in (b"f:born", b"f:schema")), "f:none")
    limit(farm, characters=60, segments=2, running_jobs=1, requests=NO_LIMIT)
    for verb, job, amount in steps:
        try:
            if verb == "accept":
                farm.accept(job, characters=amount, events=("canceled",), text=None if amount % 2 else "text", stored=9)
            elif verb == "cancel":
                farm.run(jobs.cancel(job, "ann"))
            elif verb == "retry":
                farm.run(jobs.retry(job, "ann"))
            elif verb == "forget":
                farm.run(jobs.forget(job))
            elif verb == "work":
                work(farm, amount)
            elif verb == "begin":
                plan(farm, amount)
                farm.run(segments.claim("m", want=1, worker="w", lease_ms=LEASE))
            else:
                farm.clock.forward(amount)
        except (QuotaExceeded, Conflict):
            pass
        assert counted(farm.store, "ann") == scanned(farm.store, "ann")
        assert counted(farm.store, "ann")["characters"] <= 60
        assert counted(farm.store, "ann")["running_jobs"] <= 1


def plan(farm: Farm, total: int) -> None:
    for task in farm.run(tasks.take([Due.PLAN], want=9, lease_ms=LEASE)):
        farm.run(jobs.plan(task.id, task.token, total, stored=100))


def work(farm: Farm, total: int) -> None:
    """What workers do with all that is due."""
    plan(farm, total)
    for task in farm.run(tasks.take([Due.ASSEMBLE, Due.EXPIRE], want=9, lease_ms=LEASE)):
        if task.kind is Due.ASSEMBLE:
            farm.run(jobs.finish(task.id, task.token, "{}", stored=1_000))
        else:
            farm.run(jobs.expire(task.id, task.token, 60))
    while grant := farm.run(segments.claim("m", want=5, worker="w", lease_ms=LEASE)):
        settle(farm, grant)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    most=st.integers(0, 3),
    steps=st.lists(
        st.tuples(st.sampled_from(["claim", "claim", "claim", "settle", "fail", "release", "lose"]), st.integers(0, 9)),
        max_size=40,
    ),
)
def test_in_any_order_of_losses_a_tenant_has_no_more_in_hand_than_it_may(
    farm: Farm, most: int, steps: list[tuple[str, int]]
) -> None:
    """And a claim finds what there is room for."""
    farm.redis.delete(*(key for key in farm.redis.keys("f:*") if key not in (b"f:born", b"f:schema")), "f:none")
    quarantined(farm, "job_a", 4)
    limit(farm, segments=most)
    for job, tenant in (("job_b", "ann"), ("job_c", "bob")):
        farm.running(job, 4, tenant=tenant, on_error="skip")
    for verb, pick in steps:
        grants = held(farm)
        if verb == "claim":
            if not farm.run(segments.claim("m", want=1 + pick, worker="w", lease_ms=LEASE)):
                assert in_hand(farm)["ann"] == min(most, unsettled(farm, "job_a", "job_b"))
                assert in_hand(farm)["bob"] == unsettled(farm, "job_c")
        elif verb == "lose":
            for token, job, index in grants:
                farm.run(segments.begin(token, {job: [index]}))
            farm.lose_workers()
        elif grants:
            token, job, index = grants[pick % len(grants)]
            if verb == "settle":
                farm.run(segments.settle(token, [segments.Settled(job, index, 1)]))
            elif verb == "fail":
                farm.run(segments.fail(token, job, index, "bad"))
            else:
                farm.run(segments.release(token, {job: [index]}))
        assert in_hand(farm)["ann"] <= most
        assert farm.run(quotas.account("ann")).segments == in_hand(farm)["ann"]


def held(farm: Farm) -> list[tuple[str, str, int]]:
    """Token, job and index of every segment that is in hand."""
    grants = {
        key.removeprefix("f:g:"): fields for key, fields in snapshot(farm.redis).items() if key.startswith("f:g:")
    }
    fields = [(token, *field.split(":")) for token, fields in grants.items() for field in fields if ":" in field]
    return sorted((token, job, int(index)) for token, job, index in fields)


def in_hand(farm: Farm) -> Counter[str]:
    return Counter(farm.record(job).tenant for _, job, _ in held(farm))


def unsettled(farm: Farm, *jobs: str) -> int:
    records = [farm.record(job) for job in jobs]
    return sum(record.total - record.done - record.dead for record in records)


# --- the data of an older release -------------------------------------------------------------------------------------


def as_before(farm: Farm) -> None:
    """Takes away what a release without quotas did not write."""
    for key in farm.redis.keys("f:j:*"):
        farm.redis.hdel(key, *FIELDS)
    farm.redis.delete("f:quota:ann", "f:counted")


def recount(farm: Farm) -> None:
    after: str | None = "-inf"
    while after is not None:
        after = farm.run(quotas.recount("ann", after))


def test_jobs_of_a_release_without_quotas_count_once_they_were_looked_at(farm: Farm) -> None:
    farm.running("job_a", 2)
    farm.run(segments.settle("0", [segments.Settled("job_a", 0, 1000)]))
    farm.accept("job_b")
    farm.accept("job_c")
    farm.run(jobs.cancel("job_c", "ann"))
    expected = counted(farm.store, "ann")
    as_before(farm)
    farm.run(jobs.cancel("job_b", "ann"))
    farm.run(jobs.retry("job_b", "ann"))
    farm.run(jobs.cancel("job_b", "ann"))
    assert set(counted(farm.store, "ann").values()) == {0}, "an uncounted job takes nothing back"
    farm.run(jobs.retry("job_b", "ann"))
    for _ in range(2):
        recount(farm)
        assert counted(farm.store, "ann") == scanned(farm.store, "ann") == expected


def test_an_end_that_an_older_desk_has_made_is_noticed(farm: Farm) -> None:
    farm.accept("job_a")
    farm.redis.hset("f:j:job_a", "status", "failed")
    assert counted(farm.store, "ann")["characters"] == 10
    recount(farm)
    assert counted(farm.store, "ann")["characters"] == 0


def test_a_recount_goes_through_all_jobs_and_makes_the_voices_be_weighed(farm: Farm) -> None:
    for number in range(1_200):
        farm.accept(f"job_{number}")
        farm.clock.forward(number % 2)
    farm.run(registry.put_voice("ann", "v", "{}"))
    expected = counted(farm.store, "ann")
    as_before(farm)
    farm.run(tasks.done(farm.task(Due.SWEEP, "ann")))
    recount(farm)
    assert counted(farm.store, "ann") == expected
    assert farm.task(Due.SWEEP, "ann")


def test_a_batch_of_a_release_without_quotas_becomes_jobs_that_count(farm: Farm) -> None:
    farm.run(batches.accept(batches.NewBatch("batch_a", "ann", 2, "{}", 3600, written=Written(2, 20, 24, 0, 99))))
    farm.redis.hdel("f:b:batch_a", "held", "lines", "texts", "bytes", "records")
    as_before(farm)
    for number in range(2):
        farm.accept(f"job_{number}", batch="batch_a")
    assert counted(farm.store, "ann")["characters"] == 20
    farm.run(batches.cancel("batch_a", "ann"))
    farm.run(batches.forget("batch_a"))
    for number in range(2):
        farm.run(jobs.forget(f"job_{number}"))
    assert set(counted(farm.store, "ann").values()) == {0}


# --- secrets of webhooks ----------------------------------------------------------------------------------------------


def test_a_rotated_secret_signs_for_a_day_after_it_was_replaced(farm: Farm) -> None:
    hour = 3_600_000

    def signing() -> list[int]:
        return farm.run(quotas.secret_generations("ann", farm.clock.now))

    assert signing() == [0]
    assert farm.run(quotas.rotate_secret("ann")) == 1
    assert signing() == [1, 0]
    farm.clock.forward(10 * hour)
    assert farm.run(quotas.rotate_secret("ann")) == 2
    assert signing() == [2, 1, 0]
    farm.clock.forward(14 * hour)
    assert signing() == [2, 1]
    farm.clock.forward(10 * hour)
    assert signing() == [2]
    assert farm.run(quotas.rotate_secret("ann")) == 3
    assert signing() == [3, 2]
    assert farm.run(quotas.secret_generations("bob", farm.clock.now)) == [0]
