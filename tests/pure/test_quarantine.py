"""A quarantined item is rendered with nothing beside it, in every sequence of arrivals, takes, ends and losses.

Three descriptions of the rule must agree: worker/render/quarantine.py, a definition in one line (`is_safe`), and the
first form of the rule, which searched the intake's own state (`Former`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from worker.render import quarantine
from worker.render.quarantine import may_begin

flags = st.lists(st.booleans(), max_size=12)
counts = st.integers(1, 8)


def is_safe(unsettled: Sequence[bool]) -> bool:
    """The rule itself: all items that are unsettled at the same time are plain, or there is only one."""
    return not any(unsettled) or len(unsettled) == 1


unsettled_flags = st.one_of(st.just([True]), st.lists(st.just(False), max_size=12))


@dataclass(eq=False)
class Item:
    number: int
    quarantined: bool
    held: bool = True  # its lease is this worker's, and it is not settled

    def __repr__(self) -> str:
        return f"{'Q' if self.quarantined else 'P'}{self.number}"


@dataclass
class Former:
    """The first form of the rule, over the same items, statement by statement; but nothing is no batch."""

    ready: deque[Item] = field(default_factory=deque)
    running: list[Item] = field(default_factory=list)
    begun: dict[Item, bool] = field(default_factory=dict)

    def waits_for_begun(self) -> bool:
        self.begun = {item: quarantined for item, quarantined in self.begun.items() if item.held}
        if any(self.begun.values()) or any(item.quarantined for item in self.running):
            return True
        return bool(self.ready) and self.ready[0].quarantined and bool(self.begun or self.running)

    def enough(self, count: int, capacity: int, *, dry: bool) -> bool:
        if not self.ready or self.waits_for_begun():
            return False
        return dry or self.ready[0].quarantined or len(self.ready) >= min(count, capacity)

    def choose(self, count: int) -> list[Item]:
        if not self.ready or self.waits_for_begun():
            return []
        chosen = [self.ready.popleft()]
        while not chosen[0].quarantined and self.ready and len(chosen) < count and not self.ready[0].quarantined:
            chosen.append(self.ready.popleft())
        return chosen


# --- any state --------------------------------------------------------------------------------------------------------


@given(flags, unsettled_flags, counts)
def test_as_many_begin_as_the_rule_allows(ready: list[bool], unsettled: list[bool], count: int) -> None:
    begun = quarantine.may_begin(ready, unsettled, count)
    allowed = [n for n in range(min(count, len(ready)) + 1) if is_safe([*unsettled, *ready[:n]])]
    assert begun == max(allowed)


@settings(max_examples=500)
@given(flags, st.one_of(st.just([]), flags), counts, st.integers(1, 8), st.booleans())
def test_the_rule_agrees_with_its_first_form(
    ready: list[bool], unsettled: list[bool], count: int, capacity: int, dry: bool
) -> None:
    """The states include some that the rule never leads to, such as two unsettled quarantined items."""
    items = [Item(number, quarantined) for number, quarantined in enumerate([*ready, *unsettled])]
    waiting, in_hand = items[: len(ready)], items[len(ready) :]
    half = len(in_hand) // 2
    former = Former(deque(waiting), in_hand[:half], {item: item.quarantined for item in in_hand[half // 2 :]})
    assert quarantine.must_settle_first(ready, unsettled) == former.waits_for_begun()
    enough = quarantine.batch_is_ready(ready, unsettled, size=min(count, capacity), dry=dry)
    assert enough == former.enough(count, capacity, dry=dry)
    assert quarantine.may_begin(ready, unsettled, count) == len(former.choose(count))


@given(flags, unsettled_flags, counts)
def test_a_batch_of_plain_items_is_full_when_it_can_be(ready: list[bool], unsettled: list[bool], count: int) -> None:
    plain = [*ready, True].index(True)
    if not any(unsettled) and plain:
        assert quarantine.may_begin(ready, unsettled, count) == min(plain, count)


@given(flags, unsettled_flags, counts)
def test_a_batch_that_is_ready_has_something_to_begin(ready: list[bool], unsettled: list[bool], count: int) -> None:
    for dry in (False, True):
        if quarantine.batch_is_ready(ready, unsettled, size=count, dry=dry):
            assert quarantine.may_begin(ready, unsettled, count) > 0


@given(flags, counts)
def test_something_begins_whenever_everything_is_settled(ready: list[bool], count: int) -> None:
    assert quarantine.may_begin(ready, [], count) > 0 or not ready


# --- any sequence -----------------------------------------------------------------------------------------------------

picks = st.integers(0, 1_000)  # an item out of however many there are


class Work(RuleBasedStateMachine):
    """The events in the life of a worker's items: they arrive, are taken, finished by the engine and settled. Any item
    can be lost to another worker at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = 0
        self.ready: list[Item] = []
        self.running: list[Item] = []
        self.rendered: list[Item] = []  # finished by the engine, on the way to the bucket and the store
        self.queue: list[Item] = []  # the order in which items must begin

    def unsettled(self) -> list[Item]:
        held = [item for item in self.rendered if item.held]
        return [*self.running, *held]

    def flags(self) -> tuple[list[bool], list[bool]]:
        return [item.quarantined for item in self.ready], [item.quarantined for item in self.unsettled()]

    @rule(arrivals=st.lists(st.booleans(), min_size=1, max_size=6))
    def claim(self, arrivals: list[bool]) -> None:
        items = self._new(arrivals)
        self.ready.extend(items)
        self.queue.extend(items)

    @rule(number=st.integers(1, 3))
    def top_up(self, number: int) -> None:
        """Interactive work goes to the front, and is plain: a quarantined segment is claimed by itself."""
        items = self._new([False] * number)
        self.ready[:0] = items
        self.queue[:0] = items

    @rule(count=counts)
    def take(self, count: int) -> None:
        ready, unsettled = self.flags()
        number = quarantine.may_begin(ready, unsettled, count)
        taken, self.ready = self.ready[:number], self.ready[number:]
        assert len(taken) <= count
        self.running += taken
        for item in taken:
            assert item is self.queue.pop(0), "not in the order of ready"

    @precondition(lambda self: self.running)
    @rule(pick=picks)
    def finish(self, pick: int) -> None:
        self.rendered.append(self.running.pop(pick % len(self.running)))

    @precondition(lambda self: self.rendered)
    @rule(pick=picks)
    def settle(self, pick: int) -> None:
        self.rendered.pop(pick % len(self.rendered)).held = False

    @precondition(lambda self: self.ready)
    @rule(pick=picks)
    def lose_before_it_began(self, pick: int) -> None:
        item = self.ready.pop(pick % len(self.ready))
        self.queue.remove(item)

    @precondition(lambda self: self.running or self.rendered)
    @rule(pick=picks)
    def lose_after_it_began(self, pick: int) -> None:
        """The engine finishes an item that runs, even if the lease is gone."""
        in_hand = [*self.running, *self.rendered]
        in_hand[pick % len(in_hand)].held = False

    @invariant()
    def a_quarantined_item_has_nothing_beside_it(self) -> None:
        assert is_safe([item.quarantined for item in self.unsettled()]), self.unsettled()

    @invariant()
    def a_take_waits_only_for_what_is_unsettled(self) -> None:
        ready, unsettled = self.flags()
        if quarantine.must_settle_first(ready, unsettled):
            assert unsettled

    def teardown(self) -> None:
        """Nothing starves: once nothing more arrives, every item that is ready begins, in order."""
        for _ in range(len(self.ready)):
            while self.running:
                self.finish(0)
            while self.rendered:
                self.settle(0)
            if self.ready:
                before = len(self.ready)
                self.take(3)
                assert len(self.ready) < before, "nothing is unsettled, and nothing begins"
                self.a_quarantined_item_has_nothing_beside_it()
        assert not self.ready

    def _new(self, arrivals: Sequence[bool]) -> list[Item]:
        items = [Item(self.arrived + number, quarantined) for number, quarantined in enumerate(arrivals)]
        self.arrived += len(items)
        return items


