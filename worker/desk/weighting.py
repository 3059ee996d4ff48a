"""K-weighting of ITU-R BS.1770-4: a shelf, for what a head does to sound, and a high pass.

Both filters together ring for less than SETTLED_S, so a window of the stream whose first SETTLED_S are known already
gives the rest of it weighted, by one FFT there and one back. FFTs of four windows at once are about as fast as
scipy.signal, which would cost every desk 65 MB and most of a second at its start.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from farm.sound.flac import Samples

SETTLED_S = 0.2  # until less than 1e-18 is left of an impulse
_WINDOW = 4  # times that, at least
_AT_ONCE = 4  # windows

Weighted = npt.NDArray[np.float64]
Coefficients = tuple[list[float], list[float]]  # numerator, denominator


class KWeighting:
    """Of a mono stream. Its result does not depend on the blocks in which the stream comes."""

    def __init__(self, sample_rate: int) -> None:
        self._response = _response(sample_rate)
        self._window = 2 * (len(self._response) - 1)  # samples, as all lengths here
        self._known = _settled(sample_rate)
        self._step = self._window - self._known
        self._needed = self._known + _AT_ONCE * self._step
        self._waiting = np.zeros(self._known, np.float32)  # what is known, and what came after it
        # Used again and again: new pages from the system would take longer than the FFTs.
        self._windows = np.empty((_AT_ONCE, self._window))
        self._spectra = np.empty((_AT_ONCE, len(self._response)), np.complex128)

    def feed(self, samples: Samples) -> Iterator[Weighted]:
        """What these samples complete, weighted. Each part stands until the next is asked for."""
        self._waiting = np.concatenate((self._waiting, samples))
        while len(self._waiting) >= self._needed:
            yield self._weighted(self._waiting[: self._needed])
            self._waiting = self._waiting[_AT_ONCE * self._step :]

    def rest(self) -> Weighted:
        """What is not complete."""
        count = len(self._waiting) - self._known
        weighted = self._weighted(np.pad(self._waiting, (0, self._needed - len(self._waiting)))).ravel()[:count]
        self._waiting = self._waiting[count:]
        return weighted

    def _weighted(self, samples: Samples) -> Weighted:
        """(_AT_ONCE, step)"""
        self._windows[:] = sliding_window_view(samples, self._window)[:: self._step]
        np.fft.rfft(self._windows, out=self._spectra)
        self._spectra *= self._response
        np.fft.irfft(self._spectra, self._window, out=self._windows)
        return self._windows[:, self._known :]


def high_shelf(gain_db: float, q: float, hertz: float, sample_rate: int) -> Coefficients:
    """R. Bristow-Johnson, Cookbook formulae for audio EQ biquad filter coefficients."""
    a = 10 ** (gain_db / 40)
    cosine, alpha = _at(hertz, q, sample_rate)
    slope, more, less = 2 * math.sqrt(a) * alpha, a + 1, a - 1
    return (
        [a * (more + less * cosine + slope), -2 * a * (less + more * cosine), a * (more + less * cosine - slope)],
        [more - less * cosine + slope, 2 * (less - more * cosine), more - less * cosine - slope],
    )


def high_pass(q: float, hertz: float, sample_rate: int) -> Coefficients:
    """Of the same cookbook."""
    cosine, alpha = _at(hertz, q, sample_rate)
    return [(1 + cosine) / 2, -(1 + cosine), (1 + cosine) / 2], [1 + alpha, -2 * cosine, 1 - alpha]


def _at(hertz: float, q: float, sample_rate: int) -> tuple[float, float]:
    turn = 2 * math.pi * hertz / sample_rate
    return math.cos(turn), math.sin(turn) / (2 * q)


@cache
def _response(sample_rate: int) -> npt.NDArray[np.complex128]:
    """At the frequencies of the FFT of a window."""
    size = 1 << (_WINDOW * _settled(sample_rate) - 1).bit_length()
    response = np.ones(size // 2 + 1, np.complex128)
    for numerator, denominator in (
        high_shelf(4.0, 1 / math.sqrt(2), 1500.0, sample_rate),
        high_pass(0.5, 38.0, sample_rate),
    ):
        response *= np.fft.rfft(numerator, size) / np.fft.rfft(denominator, size)
    return response


def _settled(sample_rate: int) -> int:
    return math.ceil(SETTLED_S * sample_rate)
