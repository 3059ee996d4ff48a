"""A recording of the package's answers that takes kilobytes: of each wave its length and a sketch of its samples.

The sketch adds up 32 samples at a time, under signs that were drawn once. A sample that is off moves a sum by as much.
If many are off, their differences add up like the steps of a random walk, to more than each of them. So a bound on the
sums is as strict as the same bound on the samples (tests/indextts/test_sketch.py).
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from worker.engines.indextts.load.checkpoint import find_checkpoint
from worker.engines.indextts.load.package import edition

RECORDED = Path(__file__).with_name("recorded")

_TOGETHER = 32
_SIGNS = np.random.default_rng(2).choice(np.array([-1, 1], np.float32), _TOGETHER)


def recording(checkpoint: Path) -> Path:
    """The file that holds the answers of the package that is installed here, on this checkpoint, once it was made."""
    known = [edition(), find_checkpoint(checkpoint).revision()]
    return RECORDED / f"v2-{hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:8]}.json"


class Answer(Protocol):
    """A text as the package speaks it."""

    parts: int  # into which the package cut the text

    def difference(self, samples: npt.NDArray[np.float32]) -> float:
        """The largest one of these samples from the package's, of which there must be as many."""
        ...


@dataclass(frozen=True, slots=True)
class Wave:
    parts: int
    samples: npt.NDArray[np.float32]

    def difference(self, samples: npt.NDArray[np.float32]) -> float:
        assert samples.shape == self.samples.shape, "other codes"
        return float(np.abs(samples - self.samples).max())


@dataclass(frozen=True, slots=True)
class Sketch:
    parts: int
    count: int  # of samples
    sums: npt.NDArray[np.float32]

    @classmethod
    def of(cls, wave: Wave) -> Self:
        return cls(wave.parts, len(wave.samples), _sums(wave.samples))

    def difference(self, samples: npt.NDArray[np.float32]) -> float:
        assert samples.shape == (self.count,), "other codes"
        return float(np.abs(_sums(samples) - self.sums).max())

    def to_json(self) -> dict[str, Any]:
        sums = base64.b64encode(self.sums.astype("<f4").tobytes()).decode()
        return {"parts": self.parts, "samples": self.count, "sums": sums}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Self:
        return cls(kept["parts"], kept["samples"], np.frombuffer(base64.b64decode(kept["sums"]), "<f4"))


def _sums(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    whole = np.pad(samples, (0, -len(samples) % _TOGETHER)).reshape(-1, _TOGETHER)
    sums: npt.NDArray[np.float32] = (whole * _SIGNS).sum(1, dtype=np.float32)
    return sums
