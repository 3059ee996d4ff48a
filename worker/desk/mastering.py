"""Mastering: what is done to the samples of a recording once its clips are joined. Gain first, then the room tone.

The room tone lies over the samples after the gain, so its level is the one that was asked for, and under the whole
recording, so that neither a pause nor a gap within a clip is digital silence, and none is heard to begin.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from farm.sound.flac import Samples
from farm.wire import Output
from worker.desk import room_tone
from worker.desk.loudness import Levels

_CEILING = 10 ** (-1 / 20)  # gain stops where the highest sample would pass -1 dBFS


def gain_for(levels: Levels, output: Output) -> float:
    """1 without a target, and for silence, whose loudness is not finite."""
    loudness = levels.loudness_lufs
    if output.loudness_lufs is None or not math.isfinite(loudness):
        return 1.0
    ceiling = _CEILING - (0 if output.room_tone_dbfs is None else room_tone.peak(output.room_tone_dbfs))
    return min(float(10 ** ((output.loudness_lufs - loudness) / 20)), ceiling / levels.peak)


def mastered(blocks: Iterable[Samples], sample_rate: int, output: Output, gain: float) -> Iterator[Samples]:
    """The samples of a recording, or of a passage of one, as they are written; `sample_rate` in Hz."""
    louder = (block * np.float32(gain) for block in blocks)
    if output.room_tone_dbfs is None:
        return louder
    return room_tone.under(louder, sample_rate, output.room_tone_dbfs)


def written(levels: Levels, output: Output, gain: float) -> Levels | None:
    """The levels after mastering, by those before it; None where they have to be measured. The same object where
    mastering changes nothing."""
    if output.room_tone_dbfs is not None:
        return None
    return levels if gain == 1 else levels.louder(gain)
