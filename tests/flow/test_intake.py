"""The engine's feed on a real store: which work a take begins, and which events wake a take that waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from farm.job import MAX_ATTEMPTS, Status
from farm.layout import pages_key, plan_key
from farm.store import jobs, quotas, segments
from tests.flow.house import Batched, House
from worker.engine import Utterance
from worker.render.batch_spans import BatchSpans, Traces
from worker.render.intake import Intake
from worker.render.leases import Leases
from worker.render.loader import Loader
from worker.render.plan_cache import PlanCache
from worker.render.quarantine import batch_is_ready
from worker.render.reference_cache import ReferenceCache
from worker.render.work import Work

STORY = "The tide went out.\n\nNobody saw it go.\n\nIn the morning there were ships on the sand."
CAPACITY = 8
LEASE_MS = 600
PATIENCE_S = 10.0


class NotedLoader(Loader):
    """Tells of every segment that it has loaded."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.loaded = threading.Semaphore(0)

    def load(self, grant: segments.Grant) -> list[Work]:
        work = super().load(grant)
        self.loaded.release(len(work))
        return work


class Feed:
    def __init__(self, intake: Intake, leases: Leases, loader: NotedLoader) -> None:
        self.intake, self.leases, self._loader = intake, leases, loader

    def wait_for_loaded(self, count: int) -> None:
        for _ in range(count):
            assert self._loader.loaded.acquire(timeout=PATIENCE_S)

    def take(self, *, wait: bool = True) -> Sequence[Utterance]:
        return self.intake.take(CAPACITY, wait=wait)

    def settle(self, taken: Sequence[Utterance]) -> None:
        """What the commit thread does once the store has counted these clips."""
        for work in [self.intake.finished(utterance.key) for utterance in taken]:
            self.leases.drop(work.held)

    @contextmanager
    def waiting_take(self) -> Iterator[Callable[[], Sequence[Utterance]]]:
        """A take on another thread. Yields a function that waits for its answer."""
        answers: list[Sequence[Utterance]] = []
        thread = threading.Thread(target=lambda: answers.append(self.take()))
        thread.start()

        def answer() -> Sequence[Utterance]:
            thread.join(PATIENCE_S)
            assert answers, "nothing woke the take"
            return answers[0]

        try:
            yield answer
        finally:
            self.intake.stop()
            thread.join()


@contextmanager
def feed_of(house: House, capacity: int = CAPACITY) -> Iterator[Feed]:
    leases, references = Leases(house.store, LEASE_MS), ReferenceCache(house.storage)
    traces = Traces(house.store)
    loader = NotedLoader(house.store, house.storage, leases, PlanCache(house.storage), references, traces)
    intake = Intake(
        house.store, leases, loader, BatchSpans(traces), model=house.engine.card.name, worker="w", capacity=capacity,
        lease_ms=LEASE_MS,
    )  # fmt: skip
    with leases, loader, intake:
        yield Feed(intake, leases, loader)
    references.close()


def planned(house: House, text: str) -> str:
    job = house.submit(input=text)
    house.desk.drain()
    return job


def claim(house: House) -> segments.Grant:
    grant = house.store.run(segments.claim(house.engine.card.name, want=CAPACITY, worker="w", lease_ms=LEASE_MS))
    assert grant is not None
    return grant


def settle(house: House, feed: Feed, work: Work) -> None:
    for held in work.held:
        house.store.run(segments.settle(held.token, [segments.Settled(held.job, held.index, 1000)]))
    feed.leases.drop(work.held)


