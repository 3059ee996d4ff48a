"""The waveform of a recording, to be drawn without the audio: the lowest and the highest sample of each stretch, small
enough to travel in the manifest.

Stretches are equal but for the last. There are at most MOST of them, and at least half as many unless the recording is
shorter than MOST * SHORTEST_S / 2 seconds. The length need not be known before: whenever there are MOST stretches, two
neighbours become one, so memory is bounded at any length.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

import numpy as np

from farm.sound.flac import Pcm, Samples

MOST = 1_500  # stretches, an even number: 4 kB of a manifest
SHORTEST_S = 0.01

_NONE = (np.inf, -np.inf)


class Waveform:
    def __init__(self, sample_rate: int) -> None:
        self._samples = _stretch(sample_rate)  # in a stretch
        self._pairs = np.empty((MOST, 2), np.float32)  # lowest and highest of each whole stretch
        self._whole = 0
        self._last = _NONE  # lowest and highest of the stretch that is not whole yet
        self._begun = 0  # its samples so far

    def feed(self, samples: Samples) -> None:
        """(frames,) float32, 1 is full scale."""
        while len(samples):
            stretches = min(len(samples) // self._samples, MOST - self._whole)
            taken = stretches * self._samples
            if self._begun or not stretches:
                taken = min(len(samples), self._samples - self._begun)
                self._begin(samples[:taken])
            else:
                rows = samples[:taken].reshape(stretches, self._samples)
                self._add(np.stack((rows.min(1), rows.max(1)), 1))
            samples = samples[taken:]

    def _begin(self, samples: Samples) -> None:
        low, high = self._last
        self._last = min(low, float(samples.min())), max(high, float(samples.max()))
        self._begun += len(samples)
        if self._begun == self._samples:
            self._add(np.array([self._last], np.float32))
            self._last, self._begun = _NONE, 0

    def _add(self, pairs: Samples) -> None:
        self._pairs[self._whole : self._whole + len(pairs)] = pairs
        self._whole += len(pairs)
        if self._whole == MOST:
            neighbours = self._pairs.reshape(MOST // 2, 2, 2)
            self._whole //= 2
            self._pairs[: self._whole] = np.stack((neighbours[:, :, 0].min(1), neighbours[:, :, 1].max(1)), 1)
            self._samples *= 2

    def shown(self) -> dict[str, int | str]:
        """For the manifest: `data` is base64 of `length` pairs of signed bytes, where 127 is full scale."""
        pairs = self._pairs[: self._whole]
        if self._begun:
            pairs = np.concatenate((pairs, np.array([self._last], np.float32)))
        data = np.clip(np.rint(127.0 * pairs.astype(np.float64)), -127, 127).astype(np.int8).tobytes()
        return {
            "samples_per_pair": self._samples, "bits": 8, "length": len(pairs), "data": base64.b64encode(data).decode(),
        }  # fmt: skip


def envelope(pcm: Pcm, sample_rate: int) -> Pcm:
    """The lowest and the highest sample of each stretch of SHORTEST_S, in turn. Those of several recordings in a row
    make one waveform (`bound`)."""
    stretch = _stretch(sample_rate)
    rows = pcm[: len(pcm) // stretch * stretch].reshape(-1, stretch)
    return np.stack((rows.min(1), rows.max(1)), 1).ravel() if len(rows) else np.empty(0, np.int16)


def bound(envelopes: Iterable[Samples], sample_rate: int) -> dict[str, int | str]:
    """For the manifest, of envelopes in a row: two values stand for each stretch."""
    waveform = Waveform(round(2 / SHORTEST_S))
    for each in envelopes:
        waveform.feed(each)
    shown = waveform.shown()
    return shown | {"samples_per_pair": int(shown["samples_per_pair"]) // 2 * _stretch(sample_rate)}


def _stretch(sample_rate: int) -> int:
    return max(1, round(SHORTEST_S * sample_rate))
