"""Leases on segments, on a real store: every segment that is dropped or lost is reported to the listener."""

from __future__ import annotations

from collections.abc import Collection
from queue import Queue

import pytest

from farm.store import jobs, segments
from tests.flow.house import House
from worker.render.leases import Held, Leases

PATIENCE_S = 10.0


class Noted:
    """Puts down each report, and which of its segments the leases still had at that moment."""

    def __init__(self, leases: Leases) -> None:
        self.watched: list[Held] = []
        self.dropped: Queue[list[Held]] = Queue()
        self.lost: Queue[set[Held]] = Queue()
        self._leases = leases
        leases.listen(self)

    def segments_dropped(self) -> None:
        self.dropped.put([one for one in self.watched if self._leases.has(one)])

    def segments_lost(self, held: Collection[Held]) -> None:
        self.lost.put(set(held))


class Claimed:
    """Two jobs of two segments each, claimed under one lease that is renewed every 20 ms."""

    def __init__(self, house: House) -> None:
        self.jobs = [house.submit(input=text) for text in ("One.\n\nTwo.", "Three.\n\nFour.")]
        house.desk.drain()
        grant = house.store.run(segments.claim(house.engine.card.name, want=8, worker="w", lease_ms=60_000))
        assert grant is not None
        self.leases = Leases(house.store, 60)
        self.noted = Noted(self.leases)
        self.held = self.noted.watched = self.leases.hold(grant)
        assert len(self.held) == 4


@pytest.fixture
def claimed(house: House) -> Claimed:
    return Claimed(house)


def test_a_dropped_segment_is_no_longer_held_when_it_is_reported(claimed: Claimed) -> None:
    claimed.leases.drop(claimed.held[:1])
    assert claimed.noted.dropped.get_nowait() == claimed.held[1:]
    assert claimed.noted.lost.empty()


def test_segments_that_are_given_back_are_reported_and_ready_again(house: House, claimed: Claimed) -> None:
    claimed.leases.give_back(claimed.held)
    assert claimed.noted.dropped.get_nowait() == []
    assert [house.record(job).ready for job in claimed.jobs] == [2, 2]


def test_segments_of_a_canceled_job_are_lost_and_the_others_stay(house: House, claimed: Claimed) -> None:
    canceled, running = claimed.jobs
    house.store.run(jobs.cancel(canceled, "default"))
    with claimed.leases:
        assert claimed.noted.lost.get(timeout=PATIENCE_S) == {one for one in claimed.held if one.job == canceled}
    assert claimed.noted.dropped.get_nowait() == [one for one in claimed.held if one.job == running]


def test_all_segments_of_a_lease_that_is_gone_are_lost(house: House, claimed: Claimed) -> None:
    house.store.run(segments.release(claimed.held[0].token))
    with claimed.leases:
        assert claimed.noted.lost.get(timeout=PATIENCE_S) == set(claimed.held)
    assert claimed.noted.dropped.get_nowait() == []
