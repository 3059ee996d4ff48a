"""Turns of lanes, tenants and jobs, for segments and for timed work, so that none of them starves."""

from __future__ import annotations

from collections import Counter

import pytest

from farm.job import SHARE, TURN, Due, Lane
from farm.store import jobs, segments, tasks
from tests.store.clocked import LEASE, Farm


def tenants_of(farm: Farm, grant: segments.Grant) -> Counter[str]:
    tenants: Counter[str] = Counter()
    for job, indices in grant.segments.items():
        tenants[farm.record(job).tenant] += len(indices)
    return tenants


def lanes_of(farm: Farm, grants: list[segments.Grant]) -> Counter[Lane]:
    lanes: Counter[Lane] = Counter()
    for grant in grants:
        for job, indices in grant.segments.items():
            lanes[farm.record(job).lane] += len(indices)
    return lanes


def test_tenants_take_turns_of_eight_segments(farm: Farm) -> None:
    farm.running("job_a", 1000, tenant="ann")
    farm.running("job_b", 1000, tenant="bob")
    farm.running("job_c", 1000, tenant="cat")
    grant = farm.claim(want=32)
    counts = {job: len(indices) for job, indices in grant.segments.items()}
    assert counts == {"job_a": 16, "job_b": 8, "job_c": 8}
    later = sum((tenants_of(farm, farm.claim(want=24)) for _ in range(10)), Counter[str]())
    assert later == {"ann": 80, "bob": 80, "cat": 80}


def test_one_turn_can_span_many_jobs_of_a_tenant(farm: Farm) -> None:
    farm.running("job_book", 1000, tenant="ann")
    for number in range(20):
        farm.running(f"job_{number}", 1, tenant="bob")
    assert tenants_of(farm, farm.claim(want=32)) == {"ann": 16, "bob": 16}


def test_jobs_of_a_tenant_take_turns(farm: Farm) -> None:
    farm.running("job_a", 1000)
    farm.running("job_b", 1000)
    jobs = [next(iter(farm.claim(want=TURN).segments)) for _ in range(6)]
    assert jobs == ["job_a", "job_b"] * 3


def test_a_new_tenant_waits_for_one_round_at_most(farm: Farm) -> None:
    farm.running("job_a", 1000, tenant="ann")
    farm.running("job_b", 1000, tenant="bob")
    farm.claim(want=8)
    farm.running("job_c", 8, tenant="cat")
    assert [list(farm.claim(want=8).segments) for _ in range(3)] == [["job_b"], ["job_a"], ["job_c"]]


def test_interactive_work_goes_first(farm: Farm) -> None:
    farm.running("job_a", 100, lane=Lane.BULK)
    farm.running("job_b", 100, lane=Lane.NORMAL)
    farm.running("job_c", 5, lane=Lane.INTERACTIVE)
    assert list(farm.claim(want=32).segments) == ["job_c", "job_b"]


@pytest.mark.parametrize("express", [False, True], ids=["plain claims", "with express claims"])
def test_every_waiting_lane_gets_at_least_a_tenth(farm: Farm, express: bool) -> None:
    for lane in Lane:
        farm.running(f"job_{lane}", 3000, lane=lane)
    grants = []
    for _ in range(60):
        topped_up = (
            farm.run(segments.claim("m", want=32, worker="w", lease_ms=LEASE, express=True)) if express else None
        )
        grants += [*([topped_up] if topped_up else []), farm.claim(want=32)]
    shares = lanes_of(farm, grants)
    assert all(shares[lane] >= 0.1 * shares.total() for lane in Lane), shares


def test_express_claims_stop_where_a_lower_lane_is_owed_its_turn(farm: Farm) -> None:
    farm.running("job_a", 1000, lane=Lane.INTERACTIVE)
    farm.running("job_b", 1000, lane=Lane.BULK)
    assert len(farm.claim(want=50, express=True)) == 50
    assert len(farm.claim(want=50, express=True)) == SHARE * TURN - 50
    assert farm.idle(express=True)
    assert list(farm.claim(want=8).segments) == ["job_b"]
    assert len(farm.claim(want=50, express=True)) == 50


def test_a_lane_is_owed_nothing_for_a_time_without_waiting_work(farm: Farm) -> None:
    farm.running("job_a", 1000, lane=Lane.INTERACTIVE)
    for _ in range(4):
        farm.claim(want=32)
    farm.running("job_b", 1000, lane=Lane.BULK)
    assert list(farm.claim(want=SHARE * TURN).segments) == ["job_a"]


