"""Eight faults of a good clip, planted without an ear.

    cut          the last 30 % are missing            babble    the middle 40 % are played backwards
    last word    the last word is missing             noise     the middle 20 % are noise
    dropped      a word in the middle is missing      silence   3 s of silence in the middle
    repeated     three words are said twice           other     another sentence in its place

A model that swallows a word or says some twice does so in one breath. So three of them are said by the engine itself,
from a text that has the fault (`misread`). `plant` makes all out of the samples: where a word begins is guessed there,
by its share of the letters, moved to the quietest place near. Of 152 words that were dropped so, 17 took with them less
than half of the time that such a word has, and others the pause at a mark beside them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

KINDS = ("cut", "last word", "dropped", "repeated", "babble", "noise", "silence", "other")
_FRAME_S, _NEAR_S, _FADE_S = 0.005, 0.12, 0.005
_SILENT = 0.01  # RMS of a frame
_MARKS = ",.;:!?"


MISREAD = ("last word", "dropped", "repeated")


def misread(text: str) -> Mapping[str, str]:
    """What is said in place of a text of six words or more, for each of MISREAD."""
    words = text.split()
    said = _said(words)
    return {
        "last word": _without(words, len(words) - 1),
        "dropped": _without(words, _dropped(words)),
        "repeated": " ".join([*words[: said + 3], *words[said:]]),
    }


def _without(words: list[str], at: int) -> str:
    """The mark behind the word stays."""
    mark = words[at][len(words[at].rstrip(_MARKS + '"')) :]
    before = words[at - 1].rstrip(_MARKS) + mark if mark else words[at - 1]
    return " ".join([*words[: at - 1], before, *words[at + 1 :]])


def _dropped(words: list[str]) -> int:
    """Of four letters or more, near the middle."""
    long = [at for at in range(1, len(words) - 1) if len(words[at].strip(_MARKS + '"')) >= 4] or [len(words) // 2]
    return min(long, key=lambda at: abs(at - len(words) / 2))


def _said(words: list[str]) -> int:
    """The first of three that are said twice."""
    return max(0, min(len(words) - 4, len(words) // 3))


def plant(samples: Samples, sample_rate: int, text: str, other: Samples, seed: int) -> Mapping[str, Samples]:
    """Each kind of fault in a clip of `text`, which has six words or more."""
    words = text.split()
    starts = _starts(samples, sample_rate, words)
    first, last = starts[0], starts[-1]

    def place(share: float) -> int:
        return first + int((last - first) * share)

    dropped, said = _dropped(words), _said(words)
    babble, noise, middle = (place(0.3), place(0.7)), (place(0.4), place(0.6)), starts[len(words) // 2]
    hiss = _pink(noise[1] - noise[0], seed) * 2 * np.sqrt(np.mean(samples[first:last] ** 2))
    fade = round(_FADE_S * sample_rate)
    return {
        "cut": samples[: place(0.7)],
        "last word": samples[: starts[-2]],
        "dropped": _joined(fade, samples[: starts[dropped]], samples[starts[dropped + 1] :]),
        "repeated": _joined(
            fade, samples[: starts[said + 3]], samples[starts[said] : starts[said + 3]], samples[starts[said + 3] :]
        ),
        "babble": _joined(fade, samples[: babble[0]], samples[slice(*babble)][::-1], samples[babble[1] :]),
        "noise": _joined(fade, samples[: noise[0]], hiss.astype(np.float32), samples[noise[1] :]),
        "silence": np.concatenate([samples[:middle], np.zeros(3 * sample_rate, np.float32), samples[middle:]]),
        "other": other,
    }


def _starts(samples: Samples, sample_rate: int, words: list[str]) -> list[int]:
    """Of each word, and the end of the last one, in samples."""
    size = round(_FRAME_S * sample_rate)
    levels = np.sqrt(np.mean(samples[: len(samples) // size * size].reshape(-1, size) ** 2, axis=1))
    loud = np.flatnonzero(levels > _SILENT)
    first, last = int(loud[0]), int(loud[-1]) + 1
    letters = np.array([len(word) + 1 + 2 * (word[-1] in _MARKS) for word in words], float)
    shares = np.concatenate([[0], np.cumsum(letters)]) / letters.sum()
    near = round(_NEAR_S / _FRAME_S)
    starts = [first]
    for share in shares[1:-1]:
        guess = round(first + (last - first) * share)
        low = max(1, guess - near)
        starts.append(low + int(np.argmin(levels[low : min(len(levels) - 1, guess + near) + 1])))
    return [size * start for start in [*starts, last]]


def _joined(fade: int, *parts: Samples) -> Samples:
    """With a short fade from each part to the next."""
    whole = parts[0]
    for part in parts[1:]:
        length = min(fade, len(whole), len(part))
        slope = np.linspace(0, 1, length, dtype=np.float32)
        middle = whole[len(whole) - length :] * (1 - slope) + part[:length] * slope
        whole = np.concatenate([whole[: len(whole) - length], middle, part[length:]])
    return whole


def _pink(length: int, seed: int) -> Samples:
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(length))
    noise = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), length)
    pink: Samples = (noise / np.abs(noise).max()).astype(np.float32)
    return pink
