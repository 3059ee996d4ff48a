"""Timed work and webhook deliveries."""

from __future__ import annotations

from typing import Any

import pytest

from farm.errors import StoreUnavailable
from farm.job import Due, Lane
from farm.store import batches, jobs, outbox, segments, tasks
from tests.store.clocked import LEASE, Farm


def test_a_task_that_nobody_finishes_comes_back(farm: Farm) -> None:
    farm.accept()
    first = farm.task(Due.PLAN, "job_a")
    assert farm.run(tasks.take([Due.PLAN], want=9, lease_ms=LEASE)) == []
    farm.clock.forward(LEASE)
    second = farm.task(Due.PLAN, "job_a")
    assert first.token != second.token
    assert not farm.run(tasks.done(first))
    assert not farm.run(tasks.extend(first, LEASE))


def test_a_long_task_stays_leased_while_it_is_extended(farm: Farm) -> None:
    farm.accept()
    task = farm.task(Due.PLAN, "job_a")
    for _ in range(3):
        farm.clock.forward(LEASE - 1)
        assert farm.run(tasks.extend(task, LEASE))
    assert farm.run(tasks.take([Due.PLAN], want=9, lease_ms=LEASE)) == []
    assert farm.run(jobs.plan("job_a", task.token, 1))


def test_an_interactive_job_is_assembled_before_a_bulk_batch_is_planned(farm: Farm) -> None:
    farm.running("job_line", 1, lane=Lane.INTERACTIVE)
    for number in range(20):
        farm.accept(f"job_bulk{number}", lane=Lane.BULK)
    farm.run(segments.settle("0", [segments.Settled("job_line", 0, 100)]))
    first = farm.run(tasks.take([Due.PLAN, Due.ASSEMBLE], want=2, lease_ms=LEASE))
    assert (Due.ASSEMBLE, "job_line") in [(task.kind, task.id) for task in first]


def test_planning_and_assembling_take_turns(farm: Farm) -> None:
    for number in range(10):
        farm.running(f"job_whole{number}", 1)
    for number in range(10):
        farm.accept(f"job_new{number}")
        farm.run(segments.settle("0", [segments.Settled(f"job_whole{number}", 0, 100)]))
    taken = farm.run(tasks.take([Due.PLAN, Due.ASSEMBLE], want=10, lease_ms=LEASE))
    assert sorted(task.kind for task in taken) == [Due.ASSEMBLE] * 5 + [Due.PLAN] * 5


def test_an_express_take_gets_interactive_work_only(farm: Farm) -> None:
    farm.accept("job_bulk", lane=Lane.BULK)
    farm.accept("job_a")
    assert farm.run(tasks.take([Due.PLAN], want=9, lease_ms=LEASE, express=True)) == []
    farm.accept("job_line", lane=Lane.INTERACTIVE)
    assert [task.id for task in farm.run(tasks.take([Due.PLAN], want=9, lease_ms=LEASE, express=True))] == ["job_line"]


def test_a_task_can_be_made_due_again_later(farm: Farm) -> None:
    farm.accept()
    task = farm.task(Due.PLAN, "job_a")
    assert farm.run(tasks.done(task, again_ms=500))
    assert not farm.run(tasks.done(task)), "its token went with it"
    assert farm.run(tasks.next_due([Due.PLAN])) == {Due.PLAN: 500}
    farm.clock.forward(500)
    assert farm.task(Due.PLAN, "job_a")


def test_next_due_tells_how_long_to_sleep(farm: Farm) -> None:
    assert farm.run(tasks.next_due(list(Due))) == {}
    farm.accept("job_a")
    farm.accept("job_b", tenant="bob", retention_s=2)
    assert farm.run(tasks.next_due(list(Due))) == {Due.PLAN: 0}
    farm.run(jobs.cancel("job_b", "bob"))
    farm.task(Due.PLAN, "job_a")
    farm.clock.forward(700)
    assert farm.run(tasks.next_due([Due.PLAN, Due.EXPIRE])) == {Due.PLAN: LEASE - 700, Due.EXPIRE: 1300}
    farm.clock.forward(2 * LEASE)
    assert farm.run(tasks.next_due([Due.PLAN, Due.EXPIRE])) == {Due.PLAN: 0, Due.EXPIRE: 0}