def test_a_ring_with_entries_of_missing_work_is_corrected(farm: Farm) -> None:
    """A worker still gets its claims when counters say more than there is."""
    farm.running("job_a", 4)
    farm.redis.hincrby("f:ready", "m:bulk", 7)
    farm.redis.zadd("f:jobs:m:normal:ann", {"job_gone": 0})
    farm.redis.zadd("f:solo:m", {"job_gone:0": 0})
    assert farm.claim(want=32).segments == {"job_a": [0, 1, 2, 3]}
    assert farm.idle()


def test_a_claim_is_full_while_there_is_enough_work(farm: Farm) -> None:
    for number in range(30):
        farm.running(f"job_{number}", 3, tenant=f"t{number % 7}", lane=list(Lane)[number % 3])
    sizes = [len(farm.claim(want=32)) for _ in range(3)]
    assert sizes == [32, 32, 26]


# --- the desk ---------------------------------------------------------------------------------------------------------


def taken(farm: Farm, want: int = 1, kinds: tuple[Due, ...] = (Due.PLAN,)) -> list[str]:
    return [task.id for task in farm.run(tasks.take(kinds, want=want, lease_ms=60_000))]


def test_tenants_take_turns_at_the_desk(farm: Farm) -> None:
    for number in range(50):
        farm.accept(f"job_a{number}", tenant="ann")
    farm.clock.forward(1000)
    for number in range(3):
        farm.accept(f"job_b{number}", tenant="bob")
    order = [taken(farm)[0] for _ in range(7)]
    assert [job[4] for job in order] == list("ababab" + "a")


def test_tenants_take_turns_within_one_take(farm: Farm) -> None:
    for number in range(50):
        farm.accept(f"job_a{number}", tenant="ann")
    farm.clock.forward(1000)
    for number in range(3):
        farm.accept(f"job_b{number}", tenant="bob")
    assert [job[4] for job in taken(farm, want=8)] == list("abababaa")


def test_the_lower_lanes_get_every_fourth_take(farm: Farm) -> None:
    for lane in Lane:
        for number in range(40):
            farm.accept(f"job_{lane}_{number}", lane=lane)
    lanes = [taken(farm)[0].split("_")[1] for _ in range(16)]
    assert Counter(lanes) == {"interactive": 12, "normal": 2, "bulk": 2}
    assert [lane for lane in lanes if lane != "interactive"] == ["normal", "bulk"] * 2


def test_a_tenant_whose_work_is_not_due_is_passed_over(farm: Farm) -> None:
    farm.accept("job_a", tenant="ann")
    farm.run(jobs.abort("job_a", Due.PLAN, farm.task(Due.PLAN, "job_a").token, "{}"))
    farm.accept("job_b", tenant="bob", retention_s=1)
    farm.run(jobs.abort("job_b", Due.PLAN, farm.task(Due.PLAN, "job_b").token, "{}"))
    farm.clock.forward(1000)
    assert taken(farm, want=5, kinds=(Due.EXPIRE,)) == ["job_b"]


def test_a_wrong_entry_in_the_index_of_due_times_is_corrected(farm: Farm) -> None:
    farm.accept("job_a", tenant="ann")
    farm.redis.zadd("f:desk:plan:normal", {"nobody": 1, "zoe": 2})
    farm.redis.zadd("f:due:plan:normal:zoe", {"job_z": farm.clock.now + 99_000})
    assert taken(farm, want=5) == ["job_a"]
    seats = dict(farm.redis.zrange("f:desk:plan:normal", 0, -1, withscores=True))
    assert seats.keys() == {b"ann", b"zoe"}
    assert seats[b"zoe"] == farm.clock.now + 99_000


def test_quarantined_segments_are_removed_with_their_job(farm: Farm) -> None:
    farm.running("job_a", 3)
    farm.quarantine("job_a", 1)
    farm.run(jobs.forget("job_a"))
    assert farm.idle()
    farm.running("job_b", 2)
    grant = farm.claim()
    assert farm.run(segments.begin(grant.token, grant.segments)) == {"job_b": [0, 1]}
    assert farm.run(segments.rescue(1)).segments == 0
