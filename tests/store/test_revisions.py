"""Revisions: an edit opens an ended job again, and its earlier results have a retention of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from farm.errors import BadInput, Conflict, NotFound, Outdated
from farm.job import Due, Status
from farm.quota import Quota, QuotaExceeded
from farm.spec import Spec
from farm.store import batches, jobs, quotas, revisions, segments
from farm.wire import Webhook
from tests.store.clocked import Farm, new_job

HOUR_MS = 3600 * 1000
DRY = Spec(language="en", voice="anna")
OUTCOME = '{"result": "%s"}'


def change(of: int = 1, **more: Any) -> revisions.Change:
    return revisions.Change("job_a", "ann", of, **{"spec": DRY, "characters": 10, "retention_s": 3600, **more})


def use(farm: Farm) -> dict[Quota, int]:
    standing = farm.run(quotas.account("ann")).standing
    return {quota: standing.used(quota) for quota in Quota}


def finish(farm: Farm, outcome: str = "{}", stored: int = 500) -> None:
    farm.run(jobs.plan("job_a", farm.task(Due.PLAN, "job_a").token, 2, stored=30))
    grant = farm.claim()
    farm.run(segments.settle(grant.token, [segments.Settled("job_a", n, 100, cached=n == 0) for n in range(2)]))
    assert farm.run(jobs.finish("job_a", farm.task(Due.ASSEMBLE, "job_a").token, outcome, stored))


def test_an_edit_opens_the_job_as_its_next_revision_and_keeps_the_result_of_the_one_before(farm: Farm) -> None:
    farm.accept()
    finish(farm, "{1}")
    ended = farm.record().ended_ms
    assert farm.run(revisions.revise(change())) == 2
    record = farm.record()
    assert (record.status, record.revision, record.total, record.done, record.outcome) == (Status.QUEUED, 2, 0, 0, None)
    assert Spec.model_validate_json(record.spec) == DRY
    assert farm.run(revisions.earlier("job_a")) == {
        1: revisions.Earlier(1, ended or 0, (ended or 0) + HOUR_MS, 2, 1, 1, "{1}")
    }
    finish(farm, "{2}")
    assert (farm.record().revision, farm.record().outcome) == (2, "{2}")


def test_of_two_edits_of_one_revision_the_later_one_is_refused(farm: Farm) -> None:
    farm.accept()
    finish(farm)
    farm.run(revisions.revise(change()))
    with pytest.raises(Outdated, match="at revision 2 by now"):
        farm.run(revisions.revise(change()))


def test_the_same_key_makes_one_revision(farm: Farm) -> None:
    farm.accept()
    finish(farm)
    keyed = change(idempotency_key="key", request_digest="digest")
    assert farm.run(revisions.revise(keyed)) == 2
    assert farm.run(revisions.revise(keyed)) is None
    with pytest.raises(BadInput, match="different request"):
        farm.run(revisions.revise(replace(keyed, request_digest="other")))
    assert farm.record().revision == 2


def test_neither_an_open_job_nor_a_streamed_one_nor_another_tenants_can_be_edited(farm: Farm) -> None:
    farm.accept()
    with pytest.raises(Conflict, match="wait for its end"):
        farm.run(revisions.revise(change()))
    with pytest.raises(NotFound):
        farm.run(revisions.revise(replace(change(), tenant="bob")))
    farm.running("job_b", 1, streamed=True)
    farm.run(segments.settle("0", [segments.Settled("job_b", 0, 100)]))
    with pytest.raises(Conflict, match="streamed"):
        farm.run(revisions.revise(replace(change(), job="job_b")))


def test_a_late_clip_of_an_earlier_revision_does_not_count(farm: Farm) -> None:
    farm.running(segments=2)
    late = farm.claim()
    farm.run(jobs.cancel("job_a", "ann"))
    farm.run(revisions.revise(change()))
    farm.run(jobs.plan("job_a", farm.task(Due.PLAN, "job_a").token, 2))
    clips = [segments.Settled("job_a", index, 100) for index in range(2)]
    assert farm.run(segments.settle(late.token, clips)).counted == [False, False]
    now = farm.claim()
    assert now.revision("job_a") == 2
    assert late.revision("job_a") == 1
    assert farm.run(segments.settle(now.token, clips)).counted == [True, True]
    assert farm.record().status is Status.ASSEMBLING


def test_an_earlier_result_goes_after_its_own_retention_and_its_bytes_with_it(farm: Farm) -> None:
    farm.accept()
    finish(farm)
    farm.clock.forward(HOUR_MS // 2)
    farm.run(revisions.revise(change()))
    finish(farm, stored=700)
    farm.clock.forward(HOUR_MS // 2)
    before = use(farm)[Quota.BYTES]
    (kept,) = farm.redis.hvals("f:past:job_a")
    assert farm.run(revisions.retire(farm.task(Due.RETIRE, "job_a.1")))
    assert before - use(farm)[Quota.BYTES] == 500 + len(kept)
    assert farm.run(revisions.earlier("job_a")) == {}
    assert farm.record().status is Status.SUCCEEDED


@pytest.mark.parametrize("end", ["expire", "forget"])
def test_nothing_is_left_of_earlier_revisions_after_the_job(farm: Farm, end: str) -> None:
    farm.accept()
    finish(farm)
    farm.run(revisions.revise(change(retention_s=1)))
    finish(farm)
    if end == "expire":
        farm.clock.forward(1000)
        assert farm.run(jobs.expire("job_a", farm.task(Due.EXPIRE, "job_a").token, 60))
        assert use(farm)[Quota.BYTES] == use(farm)[Quota.RECORDS] > 0
    farm.run(jobs.forget("job_a"))
    assert [use(farm)[quota] for quota in (Quota.BYTES, Quota.RECORDS, Quota.CHARACTERS)] == [0, 0, 0]
    assert not [key for key in farm.redis.keys("f:*") if b"job_a" in key]
    assert farm.redis.keys("f:due:retire:*") == []


def test_the_oldest_of_too_many_results_is_due_to_go_at_once(farm: Farm) -> None:
    farm.accept()
    for number in range(1, 4):
        finish(farm)
        farm.run(revisions.revise(change(number)), REVISIONS_KEPT=2)
    farm.run(revisions.retire(farm.task(Due.RETIRE, "job_a.1")))
    assert list(farm.run(revisions.earlier("job_a"))) == [2, 3]


def test_an_edit_counts_by_its_new_characters_and_may_be_refused(farm: Farm) -> None:
    farm.run(quotas.limit("ann", {"characters": 100}))
    farm.accept()
    finish(farm)
    with pytest.raises(QuotaExceeded):
        farm.run(revisions.revise(change(characters=101)))
    assert farm.record().revision == 1
    farm.run(revisions.revise(change(characters=90)))
    assert use(farm)[Quota.CHARACTERS] == 90


def test_a_batch_completes_again_after_an_edit_and_its_job_has_a_spec_of_its_own(farm: Farm) -> None:
    shared = '{"language": "de", "voice": "bert"}'
    farm.run(
        batches.accept(
            batches.NewBatch("batch_a", "ann", total=1, spec="{}", shared=shared, retention_s=60, webhook=True)
        )
    )
    farm.run(jobs.accept(new_job(batch="batch_a", shares=True, spec="{}")))
    finish(farm)
    farm.run(revisions.revise(change()))
    batch = farm.run(batches.record("batch_a"))
    assert batch is not None
    assert (batch.ended_ms, batch.segments, batch.counts[Status.QUEUED]) == (None, 0, 1)
    assert Spec.model_validate_json(farm.record().spec) == DRY
    finish(farm)
    batch = farm.run(batches.record("batch_a"))
    assert batch is not None
    assert batch.ended_ms is not None
    assert batch.segments == batch.segments_done == 2


def test_each_revision_ends_once_and_its_delivery_says_which_one(farm: Farm) -> None:
    farm.accept(events=("succeeded",))
    finish(farm)
    hook = Webhook.model_validate({"url": "https://example.com/hook"})
    farm.run(revisions.revise(change(spec=DRY.model_copy(update={"webhook": hook}))))
    finish(farm)
    assert farm.redis.hgetall("f:w:job_a") == {b"1": b"succeeded {}", b"2": b'succeeded {"revision":2}'}