def noted_waits(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released from now on whenever a take finds no batch and waits."""
    waits = threading.Semaphore(0)

    def noted(*state: Any, **more: Any) -> bool:
        ready = batch_is_ready(*state, **more)
        if not ready:
            waits.release()
        return ready

    monkeypatch.setattr("worker.render.intake.batch_is_ready", noted)
    return waits


def quarantine(house: House, job: str) -> None:
    """The first segment of a job costs two workers. The others are given back."""
    for _ in range(2):
        grant = claim(house)
        assert house.store.run(segments.fail(grant.token, job, 0, "worker lost"))
        house.store.run(segments.release(grant.token))


@pytest.mark.parametrize("first", [1, 2], ids=["the quarantined segment first", "its neighbours first"])
def test_a_quarantined_segment_and_its_neighbours_wait_for_each_other(house: House, first: int) -> None:
    quarantine(house, planned(house, STORY))
    if first == 2:  # the store alternates
        house.store.run(segments.release(claim(house).token))
    with feed_of(house) as feed:
        taken = feed.take()
        assert len(taken) == first
        with feed.waiting_take() as answer:
            assert not feed.take(wait=False)
            feed.settle(taken)
            assert len(answer()) == 3 - first


def test_a_rendered_clip_that_is_not_settled_holds_up_a_quarantined_segment(house: House) -> None:
    quarantine(house, planned(house, STORY))
    with feed_of(house) as feed:
        (taken,) = feed.take()
        work = feed.intake.finished(taken.key)
        assert work.quarantined
        assert not feed.take(wait=False)
        feed.leases.drop(work.held)
        assert len(feed.take()) == 2


def test_a_settled_segment_wakes_a_take_that_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two segments are ready. This feed holds no more, so the claim-ahead thread sleeps and wakes nobody."""
    quarantine(house, planned(house, STORY))
    with feed_of(house, capacity=2) as feed:
        (taken,) = feed.take()
        feed.wait_for_loaded(3)
        waits = noted_waits(monkeypatch)
        with feed.waiting_take() as answer:
            assert waits.acquire(timeout=PATIENCE_S)
            work = feed.intake.finished(taken.key)
            assert waits.acquire(timeout=PATIENCE_S)
            feed.leases.drop(work.held)
            assert len(answer()) == 2


def test_a_take_waits_while_clips_are_on_their_way(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their tenant may have two segments in hand, so the store has nothing more before one of them is settled."""
    house.store.run(quotas.limit("default", {"segments": 2}))
    planned(house, STORY)
    with feed_of(house) as feed:
        one, other = feed.take()
        finished = [feed.intake.finished(utterance.key) for utterance in (one, other)]
        waits = noted_waits(monkeypatch)
        with feed.waiting_take() as answer:
            assert waits.acquire(timeout=PATIENCE_S)
            settle(house, feed, finished[0])
            assert len(answer()) == 1


def test_the_feed_is_over_when_the_last_clip_is_settled(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    planned(house, STORY)
    with feed_of(house) as feed:
        finished = [feed.intake.finished(utterance.key) for utterance in feed.take()]
        waits = noted_waits(monkeypatch)
        with feed.waiting_take() as answer:
            assert waits.acquire(timeout=PATIENCE_S)
            for work in finished:
                settle(house, feed, work)
            assert not answer()


def test_one_drain_renders_all_of_a_tenant_that_may_have_few_segments_in_hand(house: House) -> None:
    house.store.run(quotas.limit("default", {"segments": 2}))
    job = planned(house, "\n\n".join(f"This is the line with number {number}." for number in range(3 * CAPACITY)))
    house.renderer(Batched(house.engine)).drain()
    assert house.record(job).done == 3 * CAPACITY


def test_a_claim_that_is_overtaken_by_the_last_clip_does_not_end_a_drain(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store had nothing because of the tenant's limit; by the time that the worker hears so, there is room."""
    claim = Intake._claim

    def late(self: Intake, want: int, *, express: bool = False) -> bool:
        found = claim(self, want, express=express)
        if not found and not express and self._dry:  # what is ready begins once the worker knows that no more comes
            with self._change:
                self._change.wait_for(lambda: not (self._ready or self._running or self._unsettled()), PATIENCE_S)
        return found

    monkeypatch.setattr(Intake, "_claim", late)
    house.store.run(quotas.limit("default", {"segments": 2}))
    job = planned(house, "\n\n".join(f"This is the line with number {number}." for number in range(6)))
    house.renderer(Batched(house.engine)).drain()
    assert house.record(job).done == 6


@pytest.mark.parametrize("is_quarantined", [False, True])
def test_a_piece_of_running_work_wakes_a_take_that_waits(
    house: House, monkeypatch: pytest.MonkeyPatch, is_quarantined: bool
) -> None:
    """An engine that takes in a thread of its own waits already when its clip turns out to be odd."""
    job = planned(house, "The bell rang.")
    if is_quarantined:
        quarantine(house, job)
    with feed_of(house) as feed:
        (taken,) = feed.take()
        piece = replace(taken, key="a piece")
        waits = noted_waits(monkeypatch)
        with feed.waiting_take() as answer:
            assert waits.acquire(timeout=PATIENCE_S)
            feed.intake.add_pieces([piece])
            assert answer() == [piece]


def test_a_segment_that_is_lost_after_it_began_holds_up_nothing(house: House) -> None:
    quarantine(house, planned(house, STORY))
    with feed_of(house) as feed:
        (taken,) = feed.take()
        work = feed.intake.finished(taken.key)
        with feed.waiting_take() as answer:
            house.store.run(segments.release(work.held[0].token))  # as if another worker had taken it over
            assert len(answer()) == 2


def test_segments_with_one_text_are_one_utterance(house: House) -> None:
    jobs_of_one_text = {planned(house, "The bell rang.") for _ in range(2)}
    with feed_of(house) as feed:
        (taken,) = feed.take()
        assert {held.job for held in feed.intake.finished(taken.key).held} == jobs_of_one_text


def test_a_plain_segment_does_not_share_the_clip_of_a_quarantined_one(house: House) -> None:
    first = planned(house, "The bell rang.")
    quarantine(house, first)
    second = planned(house, "The bell rang.")
    with feed_of(house) as feed:
        for job, quarantined in ((first, True), (second, False)):
            (taken,) = feed.take()
            work = feed.intake.finished(taken.key)
            assert ([held.job for held in work.held], work.quarantined) == ([job], quarantined)
            feed.leases.drop(work.held)


def test_work_of_a_canceled_job_does_not_begin(house: House) -> None:
    job = planned(house, STORY)
    with feed_of(house) as feed:
        feed.wait_for_loaded(3)
        house.store.run(jobs.cancel(job, "default"))
        assert not feed.take()
    assert house.record(job).status is Status.CANCELED


def test_a_segment_whose_plan_is_gone_fails(house: House) -> None:
    job = planned(house, STORY)
    house.storage.delete(plan_key(job), pages_key(job))
    for _ in range(MAX_ATTEMPTS):
        house.renderer().drain()
    assert house.record(job).status is Status.FAILED
    assert house.outcome(job).code == "segment_failed"


def test_the_segments_of_an_interactive_text_are_rendered_in_order(house: House) -> None:
    """The later ones are claimed with the front place of interactive work, when the first already wait."""
    lines = [f"This is the line with number {number}." for number in range(3 * CAPACITY)]
    job = house.submit(input="\n\n".join(lines), priority="interactive")
    house.desk.drain()
    with feed_of(house) as feed:
        feed.wait_for_loaded(CAPACITY)
        taken: list[Utterance] = []
        while len(taken) < len(lines):
            some = feed.take()
            feed.settle(some)
            taken += some
    assert [utterance.text for utterance in taken] == lines
    assert house.record(job).total == len(lines)


def test_interactive_work_goes_before_other_work_that_waits(house: House) -> None:
    planned(house, "\n\n".join(f"This is the line with number {number}." for number in range(CAPACITY)))
    with feed_of(house) as feed:
        feed.wait_for_loaded(CAPACITY)
        house.submit(input="Mind the gap.", priority="interactive")
        house.desk.drain()
        taken = feed.take()
        feed.settle(taken)
    assert [utterance.text for utterance in taken][:2] == ["Mind the gap.", "This is the line with number 0."]
