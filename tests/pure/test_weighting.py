"""K-weighting by FFT is the two filters of the standard, sample by sample."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyloudnorm.iirfilter import IIRfilter
from scipy.signal import lfilter

from farm.sound.flac import Samples
from worker.desk.weighting import KWeighting, Weighted

RATES = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000, 192_000)


def weighted(signal: Samples, rate: int, *cuts: int) -> Weighted:
    weighting = KWeighting(rate)
    done = [part.ravel() for block in np.split(signal, sorted(cuts)) for part in weighting.feed(block)]
    return np.concatenate([*done, weighting.rest()])


def loud_then_silent(seconds: float, rate: int) -> Samples:
    """Noise, an impulse beside it, and an offset that the high pass has to lose; silence follows."""
    noise = np.random.default_rng(rate).standard_normal(round(seconds * rate)) * 0.2 + 0.3
    noise[rate // 3] = 1
    noise[len(noise) // 2 :] = 0
    return noise.astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
def test_it_is_that_of_pyloudnorms_filters_one_after_the_other(rate: int) -> None:
    signal = loud_then_silent(5, rate)
    shelf = IIRfilter(4.0, 1 / math.sqrt(2), 1500.0, rate, "high_shelf")
    rumble = IIRfilter(0.0, 0.5, 38.0, rate, "high_pass")
    expected = lfilter(rumble.b, rumble.a, lfilter(shelf.b, shelf.a, signal.astype(np.float64)))
    np.testing.assert_allclose(weighted(signal, rate), expected, rtol=0, atol=1e-9)


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 24_000), max_size=8))
def test_it_does_not_depend_on_the_blocks_of_the_stream(cuts: list[int]) -> None:
    signal = loud_then_silent(3, 8_000)
    assert np.array_equal(weighted(signal, 8_000, *cuts), weighted(signal, 8_000))


def test_a_stream_that_has_ended_has_no_more() -> None:
    weighting = KWeighting(8_000)
    assert list(weighting.feed(loud_then_silent(1, 8_000))) == []
    assert (len(weighting.rest()), len(weighting.rest())) == (8_000, 0)


def test_a_desk_starts_without_scipy() -> None:
    """It would take half of the desk's memory, and of the processor time of its start."""
    code = "import sys, worker.desk.desk; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
