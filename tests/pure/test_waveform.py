"""The waveform that travels in a manifest: the same as one of the whole recording, whatever the blocks were."""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.desk.waveform import MOST, SHORTEST_S, Waveform

RATE = 1_000
SHORTEST = round(SHORTEST_S * RATE)  # samples


def shown(samples: npt.NDArray[np.float32], cuts: list[int]) -> tuple[int, npt.NDArray[np.int8]]:
    """Samples in a pair, and the pairs, of a recording that comes in blocks."""
    waveform = Waveform(RATE)
    for block in np.split(samples, sorted(cuts)):
        waveform.feed(block)
    told = waveform.shown()
    pairs = np.frombuffer(base64.b64decode(str(told["data"])), np.int8).reshape(-1, 2)
    assert (told["length"], told["bits"]) == (len(pairs), 8)
    return int(told["samples_per_pair"]), pairs


@given(frames=st.integers(0, 9 * MOST * SHORTEST), cuts=st.lists(st.integers(0, 9 * MOST * SHORTEST), max_size=9))
def test_each_pair_is_the_lowest_and_the_highest_sample_of_its_stretch(frames: int, cuts: list[int]) -> None:
    samples = np.random.default_rng(frames).uniform(-1, 1, frames).astype(np.float32)
    each, pairs = shown(samples, cuts)
    stretches = [samples[at : at + each] for at in range(0, frames, each)]
    expected = [(round(127 * float(one.min())), round(127 * float(one.max()))) for one in stretches]
    assert pairs.tolist() == [list(pair) for pair in expected]
    assert len(pairs) <= MOST
    assert len(pairs) >= min(MOST // 2, frames // SHORTEST)


def test_a_sample_beyond_full_scale_is_full_scale() -> None:
    _, pairs = shown(np.array([1.5, -1.5], np.float32), [])
    assert pairs.tolist() == [[-127, 127]]


@pytest.mark.parametrize("hours", [1, 24])
def test_the_waveform_of_any_length_is_small(hours: int) -> None:
    waveform = Waveform(10)
    for _ in range(hours):
        waveform.feed(np.zeros(3600 * 10, np.float32))
    told = waveform.shown()
    assert MOST // 2 <= int(told["length"]) <= MOST
    assert len(str(told["data"])) <= 4_000
