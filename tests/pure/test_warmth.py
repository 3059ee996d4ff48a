"""What an engine says of its start can be read back, and its ailments come with what to do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.warmth import CREEPS, FELL_BACK, WARM, Warmth, ailments

SHARES = st.dictionaries(st.sampled_from(["gpt", "flow", "vocoder"]), st.floats(0, 1), max_size=3)


@given(st.builds(Warmth, st.floats(0, 10_000), SHARES))
def test_warmth_is_read_as_it_was_said(warmth: Warmth) -> None:
    read = Warmth.read({WARM: str(warmth)})
    assert read is not None
    assert read.speed == pytest.approx(warmth.speed, abs=0.06)
    assert read.shares == pytest.approx(warmth.shares, abs=0.006)


@pytest.mark.parametrize("facts", [{}, {WARM: ""}, {WARM: "very"}, {WARM: "3 GiB"}])
def test_an_engine_that_says_nothing_of_the_kind_has_no_warmth(facts: dict[str, str]) -> None:
    assert Warmth.read(facts) is None


def test_each_ill_says_what_to_do() -> None:
    found = list(ailments({FELL_BACK: "decode graph -> eager", CREEPS: "2.0 GiB more", "slots": "64"}))
    assert len(found) == 2
    assert "decode graph -> eager" in found[0]
    assert "docs/gpu.md" in found[0]
    assert "restart this worker" in found[1]
    assert not list(ailments({"slots": "64"}))