# --- deliveries -------------------------------------------------------------------------------------------------------


def test_the_end_of_a_job_leaves_a_delivery_when_its_webhook_wants_it(farm: Farm) -> None:
    task = farm.assembling("job_a", events=["succeeded"])
    farm.run(jobs.finish("job_a", task.token, "{}"))
    assert farm.run(outbox.deliveries("job_a", "ann")) == [outbox.DeliveryRecord("job_a.1", "succeeded", "{}", 0)]
    assert farm.run(outbox.deliveries("job_a", "bob")) is None
    assert farm.run(outbox.deliveries("job_none")) is None
    farm.accept("job_b", events=["succeeded"])
    farm.run(jobs.cancel("job_b", "ann"))
    assert farm.run(outbox.deliveries("job_b")) == []


def test_a_delivery_keeps_its_record_and_is_due_again_until_it_is_over(farm: Farm) -> None:
    farm.accept(events=["canceled"])
    farm.run(jobs.cancel("job_a", "ann"))
    first = farm.task(Due.DELIVER, "job_a.1")
    assert farm.run(outbox.delivered(first, '{"tries": 1}', again_ms=5000, outcome="delivered"))
    assert farm.run(outbox.deliveries("job_a")) == [outbox.DeliveryRecord("job_a.1", "canceled", '{"tries": 1}', 5000)]
    assert not farm.run(outbox.delivered(first, "{}", None, outcome="delivered")), "late"
    farm.clock.forward(5000)
    assert farm.run(outbox.delivered(farm.task(Due.DELIVER, "job_a.1"), '{"tries": 2}', None, outcome="delivered"))
    assert farm.run(outbox.deliveries("job_a")) == [outbox.DeliveryRecord("job_a.1", "canceled", '{"tries": 2}', None)]


def test_a_delivery_can_be_sent_again(farm: Farm) -> None:
    farm.accept(events=["canceled"])
    farm.run(jobs.cancel("job_a", "ann"))
    farm.run(outbox.delivered(farm.task(Due.DELIVER, "job_a.1"), "{}", None, outcome="delivered"))
    for other, tenant in (("job_a.1", "bob"), ("job_a.2", "ann"), ("job_b.1", "ann"), ("nonsense", "ann")):
        assert farm.run(outbox.redeliver(other, tenant)) is None
    assert farm.run(outbox.redeliver("job_a.1", "ann")) is True
    assert farm.task(Due.DELIVER, "job_a.1")


def test_a_job_is_asked_to_deliver_again_at_most_once_a_second(farm: Farm) -> None:
    farm.accept(events=["canceled"])
    farm.run(jobs.cancel("job_a", "ann"))
    farm.run(outbox.delivered(farm.task(Due.DELIVER, "job_a.1"), "{}", None, outcome="delivered"))
    assert farm.run(outbox.redeliver("job_a.1", "ann")) is True
    farm.run(outbox.delivered(farm.task(Due.DELIVER, "job_a.1"), "{}", None, outcome="delivered"))
    farm.clock.forward(999)
    assert farm.run(outbox.redeliver("job_a.1", "ann")) is False
    assert farm.run(tasks.take([Due.DELIVER], want=9, lease_ms=1000)) == []
    farm.clock.forward(1)
    assert farm.run(outbox.redeliver("job_a.1", "ann")) is True


def test_the_outbox_keeps_the_latest_ends_of_a_job_that_is_canceled_and_retried_for_ever(farm: Farm) -> None:
    farm.accept(events=["canceled"])
    for _ in range(30):
        farm.run(jobs.cancel("job_a", "ann"))
        farm.run(jobs.retry("job_a", "ann"))
    kept = [f"job_a.{end}" for end in range(11, 31)]
    assert [each.id for each in farm.run(outbox.deliveries("job_a")) or ()] == kept
    due = farm.run(tasks.take([Due.DELIVER], want=99, lease_ms=1000))
    assert sorted(task.id for task in due) == sorted(kept)


