"""A length to keep: shared among parts, held within what the model was made for, and told where it is missed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.indextts import duration

GAP = 4410


class Even:
    """An adapter of 4 frames a code."""

    def frames(self, codes: int, speed: float) -> int:
        return int(4 * codes / speed)


EVEN: Any = Even()


def test_a_single_part_gets_the_whole_target() -> None:
    (frames,) = duration.shares(1000, [17], GAP)
    assert frames == round(22050 / 256)


def test_parts_share_the_target_less_its_silences_by_their_tokens() -> None:
    frames = duration.shares(10_000, [10, 30], GAP)
    assert sum(frames) == round((220_500 - GAP) / 256)
    assert frames[1] == pytest.approx(3 * frames[0], abs=2)


@given(target_ms=st.integers(100, 10**8), tokens=st.lists(st.integers(1, 120), min_size=1, max_size=20))
def test_the_shares_and_the_silences_are_the_target_to_half_a_frame(target_ms: int, tokens: list[int]) -> None:
    frames = duration.shares(target_ms, tokens, GAP)
    assert len(frames) == len(tokens)
    samples = 256 * sum(frames) + GAP * (len(tokens) - 1)
    assert abs(samples - target_ms * 22.05) <= 129


@pytest.mark.parametrize(("target", "frames"), [(-50, 20), (0, 20), (20, 20), (33, 33), (80, 80), (1000, 80)])
def test_frames_are_held_within_half_and_twice_the_natural_ones(target: int, frames: int) -> None:
    assert duration.held(target, EVEN, 10) == frames


def test_a_miss_of_less_than_half_a_frame_gives_no_warning() -> None:
    for target_ms in range(900, 1100):
        (frames,) = duration.shares(target_ms, [5], GAP)
        assert duration.missed(target_ms, 256 * frames) is None


def test_a_missed_target_is_reported_with_target_and_result() -> None:
    said = str(duration.missed(5000, 22050))
    assert said.startswith("duration_limit: target 5000 ms, ")
    assert "1000 ms" in said
    assert duration.missed(500, 22050) is not None
