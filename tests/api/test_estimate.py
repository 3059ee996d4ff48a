from __future__ import annotations

from dataclasses import replace

import pytest

from api.estimate import batch_seconds_left, batch_share, position, seconds_left
from farm.job import Lane, Status
from farm.store import batches, jobs

PLACE = jobs.Place(tenant_rank=0, tenants=1, job_rank=0, jobs=1, lanes_ready={Lane.NORMAL: 100}, tenant_ready=100)
JOB = jobs.JobRecord(
    id="job_1", tenant="t", status=Status.RUNNING, model="m", lane=Lane.NORMAL, batch=None, characters=1, total=10,
    done=0, dead=0, ready=10, cached=0, review=0, milliseconds=0, redos=0, started=False, spec="", outcome=None,
    created_ms=0, running_ms=1, ended_ms=None, retention_s=1, place=PLACE, streamed=False,
)  # fmt: skip
BATCH = batches.BatchRecord(
    id="batch_1", tenant="t", total=10, accepted=10, counts={Status.QUEUED: 5, Status.RUNNING: 5}, segments=100,
    segments_done=20, segments_dead=0, cached=0, review=0, milliseconds=0, canceled=False, spec="", shared=None,
    skipped=0, created_ms=0, ended_ms=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("place", "turns"),
    [
        (PLACE, 0),
        (replace(PLACE, tenant_rank=2, tenants=4), 2),
        (replace(PLACE, tenant_rank=2, tenants=4, job_rank=3, jobs=9), 14),  # three turns of all four tenants first
        (replace(PLACE, tenant_rank=None, job_rank=None), None),
    ],
)
def test_the_position_counts_turns_of_tenants_and_of_their_jobs(place: jobs.Place, turns: int | None) -> None:
    assert position(replace(JOB, place=place)) == turns


def test_a_job_that_has_been_claimed_from_has_no_position() -> None:
    assert position(replace(JOB, started=True)) is None


@pytest.mark.parametrize(
    ("changes", "place", "seconds"),
    [
        ({}, PLACE, 5.0),  # alone: its own ten segments, at two a second
        ({"ready": 4, "done": 2}, PLACE, 4.0),  # four wait, four are in workers' hands
        ({"ready": 4, "done": 4, "dead": 2}, PLACE, 2.0),
        ({}, replace(PLACE, jobs=3), 15.0),  # its tenant's jobs take turns
        ({}, replace(PLACE, jobs=30), 50.0),  # and no more is ahead than there is
        ({}, replace(PLACE, tenants=2, jobs=3), 30.0),
        ({}, replace(PLACE, tenants=2, jobs=9, tenant_ready=40), 40.0),
        ({}, replace(PLACE, lanes_ready={Lane.INTERACTIVE: 6, Lane.NORMAL: 100, Lane.BULK: 900}), 8.0),
        ({"lane": Lane.BULK}, replace(PLACE, lanes_ready={Lane.NORMAL: 100, Lane.BULK: 10}), 55.0),
    ],
)
def test_the_eta_counts_all_segments_served_before_the_jobs_last(
    changes: dict[str, int], place: jobs.Place, seconds: float
) -> None:
    assert seconds_left(replace(JOB, place=place, **changes), 2.0) == seconds


@pytest.mark.parametrize("changes", [{"status": Status.QUEUED}, {"status": Status.ASSEMBLING}, {"place": None}])
def test_without_a_plan_or_a_place_there_is_no_eta(changes: dict[str, Status | None]) -> None:
    assert seconds_left(replace(JOB, **changes), 2.0) is None


@pytest.mark.parametrize("per_second", [None, 0.0])
def test_without_a_measured_speed_there_is_no_eta(per_second: float | None) -> None:
    assert seconds_left(JOB, per_second) is None
    assert batch_seconds_left(BATCH, per_second or 0.0) is None


def test_jobs_of_a_batch_that_are_not_planned_yet_count_like_those_that_are() -> None:
    assert batch_share(BATCH) == pytest.approx(0.1)  # a fifth of its planned half
    assert batch_seconds_left(BATCH, 2.0) == 90.0  # 180 of 200 segments
    assert batch_share(replace(BATCH, accepted=5, counts={Status.RUNNING: 5})) == pytest.approx(0.1)
    assert batch_share(replace(BATCH, accepted=0, counts={}, segments=0)) == 0
    assert batch_share(replace(BATCH, ended_ms=1)) == 1
    assert batch_seconds_left(replace(BATCH, ended_ms=1), 2.0) is None
