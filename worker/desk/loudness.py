"""The levels of a mono stream of any length, measured in one pass: loudness, RMS, peaks, and the floor of its noise.

    loudness      ITU-R BS.1770-4: K-weighting, blocks of 400 ms that overlap by three quarters, an absolute gate at
                  -70 LUFS and a relative gate 10 LU below the mean of the blocks that pass the first. A test compares
                  the result with pyloudnorm's for the whole signal.
    true peak     the highest of the samples and of three points between each two, by soxr's filter for 4 times the
                  rate. Only points beside a local peak are asked for, and that within 6 dB of the highest of its block,
                  which is 16 times as fast as resampling all
    RMS           of all samples, pauses too
    floor         RMS of the quietest half second

The table of a stream grows by 240 bytes a second. It has a row for each 100 ms, so a stretch, such as a chapter, is
measured to the nearest 100 ms.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
from numpy.lib.stride_tricks import sliding_window_view

from farm.sound.flac import Samples
from worker.desk.weighting import KWeighting

_OVERLAP = 4  # hops in a block
_HOP_S = 0.1
_FLOOR_HOPS = 5
_ABSOLUTE_GATE = -70.0
_REACH = 84  # samples on either side that soxr's filter weighs, "HQ"
_NEAR_PEAK = 0.5
_INAUDIBLE = 1e-5  # -100 dBFS, less than a step of 16 bits
_ROWS = 4096  # points that are interpolated at once, 3 MB

Powers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Levels:
    """Of a stretch of sound. 1 is full scale, a power is a mean square."""

    frames: int
    powers: Powers  # of its blocks of 400 ms, K-weighted
    energy: float  # sum of its squares
    peak: float  # of the samples
    true_peak: float
    floor: float  # power of its quietest half second, or of all of it where it is shorter

    @property
    def loudness_lufs(self) -> float:
        """-inf when nothing passes the gates. The standard has no rule below 400 ms: that is one block."""
        powers = self.powers[self.powers >= _power(_ABSOLUTE_GATE)]
        if not len(powers):
            return -math.inf
        powers = powers[powers > powers.mean() / 10]
        return -0.691 + 10 * math.log10(float(powers.mean()))

    @property
    def rms_dbfs(self) -> float:
        return decibels(math.sqrt(self.energy / max(1, self.frames)))

    @property
    def floor_dbfs(self) -> float:
        """-inf is digital silence."""
        return decibels(math.sqrt(self.floor))

    def louder(self, gain: float) -> Levels:
        return replace(
            self, powers=self.powers * gain**2, energy=self.energy * gain**2, peak=self.peak * gain,
            true_peak=self.true_peak * gain, floor=self.floor * gain**2,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figures:
    """Levels as a manifest tells them: dB to two places. None is silence, of a floor digital silence."""

    loudness_lufs: float | None
    rms_dbfs: float | None
    true_peak_dbtp: float | None
    peak_dbfs: float | None  # of the samples
    floor_dbfs: float | None

    @classmethod
    def of(cls, levels: Levels) -> Figures:
        return cls(
            shown(levels.loudness_lufs), shown(levels.rms_dbfs), shown(decibels(levels.true_peak)),
            shown(decibels(levels.peak)), shown(levels.floor_dbfs),
        )  # fmt: skip


def joined(every: Sequence[Levels]) -> Levels:
    """Of stretches that follow each other after silence. A floor lies within one of them."""
    return Levels(
        frames=sum(each.frames for each in every), powers=np.concatenate([each.powers for each in every]),
        energy=sum(each.energy for each in every), peak=max(each.peak for each in every),
        true_peak=max(each.true_peak for each in every), floor=min(each.floor for each in every),
    )  # fmt: skip


class Meter:
    def __init__(self, sample_rate: int) -> None:
        self._weighting = KWeighting(sample_rate)
        self._hop = round(_HOP_S * sample_rate)
        self._weighted, self._plain = array("d"), array("d")  # energies of each hop so far
        self._peaks, self._between = array("f"), array("f")  # of its samples, and of the points between them
        self._weighted_hops, self._plain_hops = _Hops(self._hop, np.float64), _Hops(self._hop, np.float32)
        self._around = np.zeros(_REACH, np.float32)  # the last samples, whose neighbours are still to come
        self._looked_at = 0  # samples: the points around them are known

    def feed(self, samples: Samples) -> None:
        if not len(samples):
            return
        for weighted in self._weighting.feed(samples):
            self._note_weighted(weighted.ravel())
        hops = self._plain_hops.whole(samples)
        self._plain.extend(_energies(hops))
        self._peaks.extend(np.maximum(hops.max(axis=1), -hops.min(axis=1)))
        self._interpolate(samples)

    def measured(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """Lets blocks pass."""
        for block in blocks:
            self.feed(block)
            yield block

    def levels(self, start: int = 0, end: int | None = None) -> Levels:
        """From the sample `start` on, or up to the sample `end`; nothing may be fed after this. A stretch that does not
        go to the end of the stream begins and ends with a hop."""
        self._note_weighted(self._weighting.rest())
        if len(self._around):
            self._interpolate(np.zeros(_REACH, np.float32))
            self._around = self._around[:0]
        first = round(start / self._hop)
        last = len(self._plain) if end is None else max(first + 1, round(end / self._hop))
        weighted, plain = (np.array(energies[first:last]) for energies in (self._weighted, self._plain))
        rest, weighted_rest = self._plain_hops.rest, self._weighted_hops.rest
        if end is not None:
            rest, weighted_rest = rest[:0], weighted_rest[:0]
        frames = len(plain) * self._hop + len(rest)
        energy, weighted_energy = plain.sum() + rest @ rest, weighted.sum() + weighted_rest @ weighted_rest
        if 2 * len(rest) > self._hop:  # as pyloudnorm rounds the number of blocks
            weighted = np.append(weighted, weighted_rest @ weighted_rest)
        peak = max([*self._peaks[first:last], float(np.abs(rest).max(initial=0))])
        between = self._between[first : None if end is None else last]
        return Levels(
            frames, self._means(weighted, _OVERLAP, weighted_energy, frames), float(energy), peak,
            max([peak, *between]), float(self._means(plain, _FLOOR_HOPS, energy, frames).min()),
        )  # fmt: skip

    def _note_weighted(self, weighted: Powers) -> None:
        self._weighted.extend(_energies(self._weighted_hops.whole(weighted)))

    def _means(self, energies: Powers, hops: int, energy: float, frames: int) -> Powers:
        """The mean square of each block of so many hops; of all there is, where that is shorter than a block."""
        if len(energies) < hops:
            return np.array([energy / max(1, frames)])
        return np.asarray(sliding_window_view(energies, hops).sum(axis=1) / (hops * self._hop), np.float64)

    def _interpolate(self, samples: npt.NDArray[np.float32]) -> None:
        """Looks at the points around the peaks of all samples whose neighbours are known."""
        around = np.concatenate((self._around, samples))
        heights = np.abs(around)
        ready = heights[_REACH : len(around) - _REACH]
        if len(ready):
            high = np.flatnonzero(ready >= max(_NEAR_PEAK * float(ready.max()), _INAUDIBLE))
            before, at, after = (heights[high + _REACH + side] for side in (-1, 0, 1))
            peaks = high[(at >= before) & (at >= after)]
            windows = sliding_window_view(around, 2 * _REACH + 1)
            for some in np.split(peaks, range(_ROWS, len(peaks), _ROWS)):
                highest = np.abs(windows[some] @ _points_between()).max(axis=1)
                self._note((self._looked_at + some) // self._hop, highest)
            self._looked_at += len(ready)
        self._around = around[max(0, len(around) - 2 * _REACH) :]

    def _note(self, hops: npt.NDArray[np.intp], highest: npt.NDArray[np.float32]) -> None:
        if not len(hops):
            return
        missing = int(hops[-1]) + 1 - len(self._between)
        self._between.extend([0.0] * missing)
        np.maximum.at(np.frombuffer(self._between, np.float32), hops, highest)


@cache
def _points_between() -> npt.NDArray[np.float32]:
    """(2 * _REACH + 1, 6): how the samples around one weigh in the three points before it and the three after it."""
    impulse = np.zeros(1024)
    impulse[512] = 1
    response = soxr.resample(impulse, 1, 4, quality="HQ")
    places = 2048 - 4 * np.arange(-_REACH, _REACH + 1)
    return np.stack([response[places + point] for point in (-3, -2, -1, 1, 2, 3)], axis=1).astype(np.float32)


class _Hops:
    """Cuts a stream into hops of `size` samples."""

    def __init__(self, size: int, type: type[np.floating[Any]]) -> None:
        self._size = size
        self.rest: npt.NDArray[Any] = np.empty(0, type)  # after the last whole hop

    def whole(self, samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(hops, size)"""
        samples = np.concatenate((self.rest, samples))
        end = len(samples) // self._size * self._size
        self.rest = samples[end:].copy()
        return samples[:end].reshape(-1, self._size)


def _energies(hops: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.asarray(np.einsum("ij,ij->i", hops, hops))


def shown(decibels: float) -> float | None:
    return round(decibels, 2) if math.isfinite(decibels) else None


def decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def _power(loudness: float) -> float:
    return float(10 ** ((loudness + 0.691) / 10))
