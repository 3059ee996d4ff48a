"""Every pair of a status and a verb on the real store: the table in farm/job.py has all moves that a verb makes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from farm.errors import Conflict
from farm.job import TRANSITIONS, Due, Status
from farm.spec import Spec
from farm.store import jobs, revisions, segments
from tests.store.clocked import LEASE, Farm
from tests.store.store_keys import snapshot

TOKEN = "4711"


def _assembling(farm: Farm) -> None:
    """One segment done, one dead."""
    farm.running(segments=2, on_error="skip")
    farm.run(segments.settle("0", [segments.Settled("job_a", 1, 100)]))
    grant = farm.claim()
    farm.run(segments.begin(grant.token, grant.segments))
    assert farm.run(segments.fail(grant.token, "job_a", 0, "bad"), MAX_ATTEMPTS=1)


def _succeeded(farm: Farm) -> None:
    _assembling(farm)
    assert farm.run(jobs.finish("job_a", farm.task(Due.ASSEMBLE, "job_a").token, "{}"))


def _failed(farm: Farm) -> None:
    farm.accept()
    assert farm.run(jobs.abort("job_a", Due.PLAN, farm.task(Due.PLAN, "job_a").token, "{}"))


def _canceled(farm: Farm) -> None:
    farm.running(segments=2)
    farm.run(jobs.cancel("job_a", "ann"))


def _expired(farm: Farm) -> None:
    _canceled(farm)
    farm.clock.forward(3600 * 1000)
    assert farm.run(jobs.expire("job_a", farm.task(Due.EXPIRE, "job_a").token, 60))


BRING: dict[Status, Callable[[Farm], Any]] = {
    Status.QUEUED: lambda farm: farm.accept(),
    Status.RUNNING: lambda farm: farm.running(segments=2),
    Status.ASSEMBLING: _assembling,
    Status.SUCCEEDED: _succeeded,
    Status.FAILED: _failed,
    Status.CANCELED: _canceled,
    Status.EXPIRED: _expired,
}


def _revise(farm: Farm) -> None:
    with suppress(Conflict):
        farm.run(revisions.revise(revisions.Change("job_a", "ann", 1, Spec(language="en", voice="anna"), 10, 3600)))


DO: dict[str, Callable[[Farm], Any]] = {
    "plan": lambda farm: farm.run(jobs.plan("job_a", TOKEN, 2)),
    "complete": lambda farm: farm.run(
        segments.settle("0", [segments.Settled("job_a", index, 100) for index in range(2)])
    ),
    "redo": lambda farm: farm.run(jobs.redo("job_a", TOKEN, [0, 1])),
    "finish": lambda farm: farm.run(jobs.finish("job_a", TOKEN, "{}")),
    "abort": lambda farm: farm.run(jobs.abort("job_a", Due.PLAN, TOKEN, "{}")),
    "cancel": lambda farm: farm.run(jobs.cancel("job_a", "ann")),
    "retry": lambda farm: farm.run(jobs.retry("job_a", "ann")),
    "revise": _revise,
    "expire": lambda farm: farm.run(jobs.expire("job_a", TOKEN, 60)),
}


@pytest.mark.parametrize("verb", TRANSITIONS)
@pytest.mark.parametrize("status", Status)
def test_a_verb_moves_a_job_by_the_table_or_changes_nothing(farm: Farm, status: Status, verb: str) -> None:
    BRING[status](farm)
    assert farm.record().status == status
    # The caller holds the token of every kind, so that only the status can refuse the verb.
    for kind in Due:
        farm.redis.hset("f:due:token", f"{kind}:job_a", TOKEN)
    before = snapshot(farm.redis)

    DO[verb](farm)

    if status in TRANSITIONS[verb]:
        assert farm.record().status == TRANSITIONS[verb][status]
    else:
        assert snapshot(farm.redis) == before


BY_TOKEN = [
    *(("plan", Status.QUEUED), ("redo", Status.ASSEMBLING), ("finish", Status.ASSEMBLING)),
    *(("abort", status) for status in (Status.QUEUED, Status.RUNNING, Status.ASSEMBLING)),
    *(("expire", status) for status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELED)),
]


@pytest.mark.parametrize(("verb", "status"), BY_TOKEN)
def test_verbs_of_the_desk_need_the_token_of_their_task(farm: Farm, verb: str, status: Status) -> None:
    BRING[status](farm)
    before = snapshot(farm.redis)
    assert not DO[verb](farm)
    assert snapshot(farm.redis) == before


def test_a_job_that_succeeded_with_every_segment_can_not_be_retried(farm: Farm) -> None:
    task = farm.assembling()
    farm.run(jobs.finish("job_a", task.token, "{}"))
    with pytest.raises(Conflict, match="nothing to retry"):
        farm.run(jobs.retry("job_a", "ann"))
    assert farm.record().status == Status.SUCCEEDED


def test_a_task_that_was_taken_again_makes_its_first_holder_late(farm: Farm) -> None:
    farm.accept()
    first = farm.task(Due.PLAN, "job_a")
    farm.clock.forward(LEASE)
    second = farm.task(Due.PLAN, "job_a")
    assert not farm.run(jobs.plan("job_a", first.token, 2))
    assert farm.run(jobs.plan("job_a", second.token, 2))
