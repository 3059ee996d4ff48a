"""What flow and vocoder ask of a GPU at full size, counted on the meta device: no GPU, no download, some seconds.

    python -m benchmarks.acoustic_counts              eight pieces of 10 s, references of 3, 10 and 15 s
    python -m benchmarks.acoustic_counts --operators  and which operators these are, for references of 10 s

A line is one way to run a stage: launches of kernels, bytes that they read and write at least, and floating-point
operations, each for a second of audio. `tf32, per item` is what `auto` meant on a GPU until pieces could be made again
in fp32; `fp16, packed` is what it means now. The last column is the time that the bytes and operations take an H100 at
2.6 TB/s and 450 TFLOP/s in fp16, 220 in TF32, one after the other, with at least 2 us for a launch: a floor, not a
forecast.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.counting import Cost, counted
from tests.indextts.checkpoint import FULL, constant, shapes_only
from worker.engines.indextts.shapes import HOP, MELS, SAMPLE_RATE, Voice
from worker.engines.indextts.sound.flow import Flow
from worker.engines.indextts.sound.spans import Attention, Choice, Packed, PerItem, torch_flash
from worker.engines.indextts.sound.vocoder import Vocoder

META, CPU = torch.device("meta"), torch.device("cpu")
PACKED, PER_ITEM = Packed("packed", torch_flash), PerItem()
PIECES, SECONDS = 8, 10.0
REFERENCES_S = (3.0, 10.0, 15.0)
STEPS = 25


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run the stages."""

    name: str
    dtype: torch.dtype
    attention: Attention
    flops_s: float  # of an H100


WAYS = (
    Way("tf32, per item", torch.float32, PER_ITEM, 220e12),
    Way("tf32, packed", torch.float32, PACKED, 220e12),
    Way("fp16, per item", torch.float16, PER_ITEM, 450e12),
    Way("fp16, packed", torch.float16, PACKED, 450e12),
)


def frames(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / HOP)


# --- the released architecture, without its weights -------------------------------------------------------------------


@cache
def estimator() -> Any:
    """The package's DiT at full size, all zeros."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package uses an older form of weight norm
        from indextts.s2mel.modules.commons import MyModel
        from omegaconf import OmegaConf

        with shapes_only():
            model = MyModel(OmegaConf.create(dict(FULL.config["s2mel"])), use_gpt_latent=True)
    return _zeros(model.models["cfm"].estimator)


@cache
def bigvgan() -> Any:
    """The package's BigVGAN at full size, all zeros, without weight norm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from indextts.s2mel.modules.bigvgan import bigvgan as package

        settings = json.loads(Path(package.__file__).with_name("config.json").read_text())
        with shapes_only():
            module = package.BigVGAN(package.AttrDict(settings))
            module.remove_weight_norm()
    return _zeros(module)


def _zeros(module: nn.Module) -> nn.Module:
    """Without memory of their own: each is one number, repeated."""
    for layer in module.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            setattr(layer, name, nn.Parameter(constant(parameter.shape, 0), requires_grad=False))
    return module.eval()


# --- what one batch asks for ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Inputs:
    """Of a batch of the flow, on the meta device."""

    conditions: Sequence[torch.Tensor]
    voices: Sequence[Voice]
    seeds: Sequence[int]


def inputs(reference_s: float, pieces: int = PIECES, seconds: float = SECONDS) -> Inputs:
    prompt, length, width = frames(reference_s), frames(seconds), FULL.config["s2mel"]["DiT"]["content_dim"]
    nothing = torch.empty(0)
    voice = Voice(
        style=torch.empty(192, device=META), mel=torch.empty(MELS, prompt, device=META),
        condition=torch.empty(prompt, width, device=META), latent=nothing, emotion=nothing, own_emotion=nothing,
    )  # fmt: skip
    return Inputs([torch.empty(length, width, device=META)] * pieces, [voice] * pieces, [0] * pieces)


@dataclass(frozen=True, slots=True)
class Total:
    """Of a batch."""

    launches: int
    bytes: int
    flops: int


@cache
@torch.inference_mode()
def flow(way: Way, steps: int) -> Flow:
    return Flow(estimator(), META, way.dtype, steps, attention=Choice(way.attention))


@torch.inference_mode()
def count_flow(made: Flow, given: Inputs) -> Cost:
    with counted() as cost:
        made.mels(given.conditions, given.voices, given.seeds)
    return cost


def flow_step(way: Way, given: Inputs) -> tuple[Total, Total]:
    """What a batch asks for before its first step, and in each."""
    one, two = (count_flow(flow(way, steps), given) for steps in (1, 2))
    step = Total(two.launches - one.launches, two.bytes - one.bytes, two.flops - one.flops)
    return Total(one.launches - step.launches, one.bytes - step.bytes, one.flops - step.flops), step


def whole_flow(way: Way, given: Inputs) -> Total:
    begin, step = flow_step(way, given)
    return Total(
        begin.launches + STEPS * step.launches, begin.bytes + STEPS * step.bytes, begin.flops + STEPS * step.flops
    )


@cache
@torch.inference_mode()
def vocoder(dtype: torch.dtype) -> Vocoder:
    return Vocoder(bigvgan(), META, dtype)


@torch.inference_mode()
def count_vocoder(made: Vocoder, lengths: Sequence[int]) -> Cost:
    with counted() as cost:
        made.waves([torch.empty(MELS, length, device=META) for length in lengths])
    return cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operators", action="store_true", help="list the operators, for references of 10 s")
    options = parser.parse_args()
    print(f"torch {torch.__version__}; {PIECES} pieces of {SECONDS:.0f} s; for a second of audio\n")
    line = "{:<24} {:>9} {:>9} {:>9} {:>9} {:>12}"
    print(line.format("flow, 25 steps", "reference", "launches", "GB", "TFLOP", "ms on H100"))
    audio = PIECES * SECONDS

    def row(name: str, reference: str, cost: Total | Cost, way: Way) -> None:
        least = max(cost.launches * 2e-6, cost.bytes / 2.6e12 + cost.flops / way.flops_s)
        print(
            line.format(
                name, reference, f"{cost.launches / audio:.1f}", f"{cost.bytes / audio / 1e9:.2f}",
                f"{cost.flops / audio / 1e12:.3f}", f"{1e3 * least / audio:.2f}",
            )
        )  # fmt: skip

    for reference_s in REFERENCES_S:
        given = inputs(reference_s)
        for way in WAYS:
            row(way.name, f"{reference_s:.0f} s", whole_flow(way, given), way)
    print("\n" + line.format("vocoder", "lengths", "launches", "GB", "TFLOP", "ms on H100"))
    even = [frames(SECONDS)] * PIECES
    uneven = [frames(SECONDS) - 40 * number for number in range(PIECES)]
    for way in (WAYS[0], WAYS[2]):
        for name, lengths in (("even", even), ("uneven", uneven)):
            cost = count_vocoder(vocoder(way.dtype), lengths)
            row(way.name.partition(",")[0], name, cost, way)
    if options.operators:
        for title, cost in (
            ("flow, fp16, packed, one step", count_flow(flow(WAYS[-1], 1), inputs(10.0))),
            ("vocoder, fp16, uneven", count_vocoder(vocoder(torch.float16), uneven)),
        ):
            print(f"\n{title}: {cost}\n{cost.table()}")


if __name__ == "__main__":
    main()
