"""Loudness and peak of a mono stream of any length, in memory that grows by 80 bytes per second.

Integrated loudness as ITU-R BS.1770-4 defines it: K-weighting, blocks of 400 ms that overlap by three quarters, an
absolute gate at -70 LUFS and a relative gate 10 LU below the mean of the blocks that pass the first. The filters are
pyloudnorm's; a test compares the result with pyloudnorm's for the whole signal.
"""

from __future__ import annotations

import math
from array import array

import numpy as np
import numpy.typing as npt
from pyloudnorm.iirfilter import IIRfilter
from scipy.signal import lfilter

_OVERLAP = 4  # hops in a block
_HOP_S = 0.1
_ABSOLUTE_GATE = -70.0
_CEILING = 10 ** (-1 / 20)  # gain stops where the highest sample would pass -1 dBFS


class Meter:
    def __init__(self, sample_rate: int) -> None:
        self.peak = 0.0  # of the samples, 1 is full scale
        shelf = IIRfilter(4.0, 1 / math.sqrt(2), 1500.0, sample_rate, "high_shelf")
        rumble = IIRfilter(0.0, 0.5, 38.0, sample_rate, "high_pass")
        # One filter of fourth order: six times as fast as two in a row, and equal to 1e-10 in double precision.
        self._numerator = np.convolve(shelf.b, rumble.b)
        self._denominator = np.convolve(shelf.a, rumble.a)
        self._state = np.zeros(4)
        self._hop = round(_HOP_S * sample_rate)
        self._energies = array("d")  # of each hop so far
        self._rest = np.empty(0)  # squares after the last whole hop

    def feed(self, samples: npt.NDArray[np.float32]) -> None:
        if not len(samples):
            return
        self.peak = max(self.peak, float(np.max(np.abs(samples))))
        weighted, self._state = lfilter(self._numerator, self._denominator, samples.astype(np.float64), zi=self._state)
        squares = np.concatenate((self._rest, np.square(weighted)))
        whole = len(squares) // self._hop
        hops = squares[: whole * self._hop].reshape(whole, self._hop)
        self._energies.extend(hops.sum(axis=1))
        self._rest = squares[whole * self._hop :]

    def integrated(self) -> float:
        """In LUFS; -inf when nothing passes the gates. The standard has no rule below 400 ms: that is one block."""
        return integrated(self.block_powers())

    def block_powers(self) -> npt.NDArray[np.float64]:
        """The mean square of each block after weighting."""
        energies = np.array(self._energies)
        if 2 * len(self._rest) > self._hop:  # as pyloudnorm rounds the number of blocks
            energies = np.append(energies, self._rest.sum())
        if len(energies) < _OVERLAP:
            seen = len(self._energies) * self._hop + len(self._rest)
            return np.array([(sum(self._energies) + self._rest.sum()) / max(1, seen)])
        blocks = np.lib.stride_tricks.sliding_window_view(energies, _OVERLAP).sum(axis=1)
        return np.asarray(blocks / (_OVERLAP * self._hop), np.float64)


def integrated(powers: npt.NDArray[np.float64]) -> float:
    """In LUFS, of the blocks of one stream, or of several that follow each other after silence."""
    powers = powers[powers >= _power(_ABSOLUTE_GATE)]
    if not len(powers):
        return -math.inf
    powers = powers[powers > powers.mean() / 10]
    return _loudness(float(powers.mean()))


def gain_for(loudness: float, peak: float, target_lufs: float) -> float:
    """1 for silence, whose loudness is not finite."""
    if not math.isfinite(loudness):
        return 1.0
    return min(float(10 ** ((target_lufs - loudness) / 20)), _CEILING / peak)


def decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def _loudness(power: float) -> float:
    return -0.691 + 10 * math.log10(power)


def _power(loudness: float) -> float:
    return float(10 ** ((loudness + 0.691) / 10))
