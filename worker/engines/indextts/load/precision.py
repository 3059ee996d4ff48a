"""The precision of each stage: what `auto` means on a kind of device, what a device can do, and the way back to fp32.

    AUTO     the one table, which docs/indextts.md repeats and benchmarks/engine.py measures by default
    fp16     has 10 bits of mantissa, as TF32 has, in half the memory; beyond 65,504 there is only infinity
    bf16     has 7 bits and the range of fp32

Flow and vocoder in fp16 or bf16 have a way back: a piece whose samples are not finite is made again in fp32. All that
runs once for each voice or text (w2v-BERT, the speaker's encoder, the regulator, version 2's gpt_layer) stays in fp32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, replace
from typing import Literal, get_args

import torch

from farm.errors import Misconfigured
from worker.engines.indextts.settings import IndexTTSSettings
from worker.engines.indextts.shapes import Precision, Precisions

Kind = Literal["a CPU", "a GPU before Ampere", "a GPU since Ampere"]

_HALF = Precisions(gpt="fp16", s2mel="fp16", vocoder="fp16")
# By kind of device and version. For the GPT the package's own half mode: bf16 in 2.5, which older GPUs only emulate.
AUTO: Mapping[Kind, Mapping[str, Precisions]] = {
    "a CPU": {"2": Precisions(), "2.5": Precisions()},
    "a GPU before Ampere": {"2": _HALF, "2.5": _HALF},
    "a GPU since Ampere": {"2": _HALF, "2.5": replace(_HALF, gpt="bf16")},
}


def choose_precisions(version: str, settings: IndexTTSSettings, device: torch.device) -> Precisions:
    """The precisions asked for, or those of AUTO.

    Raises:
        Misconfigured: the device lacks a precision that is asked for.
    """
    kind = kind_of(device)
    chosen = AUTO[kind][version]
    for stage in ("gpt", "s2mel", "vocoder"):
        asked = getattr(settings, stage)
        if asked == "auto":
            continue
        assert asked in get_args(Precision)
        if asked == "tf32" and kind != "a GPU since Ampere":
            raise Misconfigured(
                f"FARM_INDEXTTS_{stage.upper()}=tf32 is something that GPUs since Ampere do, and this is {kind}; "
                "say fp32, or auto"
            )
        chosen = replace(chosen, **{stage: asked})
    return chosen


def kind_of(device: torch.device) -> Kind:
    if device.type != "cuda":
        return "a CPU"
    return "a GPU since Ampere" if torch.cuda.get_device_capability(device) >= (8, 0) else "a GPU before Ampere"


def switch_tf32(precisions: Precisions, device: torch.device) -> None:
    """TF32 is a switch of the process and not of a stage. In cuDNN it is on by default, so fp32 has to turn it off.

    Raises:
        Misconfigured: fp32 and tf32 are asked for side by side. The way back from half precision is no reason: it may
            well be in tf32, which has the range of fp32.
    """
    if {"fp32", "tf32"} <= set(astuple(precisions)):
        raise Misconfigured(
            f"precisions gpt {precisions.gpt}, s2mel {precisions.s2mel}, vocoder {precisions.vocoder}: fp32 and tf32 "
            "can't be had side by side, because TF32 is switched for the whole process; say one of them for both"
        )
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precisions.full == "tf32"