def test_every_end_has_a_delivery_of_its_own(farm: Farm) -> None:
    farm.accept(events=["canceled", "failed"])
    farm.run(jobs.cancel("job_a", "ann"))
    farm.run(jobs.retry("job_a", "ann"))
    farm.run(jobs.abort("job_a", Due.PLAN, farm.task(Due.PLAN, "job_a").token, "{}"))
    found = farm.run(outbox.deliveries("job_a"))
    assert {delivery.id: delivery.event for delivery in found or ()} == {"job_a.1": "canceled", "job_a.2": "failed"}


def test_deliveries_outlive_expiry_and_are_deleted_with_the_record(farm: Farm) -> None:
    farm.accept(events=["canceled"])
    farm.run(jobs.cancel("job_a", "ann"))
    farm.clock.forward(3600 * 1000)
    farm.run(jobs.expire("job_a", farm.task(Due.EXPIRE, "job_a").token, 60))
    task = farm.task(Due.DELIVER, "job_a.1")
    farm.run(jobs.forget("job_a"))
    assert not farm.run(outbox.delivered(task, "{}", 100, outcome="delivered"))
    assert farm.run(tasks.next_due(list(Due))) == {}


def test_a_token_of_another_task_is_late(farm: Farm) -> None:
    farm.accept("job_a")
    farm.accept("job_b")
    token = farm.task(Due.PLAN, "job_b").token
    assert not farm.run(tasks.done(tasks.Task(Due.PLAN, "job_a", token)))
    assert not farm.run(jobs.plan("job_a", token, 1))


DRAFT_MS = 60_000
BATCH = batches.NewBatch("batch_a", "ann", total=1, spec="{}", retention_s=60, drafted=True)


def test_a_draft_that_is_accepted_in_time_is_not_deleted(farm: Farm) -> None:
    for id in ("job_a", "batch_a"):
        farm.run(jobs.draft(id, DRAFT_MS))
    farm.clock.forward(DRAFT_MS - 1)
    farm.accept(drafted=True)
    farm.run(batches.accept(BATCH))
    farm.clock.forward(DRAFT_MS)
    assert farm.run(tasks.take([Due.DRAFT], want=9, lease_ms=LEASE)) == []


def test_a_draft_that_is_being_taken_away_can_not_be_accepted(farm: Farm) -> None:
    for id in ("job_a", "batch_a"):
        farm.run(jobs.draft(id, DRAFT_MS))
    farm.clock.forward(DRAFT_MS)
    taken = farm.run(tasks.take([Due.DRAFT], want=9, lease_ms=LEASE))
    assert {task.id for task in taken} == {"job_a", "batch_a"}
    for _ in range(2):  # while the desk has it in hand, and when it is gone
        with pytest.raises(StoreUnavailable, match="send it again"):
            farm.accept(drafted=True)
        with pytest.raises(StoreUnavailable, match="send it again"):
            farm.run(batches.accept(BATCH))
        for task in taken:
            farm.run(tasks.done(task))
    assert farm.redis.keys("f:j:*") == farm.redis.keys("f:b:*") == farm.redis.keys("f:due:draft*") == []


def test_a_draft_that_one_desk_left_is_taken_by_another(farm: Farm) -> None:
    farm.run(jobs.draft("job_a", 0))
    assert farm.run(tasks.take([Due.DRAFT], want=9, lease_ms=LEASE))
    farm.clock.forward(LEASE)
    assert farm.run(tasks.take([Due.DRAFT], want=9, lease_ms=LEASE))


# --- passages ---------------------------------------------------------------------------------------------------------


def passed(farm: Farm, ends: tuple[int, ...] = (2, 3), **more: Any) -> None:
    """A running job with passages."""
    farm.accept(**more)
    assert farm.run(jobs.plan("job_a", farm.task(Due.PLAN, "job_a").token, ends[-1], 0, ends))


def settle(farm: Farm, *indices: int) -> int:
    return farm.run(segments.settle("0", [segments.Settled("job_a", index, 100) for index in indices])).became_due


