"""The facts of a worker's engine that others act on: how fast it was with its first full batch, and what ails it.

Facts are words for people. `farm doctor` shows them as they are; metrics read the figures back out of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

WARM = "warm"
FELL_BACK = "fell back"  # the engine runs in a slower way, because the wanted one computed wrong
CREEPS = "memory creeps"

_ILLS = {
    FELL_BACK: "the wanted way computed wrong at the start, and the log says how far off; mend the driver or the build "
    "(docs/gpu.md), or set what it fell back to",
    CREEPS: "restart this worker when it suits you, and report its log",
}
_SPOKEN = re.compile(r"([\d.]+) audio-s/s(?:, of the work (.+))?")
_SHARE = re.compile(r"(\w+) ([\d.]+)%")


@dataclass(frozen=True, slots=True)
class Warmth:
    """Of a full batch: audio seconds per second, and the share of the work that each stage took, of 1 together."""

    speed: float
    shares: Mapping[str, float]

    def __str__(self) -> str:
        shares = ", ".join(f"{stage} {share:.0%}" for stage, share in self.shares.items())
        return f"{self.speed:.1f} audio-s/s" + (f", of the work {shares}" if shares else "")

    @classmethod
    def read(cls, facts: Mapping[str, str]) -> Self | None:
        """Out of a worker's facts; None where its engine tells none."""
        spoken = _SPOKEN.fullmatch(facts.get(WARM, ""))
        if spoken is None:
            return None
        shares = {stage: float(percent) / 100 for stage, percent in _SHARE.findall(spoken[2] or "")}
        return cls(float(spoken[1]), shares)


def ailments(facts: Mapping[str, str]) -> Iterator[str]:
    """What ails a worker's engine, and what to do about it."""
    for name, mend in _ILLS.items():
        if name in facts:
            yield f"{name} {facts[name]}: {mend}"
