"""Room tone: a quiet noise as of an empty room, the same in every recording.

Pink noise, 3 dB less with each octave, from 40 Hz on and fading out above 6 kHz, as rooms and preamplifiers sound. Ten
seconds of it are made of a fixed seed and repeat without a seam. They are whole steps of 16 bit, so that no difference
between two builds of a Fourier transform is heard or hashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np

from farm.sound.flac import Samples

_SEED = 14
_SECONDS = 10
_CREST = 4.0  # peak over RMS: noise passes it once in 16,000 samples, and is cut there
_LOWEST_HZ, _HIGHEST_HZ = 40.0, 6_000.0


def peak(dbfs: float) -> float:
    """The highest that any of its samples can be, 1 is full scale."""
    return float(_CREST * 10 ** (dbfs / 20))


def under(blocks: Iterable[Samples], sample_rate: int, dbfs: float) -> Iterator[Samples]:
    """The blocks with the tone under them; `dbfs` is its RMS."""
    tone, position = _tone(sample_rate, dbfs), 0
    for block in blocks:
        yield block + tone.take(np.arange(position, position + len(block)), mode="wrap")
        position += len(block)


@lru_cache(4)
def _tone(sample_rate: int, dbfs: float) -> Samples:
    """(seconds * rate,) float32"""
    frames = _SECONDS * sample_rate
    random = np.random.RandomState(_SEED)  # of the two generators of numpy the one whose numbers never change
    hertz = np.fft.rfftfreq(frames, 1 / sample_rate)
    shape = 1 / np.sqrt(np.maximum(hertz, _LOWEST_HZ)) / (1 + (hertz / _HIGHEST_HZ) ** 2)
    shape[hertz < _LOWEST_HZ] = 0
    phases = random.standard_normal(len(hertz)) + 1j * random.standard_normal(len(hertz))
    noise = np.fft.irfft(shape * phases, frames)
    level = 10 ** (dbfs / 20)
    noise = np.clip(noise / np.sqrt(np.mean(noise**2)), -_CREST, _CREST) * level
    return np.asarray(np.rint(noise * 32_768) / 32_768, np.float32)
