"""Takes that no reader would leave so: swallowed or repeated words, one sound held, silence in the middle.

    codes     a run of one code; codes for the tokens of the text, outside the pace of speech     as soon as decoded
    samples   the longest silence with sound on both sides of it                                  as soon as vocoded

Users of this model report all three. An odd take is made once more under another seed; `second_stays` says which of
the two becomes the clip. What is odd about that one is told in its warnings. LIMITS is the only table of thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from worker.engine import Notice, NoticeCode
from worker.engines.indextts.shapes import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one version of the model."""

    codes_per_s: float
    token_s: Mapping[str, float]  # language -> seconds that a token usually takes
    band: float = 3.0  # times as fast, or as slow, as usual is odd
    allowance_s: float = 1.5  # beyond the slow side: a text of one word has breath and silence around it
    run: int = 30  # equal codes, one after the other
    silence_s: float = 0.8  # inside a text without a mark
    comma_s: float = 1.2  # inside a text with a comma
    stop_s: float = 2.0  # inside a text with a stop, a colon, a dash or the end of a line

    def codes(self, tokens: int, language: str) -> tuple[float, float]:
        """The fewest and the most codes that speech takes for so many tokens."""
        usual = self.token_s[language] * tokens
        return usual / self.band * self.codes_per_s, (usual * self.band + self.allowance_s) * self.codes_per_s

    def silence(self, text: str) -> float:
        """Seconds of silence that the marks inside a text explain."""
        inside = text.strip(_OUTSIDE)
        if any(mark in inside for mark in _STOPS):
            return self.stop_s
        return self.comma_s if any(mark in inside for mark in _COMMAS) else self.silence_s


# A third to three times the pace for which a segment's length was chosen (v2.py, v25.py): a token of version 2 has 3.5
# English characters or a Chinese one; of version 2.5 it has 5.1 English, 1.0 Chinese, 0.62 Japanese, 2.1 Spanish or 2.0
# Arabic characters. Upstream's own mending of silences, which its version 2 does not call, also begins at 30 codes.
LIMITS: Mapping[str, Limits] = MappingProxyType(
    {
        "2": Limits(50.07, MappingProxyType({"en": 0.23, "zh": 0.23})),
        "2.5": Limits(25.1, MappingProxyType({"en": 0.40, "zh": 0.23, "ja": 0.22, "es": 0.22, "ar": 0.23})),
    }
)

_COMMAS = ",，、،"
_STOPS = ".!?;:…。｡！？；：؟؛—–\n\r\u2028\u2029"
_OUTSIDE = _COMMAS + _STOPS + " \t\u3000\"'()[]«»“”‘’「」『』（）¿¡-*"
_FRAME = SAMPLE_RATE // 50  # samples whose loudness is taken together
_BELOW = 10 ** (-40 / 20)  # of the loudest frame: 40 dB below, a room and no voice
_NOTHING = 10 ** (-60 / 20)  # of full scale


@dataclass(frozen=True, slots=True)
class Findings:
    """What is odd about a take. A healthy one has the defaults."""

    empty: bool = False  # the model ended before it spoke
    cut: bool = False  # the model did not end
    fast: float = 1.0  # times fewer codes than speech takes
    slow: float = 1.0  # times more
    run: float = 1.0  # the longest run of equal codes, in longest ones of speech, where it is longer
    silence: float = 1.0  # the longest silence inside, in longest ones that the text explains, where it is longer
    said: tuple[Notice, ...] = ()  # the same in words

    @property
    def odd(self) -> bool:
        return self.severity > (False, False, 0.0)

    @property
    def severity(self) -> tuple[bool, bool, float]:
        """In the order of badness."""
        return self.empty, self.cut, self.fast + self.slow + self.run + self.silence - 4.0


def second_stays(first: Findings, second: Findings) -> bool:
    """Whether the second of two takes becomes the clip: where the first is not better."""
    return not first.severity < second.severity


def of_codes(codes: Sequence[int], *, cut: bool, tokens: int, language: str, limits: Limits | None) -> Findings:
    """`limits`: None where a job wants no such check; then only a take that is empty or cut off is odd."""
    found = Findings(empty=not codes, cut=cut)
    if limits is None or not codes:
        return found
    said = []
    fewest, most = limits.codes(tokens, language)
    fast, slow = max(1.0, fewest / len(codes)), max(1.0, len(codes) / most)
    if max(fast, slow) > 1.0:
        seconds = len(codes) / limits.codes_per_s
        between = f"{fewest / limits.codes_per_s:.1f} to {most / limits.codes_per_s:.1f} s"
        said.append(
            Notice(NoticeCode.SUSPECT_LENGTH, f"{seconds:.1f} s for {tokens} tokens, where speech takes {between}")
        )
    longest = max(sum(1 for _ in run) for _, run in groupby(codes))
    if longest > limits.run:
        held = f"one sound or silence is held for {longest / limits.codes_per_s:.1f} s"
        said.append(Notice(NoticeCode.LONG_SILENCE, held))
    return replace(found, fast=fast, slow=slow, run=max(1.0, longest / limits.run), said=tuple(said))


def with_silence(found: Findings, seconds: float, text: str, limits: Limits | None) -> Findings:
    """The findings of a take that has so many seconds of silence inside, at its own pace."""
    if limits is None or seconds <= (most := limits.silence(text)):
        return found
    said = Notice(NoticeCode.LONG_SILENCE, f"{seconds:.1f} s of silence inside, where the text explains {most:.1f} s")
    others = tuple(notice for notice in found.said if notice.code != NoticeCode.LONG_SILENCE)
    return replace(found, silence=seconds / most, said=(*others, said))


def silence_inside(samples: npt.NDArray[np.float32]) -> float:
    """Seconds of the longest stretch that is 40 dB below the loudest 20 ms, and has sound before and behind it. A take
    that is silent all along is one such stretch."""
    frames = len(samples) // _FRAME
    if not frames:
        return 0.0
    loudness = np.sqrt(np.square(samples[: frames * _FRAME].reshape(frames, _FRAME), dtype=np.float64).mean(1))
    if loudness.max() < _NOTHING:
        return len(samples) / SAMPLE_RATE
    loud = np.flatnonzero(loudness >= max(_NOTHING, loudness.max() * _BELOW))
    return float(np.diff(loud).max(initial=1) - 1) * _FRAME / SAMPLE_RATE
