"""How an engine may run, what each part of it is held to, and what comes next where a part is not sound.

    attention   flash -> torch -> sdpa                          against fp32 over whole histories
    graph       graph -> eager                                  the same codes
    flow        fused kernels -> torch's, fp16, bf16 -> tf32    packed, against each item alone in fp32
    vocoder     likewise                                        a batch, against each item alone in fp32

Ways only ever get slower, so that a search for sound ones comes to an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from worker.engines.indextts.decode.graph import WantedGraph
from worker.engines.indextts.decode.kv import Wanted
from worker.engines.indextts.examination.comparison import EQUAL, NOT_FINITE
from worker.engines.indextts.kernels.plain import PLAIN, Kernels
from worker.engines.indextts.shapes import HALF, Precision, Precisions

LADDER = ("flash", "torch", "sdpa")  # of attentions, the fastest first


class Part(StrEnum):
    ATTENTION = "attention"
    GRAPH = "graph"
    FLOW = "flow"
    VOCODER = "vocoder"


# dB. bf16 keeps 45 of an attention and 50 of the flow; the vocoder 25 with random weights, whose phases drift more than
# a trained one's (tests/indextts/test_precision.py). A kernel that is wrong has less than 10. Codes are equal or not.
BOUNDS: Mapping[Part, float] = MappingProxyType(
    {Part.ATTENTION: 30.0, Part.GRAPH: EQUAL, Part.FLOW: 30.0, Part.VOCODER: 15.0}
)


@dataclass(frozen=True, slots=True)
class Ways:
    """How an engine runs, as far as an examination may change it."""

    attention: Wanted
    graph: WantedGraph
    precisions: Precisions
    kernels: Kernels = PLAIN  # of flow and vocoder


@dataclass(frozen=True, slots=True)
class Finding:
    """Of one part: how near it is to what it should be, in dB."""

    part: Part
    way: str  # flash, fp16, ...
    ratio: float

    @property
    def sound(self) -> bool:
        return self.ratio >= BOUNDS[self.part]

    def __str__(self) -> str:
        if self.part is Part.GRAPH:
            return "graph equal" if self.sound else "graph of other codes than eager"
        if self.ratio <= NOT_FINITE:
            return f"{self.part} {self.way} of numbers that are none"
        exact = "equal" if self.ratio >= EQUAL else f"{self.ratio:.0f} dB"
        return f"{self.part} {self.way} {exact}"


def next_best(ways: Ways, part: Part) -> Ways | None:
    """The ways to take where `part` is not sound in these; None where there are no others. The attention has a ladder
    of its own, because not each rung can run everywhere."""
    if part is Part.GRAPH:
        return replace(ways, graph="off") if ways.graph != "off" else None
    if ways.kernels.name != PLAIN.name:
        return replace(ways, kernels=PLAIN)
    precisions = ways.precisions
    # TF32 is a switch of the process, and can't be had beside a stage that is to be in fp32.
    full: Precision = "fp32" if "fp32" in astuple(precisions) else "tf32"
    if part is Part.FLOW and precisions.s2mel in HALF:
        return replace(ways, precisions=replace(precisions, s2mel=full))
    if part is Part.VOCODER and precisions.vocoder in HALF:
        return replace(ways, precisions=replace(precisions, vocoder=full))
    return None


def changes(before: Ways, after: Ways) -> str:
    """In words: `s2mel fp16 -> tf32`."""
    pairs = [("attention", before.attention, after.attention), ("decode", _decode(before), _decode(after))]
    pairs += [("kernels", before.kernels.name, after.kernels.name)]
    pairs += [
        (name, getattr(before.precisions, name), getattr(after.precisions, name)) for name in ("s2mel", "vocoder")
    ]
    return ", ".join(f"{name} {one} -> {other}" for name, one, other in pairs if one != other)


def _decode(ways: Ways) -> str:
    return "eager" if ways.graph == "off" else "graph"
