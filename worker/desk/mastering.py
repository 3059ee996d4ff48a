"""Mastering: what is done to the samples of a recording once its clips are joined.

    gain         reaches the loudness that is asked for, as far as peaks allow
    limiter      for presets alone: peaks that the gain would lift over the ceiling are taken down
    room tone    is laid over the result, so its level is the one that was asked for

The room tone lies under the whole recording, so that neither a pause nor a gap within a clip is digital silence, and
none is heard to begin.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from farm.presets import PRESETS
from farm.sound.flac import Samples
from farm.wire import Output
from worker.desk import room_tone
from worker.desk.limiter import limited
from worker.desk.loudness import Levels

_CEILING_DB = -1.0  # of the samples, without a preset: gain stops there
_BELOW_BOUND_DB = 0.5  # a preset's bound holds between samples, and after a lossy encoder
_DEEPEST = 2.0  # what the limiter takes from a peak at most, 6 dB; louder speech would sound pressed


def gain_for(levels: Levels, output: Output) -> float:
    """1 without a target, and for silence, whose loudness is not finite."""
    if output.preset is None:
        loudness, aim, most = levels.loudness_lufs, output.loudness_lufs, 1.0
    else:
        preset = PRESETS[output.preset]
        loudness, aim, most = getattr(levels, preset.measure), preset.aim, _DEEPEST
    if aim is None or not math.isfinite(loudness):
        return 1.0
    return min(float(10 ** ((aim - loudness) / 20)), most * _ceiling(output) / levels.peak)


def mastered(blocks: Iterable[Samples], sample_rate: int, output: Output, gain: float) -> Iterator[Samples]:
    """The samples of a recording, or of a passage of one, as they are written; `sample_rate` in Hz."""
    louder: Iterator[Samples] = (block * np.float32(gain) for block in blocks)
    if output.preset is not None:
        louder = limited(louder, sample_rate, _ceiling(output))
    if output.room_tone_dbfs is None:
        return louder
    return room_tone.under(louder, sample_rate, output.room_tone_dbfs)


def written(levels: Levels, output: Output, gain: float) -> Levels | None:
    """The levels after mastering, by those before it; None where they have to be measured. The same object where
    mastering changes nothing."""
    if output.room_tone_dbfs is not None or output.preset is not None:
        return None
    return levels if gain == 1 else levels.louder(gain)


def _ceiling(output: Output) -> float:
    """The highest that a sample may be before the room tone is laid over it; 1 is full scale."""
    bound = _CEILING_DB if output.preset is None else PRESETS[output.preset].true_peak_dbtp - _BELOW_BOUND_DB
    tone = 0.0 if output.room_tone_dbfs is None else room_tone.peak(output.room_tone_dbfs)
    return float(10 ** (bound / 20)) - tone
