"""What the acoustic stages lose in less than fp32, on the tiny model: each from the same input, then all in a row.

TF32 is imitated, because a CPU has none: what goes into a product is rounded to 10 bits, and sums stay in fp32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.indextts.pieces import pieces
from worker.engines.indextts.load.factory import choose_precisions
from worker.engines.indextts.settings import IndexTTSSettings
from worker.engines.indextts.shapes import Network, Piece, Precisions
from worker.engines.indextts.sound.flow import Flow
from worker.engines.indextts.sound.regulator import regulate
from worker.engines.indextts.sound.vocoder import Vocoder

# dB of the signal over the error, at least; measured were 4 to 5 more. How far a random vocoder's phases drift says
# little about a trained one's.
BOUNDS = {
    "tf32": {"regulator": 58, "flow": 69, "vocoder": 37, "all": 37},
    "fp16": {"regulator": 55, "flow": 68, "vocoder": 37, "all": 37},
    "bf16": {"regulator": 37, "flow": 50, "vocoder": 25, "all": 25},
}
DTYPES = {"tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
FACTORS = {  # which arguments are multiplied
    "addmm": (1, 2),
    "addmm_": (1, 2),
    "conv1d": (0, 1),
    "conv2d": (0, 1),
    "conv_transpose1d": (0, 1),
    "linear": (0, 1),
    "scaled_dot_product_attention": (0, 1, 2),
}

Tensors = list[torch.Tensor]
Stage = Callable[[Tensors], Tensors]


@pytest.mark.parametrize("precision", BOUNDS)
def test_a_lower_precision_keeps_the_stated_signal_to_noise_ratio(network: Network, precision: str) -> None:
    batch = pieces(network, [86, 120], [90, 258])
    exact = stages(network, batch, torch.float32)
    rough = stages(network, batch, DTYPES[precision])
    rounding = Tf32() if precision == "tf32" else nullcontext()

    found = {}
    with torch.inference_mode():
        expected = chained = [piece.contents for piece in batch]
        for name in exact:
            given, expected = expected, exact[name](expected)
            found[name] = signal_to_noise(run(rough[name], given, rounding), expected)
            chained = run(rough[name], chained, rounding)
    found["all"] = signal_to_noise(chained, expected)

    assert {name: ratio for name, ratio in found.items() if ratio < BOUNDS[precision][name]} == {}
    if isinstance(rounding, Tf32):
        assert rounding.seen == FACTORS.keys(), "products that were not rounded"


def stages(network: Network, batch: list[Piece], dtype: torch.dtype) -> dict[str, Stage]:
    """By name, in their order: from the contents on, what each makes of all items."""
    frames = [piece.frames for piece in batch]
    voices, seeds = [piece.voice for piece in batch], [piece.seed for piece in batch]
    regulator = copy.deepcopy(network.regulator).to(dtype)
    flow = Flow(network.estimator, torch.device("cpu"), dtype)
    vocoder = Vocoder(copy.deepcopy(network.vocoder).to(dtype))
    return {
        "regulator": lambda contents: regulate(regulator, contents, frames),
        "flow": lambda conditions: flow.mels(conditions, voices, seeds),
        "vocoder": vocoder.samples,
    }


def run(stage: Stage, given: Tensors, rounding: AbstractContextManager[Any]) -> Tensors:
    with rounding:
        return stage(given)


def signal_to_noise(found: Tensors, exact: Tensors) -> float:
    """In dB, over all items."""
    one, other = (torch.cat([item.flatten().float() for item in items]) for items in (found, exact))
    return float(10 * torch.log10(other.square().sum() / (one - other).square().sum()))


class Tf32(TorchDispatchMode):
    """Products see 10 bits of their factors."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        name = function.overloadpacket.__name__
        factors = FACTORS.get(name, ())
        self.seen |= {name} & FACTORS.keys()
        arguments = [to_10_bits(each) if place in factors else each for place, each in enumerate(arguments)]
        return function(*arguments, **(options or {}))


def to_10_bits(x: torch.Tensor) -> torch.Tensor:
    """Of the mantissa's 23, half to even."""
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


def test_on_a_gpu_each_version_decodes_in_the_half_precision_that_its_package_uses() -> None:
    gpu = torch.device("cuda", 0)
    auto = IndexTTSSettings()
    assert {version: choose_precisions(version, auto, gpu).gpt for version in ("2", "2.5")} == {
        "2": "fp16",
        "2.5": "bf16",
    }
    assert choose_precisions("2.5", auto, torch.device("cpu")) == Precisions()
    mine = IndexTTSSettings(gpt="fp32", s2mel="fp32", vocoder="fp32")
    assert choose_precisions("2.5", mine, gpu) == Precisions()
