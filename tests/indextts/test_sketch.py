"""A sketch of a wave notices what a comparison of all samples notices."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.indextts.sketch import Sketch, Wave

BOUND = 1e-5  # within which clips must agree
COUNT = 5000


def noise(seed: int, level: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, COUNT).astype(np.float32)


WAVE = noise(0, 0.1)
SKETCH = Sketch.of(Wave(1, WAVE))


@given(place=st.integers(0, COUNT - 1), off=st.sampled_from([-1.2 * BOUND, 1.2 * BOUND]))
def test_one_sample_that_is_off_is_noticed_wherever_it_is(place: int, off: float) -> None:
    samples = WAVE.copy()
    samples[place] += off
    assert SKETCH.difference(samples) > BOUND


@pytest.mark.parametrize("period", [1, 2, 3, 8, 32, 100])
def test_differences_that_alternate_do_not_cancel(period: int) -> None:
    off = BOUND * np.where(np.arange(COUNT) // period % 2, 1, -1).astype(np.float32)
    assert SKETCH.difference(WAVE + off) > BOUND


def test_another_gain_and_another_seed_are_noticed() -> None:
    assert SKETCH.difference(WAVE * np.float32(1.0001)) > BOUND
    assert SKETCH.difference(noise(1, 0.1)) > 0.1


def test_the_noise_of_float32_passes() -> None:
    """Of a batch and of one by one, samples differ by 1.3e-7 on average and by 1.6e-6 at most."""
    assert SKETCH.difference(WAVE + noise(2, 1.3e-7)) < BOUND / 2


def test_a_wave_of_another_length_is_refused() -> None:
    with pytest.raises(AssertionError, match="other codes"):
        SKETCH.difference(WAVE[:-1])


def test_a_sketch_is_read_back_as_it_was_written() -> None:
    read = Sketch.from_json(json.loads(json.dumps(SKETCH.to_json())))
    assert (read.parts, read.count) == (1, COUNT)
    assert read.difference(WAVE) == 0
