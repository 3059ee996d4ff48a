"""Which make of the kernels an engine gets. The fused one counts as usable when each of its functions has run on the
device and agreed with PyTorch's, because a library without this GPU's machine code loads like any other."""

from __future__ import annotations

import logging
import math
from functools import cache
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from farm.errors import Misconfigured
from worker.engines.indextts.device_error import lost_context
from worker.engines.indextts.kernels import build
from worker.engines.indextts.kernels.fused import Fused, Snake, filters
from worker.engines.indextts.kernels.plain import Kernels, Plain

log = logging.getLogger(__name__)

Wanted = Literal["auto", "torch", "fused"]


@cache  # an examination takes some launches, and a warning is said once
def choose(device: torch.device, wanted: Wanted = "auto", library: Path = build.BUILT / build.LIBRARY) -> Kernels:
    """The fused kernels on a GPU where they are there and right, else PyTorch's.

    Raises:
        Misconfigured: the fused kernels are wanted and can't run, or lost the device; the message says why.
    """
    if wanted == "torch":
        return Plain()
    if device.type != "cuda":
        obstacle = f"they run on NVIDIA GPUs, and this is {device.type}"
    elif not library.is_file():
        how = f"build the image with KERNELS=build, or here, with nvcc: python -m {build.__name__}"
        obstacle = f"{library} is not there; {how}"
    else:
        try:
            fused = Fused(library)
            examine(fused, device)
            return fused
        except (OSError, RuntimeError, AttributeError) as error:
            obstacle = str(error).partition("\n")[0]
            if lost_context(error):
                raise Misconfigured(
                    f"the fused kernels took the GPU away from this process ({obstacle}): set "
                    "FARM_INDEXTTS_KERNELS=torch, and tell us the GPU"
                ) from error
    if wanted == "fused":
        raise Misconfigured(f"the fused kernels can't be used: {obstacle}; choose torch or auto")
    if device.type == "cuda":
        log.warning("the fused kernels can't be used here, and PyTorch's are slower: %s", obstacle)
    return Plain()


@torch.inference_mode()
def examine(fused: Fused, device: torch.device) -> None:
    """Compares each function with PyTorch's, in each precision.

    Raises:
        RuntimeError: one of them is wrong, or can't run.
    """
    plain = Plain()
    drawn = torch.Generator().manual_seed(0)
    taps = torch.randn(2, 12, generator=drawn) / 4
    phases, heights = torch.rand(2, 3, generator=drawn).to(device)
    snake = Snake(phases, heights, filters(taps[0], taps[1]))
    frames = torch.tensor([40, 17], dtype=torch.int32, device=device)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        x, y = (torch.randn(2, 6, 4, 64, generator=drawn).to(device, dtype) for _ in range(2))
        angles = torch.randn(6, 1, 32, generator=drawn)
        cos, sin = angles.cos().to(device, dtype), angles.sin().to(device, dtype)
        scale, wave = y[0, 0, 0].contiguous(), x.flatten()[:240].view(2, 3, 40)
        for name, found, expected in (
            ("rms_scale", fused.rms_scale(x, scale, 1e-5), plain.rms_scale(x, scale, 1e-5)),
            ("silu_mul", fused.silu_mul(x, y), plain.silu_mul(x.clone(), y)),
            ("tanh_gate", fused.tanh_gate(x), plain.tanh_gate(x.clone())),
            ("rotate", fused.rotate(x.clone(), cos, sin), plain.rotate(x, cos, sin)),
            ("snake", fused.snake(snake, wave, frames, 1)[:1], activated(wave[:1], snake, taps)),
            ("snake", fused.snake(snake, wave, frames, 1)[1:, :, :17], activated(wave[1:, :, :17], snake, taps)),
        ):
            error = float((found.double() - expected.double()).abs().max())
            if not error <= _TOLERANCE[dtype]:
                raise RuntimeError(f"{name} of the fused kernels is off by {error:.1g} in {dtype}")


def activated(x: Tensor, snake: Snake, taps: Tensor) -> Tensor:
    """x (B, C, T) through the activation with the filters `taps` (2, 12), by PyTorch in fp64: a convolution in fp32 may
    be one in TF32, by a switch of the process."""
    channels = x.shape[1]
    up, down = (each.to(x.device).double().expand(channels, 1, -1) for each in taps)
    wide = F.conv_transpose1d(F.pad(x.double(), (5, 5), "replicate"), up, stride=2, groups=channels)[..., 15:-15]
    wave = torch.sin(wide * (math.pi * snake.phases[:, None])) ** 2
    wide = wide + wave * snake.heights[:, None]
    return F.conv1d(F.pad(wide, (5, 6), "replicate"), down, stride=2, groups=channels)


_TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-2, torch.bfloat16: 1e-1}
