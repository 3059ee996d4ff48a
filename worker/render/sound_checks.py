"""What is wrong with the sound of a clip, whatever its text: a check behind every engine, which needs no model.

    measure(samples)   figures of the sound, in one pass        pure; less than a thousandth of the audio's time
    findings(figures)  what lies beyond LIMITS, as warnings     pure
    checked(clip)      the clip with them

LIMITS is the only table of thresholds; docs/speech.md shows it, with the figures of good clips beside each. What lasts
lasts longer where a job asks for slower speech, so limits in seconds do too. Whether a clip is as long as its text
lets expect needs other clips of its voice: pace.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from worker.engine import Clip, Notice, NoticeCode, Utterance

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a healthy clip stays within. Seconds are those at the engine's own speed."""

    hole_s: float = 1.2  # in a text without a mark inside
    pause_s: float = 2.0  # in one with a mark: a comma, a stop, a dash, the end of a line
    noise_s: float = 0.4
    clipped: float = 0.005  # share of the samples
    level_db: float = -45.0  # of the loud parts, against full scale
    leading_s: float = 0.8
    trailing_s: float = 1.2


LIMITS = Limits()

_FRAME_S, _WINDOW_S = 0.010, 0.040  # whose loudness, and whose spectrum, is taken together
_QUIET_DB, _NOTHING_DB = -40.0, -60.0  # a frame is silent so far below the loud parts, or below full scale
_LOUD = 95  # percentile of the frames: the loud parts
_FULL_SCALE, _FLAT_TOP = 0.999, 3  # so many such samples in a row are clipped, and no peak
_BAND_HZ = (300, 4000)
_FLAT = 0.35  # spectral flatness: 1 for white noise, 0.01 to 0.2 for vowels
_NOISE_DB = 25.0  # noise is that near to the loudest windows
_FITTED = 0.5  # the speed to which a target length may slow a clip
_IN_A_WORD = re.compile(r"(?<=\w)['’·-](?=\w)")


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one clip."""

    not_finite: int  # samples
    level_db: float  # of the loud parts, in dBFS
    leading_s: float
    trailing_s: float
    hole_s: float  # the longest silence with sound on both sides
    noise_s: float  # the longest stretch that sounds like noise
    clipped: float  # share of the samples


def measure(samples: Samples, sample_rate: int) -> Figures:
    """`samples`: float32, shape (n,); they need not be finite."""
    heard = np.clip(_finite(samples), -1.0, 1.0)
    levels = _levels(heard, sample_rate)
    top = float(np.percentile(levels, _LOUD)) if len(levels) else -np.inf
    silent = levels < max(top + _QUIET_DB, _NOTHING_DB)
    loud = np.flatnonzero(~silent)
    first, last = (int(loud[0]), int(loud[-1])) if len(loud) else (len(levels), len(levels))
    return Figures(
        not_finite=len(samples) - int(np.isfinite(samples).sum()),
        level_db=top,
        leading_s=first * _FRAME_S if len(loud) else 0.0,
        trailing_s=(len(levels) - 1 - last) * _FRAME_S if len(loud) else 0.0,
        hole_s=_longest(silent[first:last]) * _FRAME_S,
        noise_s=_noise_s(heard, sample_rate),
        clipped=_clipped(heard),
    )


def findings(figures: Figures, *, marked: bool = True, speed: float = 1.0, limits: Limits = LIMITS) -> Iterator[Notice]:
    """`marked`: the text has a mark inside, where a voice may rest. `speed` as a job asks for it."""
    if figures.not_finite:
        lost = f"{figures.not_finite} samples were no numbers, and became silence"
        yield Notice(NoticeCode.NOT_FINITE, lost)
    slow = max(1.0, 1.0 / speed)
    if figures.level_db < limits.level_db:
        quiet = f"its loud parts are at {max(-99.0, figures.level_db):.0f} dBFS"
        yield Notice(NoticeCode.TOO_QUIET, quiet)
        return  # of what is next to nothing, no part is odd
    if figures.hole_s > (limits.pause_s if marked else limits.hole_s) * slow:
        yield Notice(NoticeCode.LONG_SILENCE, f"{figures.hole_s:.1f} s of silence inside")
    if figures.leading_s > limits.leading_s * slow:
        yield Notice(NoticeCode.EDGE_SILENCE, f"{figures.leading_s:.1f} s of silence before the first sound")
    if figures.trailing_s > limits.trailing_s * slow:
        yield Notice(NoticeCode.EDGE_SILENCE, f"{figures.trailing_s:.1f} s of silence after the last sound")
    if figures.noise_s > limits.noise_s * slow:
        yield Notice(NoticeCode.NOISE, f"{figures.noise_s:.2f} s of it sound like noise")
    if figures.clipped > limits.clipped:
        yield Notice(NoticeCode.CLIPPED, f"{figures.clipped:.1%} of its samples are cut off at full scale")


def checked(clip: Clip, utterance: Utterance, sample_rate: int) -> Clip:
    """The clip with what is wrong with its sound behind the engine's own warnings; all its samples are finite. A code
    that the engine has given is not given again. A job that wants no checks is told of samples that were no numbers
    alone, and so is a text in which nothing can be spoken, because that is silent by right."""
    speech, said = utterance.speech, {notice.code for notice in clip.warnings}
    figures = measure(clip.samples, sample_rate)
    speed = speech.manner.speed if speech.target_duration_ms is None else _FITTED
    told = findings(figures, marked=has_mark(utterance.text), speed=speed)
    found = [notice for notice in told if notice.code not in said]
    if not speech.manner.checks or NoticeCode.UNSPEAKABLE in said:
        found = [notice for notice in found if notice.code == NoticeCode.NOT_FINITE]
    if not found and not figures.not_finite:
        return clip
    return replace(clip, samples=_finite(clip.samples), warnings=(*clip.warnings, *found))


def has_mark(text: str) -> bool:
    """Whether punctuation, or the end of a line, stands between two letters or digits, other than in a word."""
    ends = "".join({character for character in text if not character.isalnum()})
    inside = _IN_A_WORD.sub("", text.strip(ends))
    return any(character == "\n" or unicodedata.category(character)[0] == "P" for character in inside)


def _finite(samples: Samples) -> Samples:
    """Silence in place of what is no number."""
    return np.nan_to_num(samples, copy=True, nan=0.0, posinf=0.0, neginf=0.0)


def _levels(samples: Samples, sample_rate: int) -> npt.NDArray[np.float64]:
    """dBFS of each 10 ms; the rest of less than 10 ms is left out."""
    size = max(1, round(_FRAME_S * sample_rate))
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    power = np.square(frames, dtype=np.float64).mean(1)
    levels: npt.NDArray[np.float64] = 10 * np.log10(power + 1e-18)
    return levels


def _noise_s(samples: Samples, sample_rate: int) -> float:
    size = max(1, round(_WINDOW_S * sample_rate))
    windows = samples[: len(samples) // size * size].reshape(-1, size)
    low, high = (round(hertz * size / sample_rate) for hertz in _BAND_HZ)
    if not len(windows) or high <= low:
        return 0.0
    spectrum = np.fft.rfft(windows * np.hanning(size).astype(np.float32))[:, low:high]
    power = np.square(spectrum.real) + np.square(spectrum.imag) + 1e-12
    mean = power.mean(1)
    flatness = np.exp(np.log(power).mean(1)) / mean
    energy = 10 * np.log10(mean)
    noisy = (flatness > _FLAT) & (energy > np.percentile(energy, _LOUD) - _NOISE_DB)
    return _longest(noisy) * _WINDOW_S


def _clipped(samples: Samples) -> float:
    full = np.abs(samples) >= _FULL_SCALE
    if not full.any():
        return 0.0
    starts, ends = _runs(full)
    lengths = ends - starts
    return float(lengths[lengths >= _FLAT_TOP].sum()) / len(samples)


def _longest(flags: npt.NDArray[np.bool_]) -> int:
    """Flags that are set in a row."""
    starts, ends = _runs(flags)
    return int((ends - starts).max(initial=0))


def _runs(flags: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2]
