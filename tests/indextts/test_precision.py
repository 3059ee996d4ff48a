"""What the acoustic stages lose in less than fp32, on the tiny model: each from the same input, then all in a row.

TF32 is imitated, because a CPU has none: what goes into a product is rounded to 10 bits, and sums stay in fp32.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from farm.errors import Misconfigured
from tests.indextts.pieces import pieces
from worker.engines.indextts.load.factory import Options, choose_options
from worker.engines.indextts.load.factory import _fingerprint as fingerprint
from worker.engines.indextts.load.package import edition
from worker.engines.indextts.load.precision import AUTO, choose_precisions, switch_tf32
from worker.engines.indextts.settings import IndexTTSSettings
from worker.engines.indextts.shapes import DTYPES, Network, Piece, Precision, Precisions
from worker.engines.indextts.sound.flow import Flow
from worker.engines.indextts.sound.regulator import regulate
from worker.engines.indextts.sound.vocoder import Vocoder

# dB of the signal over the error, at least; measured were 4 to 5 more. How far a random vocoder's phases drift says
# little about a trained one's.
BOUNDS: dict[Precision, dict[str, float]] = {
    "tf32": {"regulator": 58, "flow": 69, "vocoder": 37, "all": 37},
    "fp16": {"regulator": inf, "flow": 68, "vocoder": 37, "all": 37},  # the regulator stays in fp32
    "bf16": {"regulator": inf, "flow": 50, "vocoder": 25, "all": 25},
}
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
def test_a_lower_precision_keeps_the_stated_signal_to_noise_ratio(network: Network, precision: Precision) -> None:
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
    flow = Flow(network.estimator, torch.device("cpu"), dtype)
    vocoder = Vocoder(network.vocoder, dtype=dtype)
    return {
        "regulator": lambda contents: regulate(network.regulator, contents, frames),
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


# --- which precision a stage gets -------------------------------------------------------------------------------------

GPU = torch.device("cuda", 0)
HOPPER, TURING = (9, 0), (7, 5)


def chosen(version: str, capability: tuple[int, int], **asked: Any) -> Precisions:
    with patch("torch.cuda.get_device_capability", return_value=capability):
        return choose_precisions(version, IndexTTSSettings(**asked), GPU)


def test_auto_is_half_precision_on_a_gpu_and_fp32_on_a_cpu() -> None:
    half = Precisions("fp16", "fp16", "fp16")
    assert chosen("2", HOPPER) == chosen("2", TURING) == half
    assert chosen("2.5", HOPPER) == Precisions("bf16", "fp16", "fp16")
    assert chosen("2.5", TURING) == half, "bf16 is only emulated there"
    for version in ("2", "2.5"):
        assert choose_precisions(version, IndexTTSSettings(), torch.device("cpu")) == Precisions()


def test_a_precision_that_is_asked_for_counts_before_auto() -> None:
    assert chosen("2.5", HOPPER, gpt="fp32", s2mel="fp32", vocoder="fp32") == Precisions()
    assert chosen("2", HOPPER, vocoder="tf32") == Precisions("fp16", "fp16", "tf32")


def test_tf32_is_refused_where_no_device_has_it() -> None:
    with pytest.raises(Misconfigured, match=r"FARM_INDEXTTS_S2MEL=tf32 .* this is a GPU before Ampere; say fp32"):
        chosen("2", TURING, s2mel="tf32")
    with pytest.raises(Misconfigured, match=r"FARM_INDEXTTS_GPT=tf32 .* this is a CPU; say fp32"):
        choose_precisions("2", IndexTTSSettings(gpt="tf32"), torch.device("cpu"))


def test_fp32_and_tf32_side_by_side_are_refused_and_the_way_back_takes_what_is_switched() -> None:
    with pytest.raises(Misconfigured, match="can't be had side by side"):
        switch_tf32(Precisions("fp16", "fp32", "tf32"), torch.device("cpu"))
    for precisions, full in (
        (Precisions("fp16", "fp16", "tf32"), "tf32"),
        (Precisions("fp16", "fp16", "fp16"), "fp32"),
    ):
        switch_tf32(precisions, torch.device("cpu"))
        assert precisions.full == full


def test_the_revision_tells_precisions_apart_and_keeps_that_of_fp32() -> None:
    found = [
        fingerprint(Precisions(*each), Options(slots=4))
        for each in (("fp32", "fp32", "fp32"), ("fp16", "fp32", "fp32"), ("fp16", "fp16", "fp32"), ("fp16",) * 3)
    ]
    assert len(set(found)) == 4

    def before(*precisions: str) -> str:
        """What it was when the activations of the vocoder computed in half precision, and the regulator with them."""
        known = [1, edition(), *precisions, 25, 1500]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:8]

    assert found[:2] == [before("fp32", "fp32", "fp32"), before("fp16", "fp32", "fp32")], "these sound the same"
    assert found[2] != before("fp16", "fp16", "fp32")
    assert found[3] != before("fp16", "fp16", "fp16")


def test_the_benchmark_measures_what_a_worker_deploys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "HF_HUB_OFFLINE"):  # which its import would leave in this process
        monkeypatch.setenv(name, "1")
    from benchmarks.engine import arguments, worker_settings

    asked = arguments(["--full-size"])
    measured, deployed = worker_settings(asked), IndexTTSSettings()
    with patch("torch.cuda.get_device_capability", return_value=HOPPER):
        for version in ("2", "2.5"):
            assert choose_precisions(version, measured, GPU) == choose_precisions(version, deployed, GPU)
    of_benchmark, of_worker = choose_options(measured, GPU), choose_options(deployed, GPU)
    asked_for = {"sampling": of_benchmark.sampling, "slots": of_benchmark.slots}
    assert of_benchmark == replace(of_worker, **asked_for), "but for the limit of codes, and slots by memory"
    assert of_worker.readers > 0
    assert asked.references == [3, 10, 15]


def test_the_documentation_has_the_table_of_the_code() -> None:
    rows = [
        f"| {kind} | {by_version['2'].gpt} | {by_version['2.5'].gpt} | {by_version['2'].s2mel} | "
        f"{by_version['2'].vocoder} |"
        for kind, by_version in AUTO.items()
    ]
    for by_version in AUTO.values():
        assert by_version["2"].s2mel == by_version["2.5"].s2mel
        assert by_version["2"].vocoder == by_version["2.5"].vocoder
    text = Path(__file__).parents[2].joinpath("docs", "indextts.md").read_text(encoding="utf-8")
    head = "| `auto` on | GPT, version 2 | GPT, version 2.5 | flow | vocoder |\n|---|---|---|---|---|\n"
    assert head + "\n".join(rows) + "\n\n" in text
