"""Whom failures that nobody explains are blamed on, over the utterances of several voices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine import Failure
from worker.engines.indextts.isolation import MOST_IN_A_ROW, Broken
from worker.engines.indextts.unexplained import Unexplained


def failing(unexplained: Unexplained, *voices: str) -> list[str]:
    """The keys of the failures that come out, named by their place."""
    return [
        released.key
        for place, voice in enumerate(voices)
        for released in unexplained.failed(voice, Failure(str(place), "NaN"))
    ]


def test_eight_of_a_voice_that_never_spoke_are_failures_of_their_texts() -> None:
    assert failing(Unexplained(), *["ann"] * MOST_IN_A_ROW) == [str(place) for place in range(MOST_IN_A_ROW)]


def test_eight_of_two_voices_are_the_devices() -> None:
    with pytest.raises(Broken, match="8 utterances in a row failed, of 2 voices"):
        failing(Unexplained(), *["ann"] * (MOST_IN_A_ROW - 1), "ben")


def test_eight_of_a_voice_that_spoke_before_are_the_devices() -> None:
    unexplained = Unexplained()
    unexplained.spoke("ann")
    with pytest.raises(Broken, match="whose voice had spoken before"):
        failing(unexplained, *["ann"] * MOST_IN_A_ROW)


def test_jobs_of_one_line_count_together() -> None:
    """Each line is released, because nothing else is in hand."""
    unexplained = Unexplained()
    for place in range(MOST_IN_A_ROW - 1):
        failing(unexplained, "ann" if place else "ben")
        assert len(unexplained.released()) == 1
    with pytest.raises(Broken):
        failing(unexplained, "ann")
    assert unexplained.released() == [], "of the last one nothing is told"


def test_a_witness_that_speaks_clears_the_device_of_what_failed_before() -> None:
    unexplained = Unexplained()
    for place in range(2 * MOST_IN_A_ROW):
        assert failing(unexplained, "ann" if place % 2 else "ben") == []
        assert len(unexplained.witness_spoke()) == 1


def test_a_witness_that_fails_leaves_no_failure_to_the_texts() -> None:
    unexplained = Unexplained()
    failing(unexplained, "ann", "ann")
    with pytest.raises(Broken, match="spoken before fails too, so the texts are hardly to blame: NaN"):
        unexplained.witness_failed("NaN")
    assert not unexplained.holds


@given(st.lists(st.tuples(st.sampled_from(["ann", "ben"]), st.booleans()), max_size=40))
def test_each_failure_comes_out_once_and_in_order_unless_the_device_is_to_blame(turns: list[tuple[str, bool]]) -> None:
    unexplained = Unexplained()
    put: list[str] = []
    out: list[str] = []
    in_a_row = 0
    for voice, speaks in turns:
        if speaks:
            in_a_row = 0
            out += [failure.key for failure in unexplained.spoke(voice)]
            continue
        in_a_row += 1
        put.append(str(len(put)))
        try:
            out += [failure.key for failure in unexplained.failed(voice, Failure(put[-1], "NaN"))]
        except Broken:
            assert in_a_row % MOST_IN_A_ROW == 0
            del put[-MOST_IN_A_ROW:]
    out += [failure.key for failure in unexplained.released()]
    assert len(out) == len(set(out))
    assert out == sorted(out, key=int)
    assert set(put) <= set(out)