def test_a_passage_is_due_with_the_last_of_its_segments_and_its_job_with_the_last_passage(farm: Farm) -> None:
    passed(farm)
    assert [settle(farm, 1), settle(farm, 2), settle(farm, 0)] == [0, 1, 1]
    first, second = farm.run(tasks.take([Due.PASSAGE], want=9, lease_ms=LEASE))
    places = {task.id: farm.run(tasks.passage(task)) for task in (first, second)}
    assert places == {"job_a.0": (0, 2), "job_a.1": (2, 1)}
    assert farm.run(tasks.take([Due.ASSEMBLE], want=9, lease_ms=LEASE)) == []
    assert [farm.run(tasks.passage_done(task)) for task in (first, first, second)] == [False, False, True]
    assert farm.task(Due.ASSEMBLE, "job_a")


def test_passages_that_are_made_can_be_due_once_more_and_the_assembly_waits_for_them(farm: Farm) -> None:
    passed(farm, (1, 2, 3, 4))
    settle(farm, 0, 1, 2)
    first, second, third = farm.run(tasks.take([Due.PASSAGE], want=9, lease_ms=LEASE))
    settle(farm, 3)
    assert not farm.run(tasks.passage_done(first))
    # 0 and 1 are made; 2 is in the making, 3 is due, and there is no 4.
    assert not farm.run(tasks.passage_done(second, (0, 1, 2, 3, 4)))
    taken = farm.run(tasks.take([Due.PASSAGE], want=9, lease_ms=LEASE))
    assert sorted(task.id for task in taken) == ["job_a.0", "job_a.1", "job_a.3"]
    assert not farm.run(tasks.passage_done(first, (0,))), "late"
    assert [farm.run(tasks.passage_done(task)) for task in (third, *taken)] == [False, False, False, True]


def test_a_passage_that_is_not_made_is_not_due_once_more(farm: Farm) -> None:
    passed(farm)
    settle(farm, 2)
    assert not farm.run(tasks.passage_done(farm.task(Due.PASSAGE, "job_a.1"), (0,)))
    assert farm.run(tasks.take([Due.PASSAGE], want=9, lease_ms=LEASE)) == []


def test_a_passage_of_a_lost_desk_is_taken_by_another(farm: Farm) -> None:
    passed(farm)
    settle(farm, 0, 1, 2)
    late, _ = farm.run(tasks.take([Due.PASSAGE], want=9, lease_ms=LEASE))
    farm.clock.forward(LEASE)
    for task in farm.run(tasks.take([Due.PASSAGE], want=9, lease_ms=LEASE)):
        assert not farm.run(tasks.passage_done(late))
        farm.run(tasks.passage_done(task))
    assert farm.task(Due.ASSEMBLE, "job_a")


def test_an_assembly_waits_half_an_hour_for_passages_that_nobody_makes(farm: Farm) -> None:
    passed(farm)
    settle(farm, 0, 1, 2)
    assert farm.run(tasks.next_due([Due.ASSEMBLE])) == {Due.ASSEMBLE: 1_800_000}
    farm.clock.forward(1_800_000)
    task = farm.task(Due.ASSEMBLE, "job_a")
    for passage in farm.run(tasks.take([Due.PASSAGE], want=9, lease_ms=LEASE)):
        assert not farm.run(tasks.passage_done(passage)), "the assembly is under way"
    assert farm.run(jobs.finish("job_a", task.token, "{}"))


def test_a_job_that_ends_early_leaves_no_passage_due(farm: Farm) -> None:
    passed(farm)
    settle(farm, 0, 1)
    task = farm.task(Due.PASSAGE, "job_a.0")
    farm.run(jobs.cancel("job_a", "ann"))
    assert farm.run(tasks.passage(task)) is None
    assert not farm.run(tasks.passage_done(task))
    assert farm.redis.keys("f:p:*") == farm.redis.keys("f:due:passage*") == []


def test_a_passage_is_not_made_again_after_a_redo(farm: Farm) -> None:
    passed(farm)
    settle(farm, 0, 1, 2)
    for passage in farm.run(tasks.take([Due.PASSAGE], want=9, lease_ms=LEASE)):
        farm.run(tasks.passage_done(passage))
    assert farm.run(jobs.redo("job_a", farm.task(Due.ASSEMBLE, "job_a").token, [0, 1])) == 2
    assert settle(farm, 0, 1) == 1
    assert farm.run(tasks.take([Due.PASSAGE], want=9, lease_ms=LEASE)) == []
    assert farm.task(Due.ASSEMBLE, "job_a")