SEQUENCES = settings(max_examples=200, stateful_step_count=40, deadline=None)
HUNT = settings(
    SEQUENCES, max_examples=5_000, phases=[Phase.generate], derandomize=True, database=None, report_multiple_bugs=False
)  # fmt: skip


def test_no_sequence_of_events_breaks_the_rule() -> None:
    run_state_machine_as_test(Work, settings=SEQUENCES)


def _beside_others(ready: Sequence[bool], unsettled: Collection[bool], count: int) -> int:
    return min(1, len(ready)) if ready[:1] == [True] else may_begin(ready, unsettled, count)


def _within_a_batch(ready: Sequence[bool], unsettled: Collection[bool], count: int) -> int:
    return 0 if quarantine.must_settle_first(ready, unsettled) else min(count, len(ready))


def _joined_by_others(ready: Sequence[bool], unsettled: Collection[bool], count: int) -> int:
    return 0 if ready[:1] == [True] and unsettled else may_begin(ready, [], count)


def _never(ready: Sequence[bool], unsettled: Collection[bool], count: int) -> int:
    return 0 if ready[:1] == [True] else may_begin(ready, unsettled, count)


@pytest.mark.parametrize("wrong", [_beside_others, _within_a_batch, _joined_by_others, _never])
def test_a_quarantined_item_that_begins_at_the_wrong_time_is_noticed(
    monkeypatch: pytest.MonkeyPatch, wrong: object
) -> None:
    monkeypatch.setattr(quarantine, "may_begin", wrong)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Work, settings=HUNT)
