"""A limiter that looks ahead: no sample of its result is above a ceiling.

Each sample above the ceiling needs a factor, the others 1. A factor is held for REACH_S on either side, and then
averaged over as long: the gain falls before a peak and rises after it within some periods of a voice. An average of
held factors is never above the factor that the sample in its middle needs, which keeps the ceiling.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from farm.sound.flac import Samples

REACH_S = 0.015


def limited(blocks: Iterable[Samples], sample_rate: int, ceiling: float) -> Iterator[Samples]:
    """As many samples as go in, in other blocks."""
    half = max(1, round(REACH_S * sample_rate / 2))
    margin = 4 * half  # what decides on the factor of a sample, on either side: it is held, and then averaged
    silence = np.zeros(margin, np.float32)
    known = silence
    for block in chain(blocks, [silence]):
        known = np.concatenate((known, block))
        if len(known) > 2 * margin:
            yield _turned_down(known, half, ceiling)[margin:-margin]
            known = known[-2 * margin :]


def _turned_down(samples: Samples, half: int, ceiling: float) -> Samples:
    heights = np.abs(samples)
    if heights.max() <= ceiling:
        return samples
    from scipy.ndimage import minimum_filter1d, uniform_filter1d  # 30 MB, which presets alone need

    held = minimum_filter1d(ceiling / np.maximum(heights, ceiling).astype(np.float64), 4 * half + 1)
    averaged = uniform_filter1d(uniform_filter1d(held, 2 * half + 1), 2 * half + 1)
    return np.asarray(samples * averaged, np.float32)
