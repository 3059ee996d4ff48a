"""Weights of modules that are folded into others, always read in fp32 on the CPU.

So a stage in half precision is rounded once, after folding, and a GPU folds to the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Place = Callable[[Tensor], Tensor]  # to the device and the precision of the stage


def matrix(module: Any) -> Tensor:
    """(outputs, inputs) of a linear layer, (outputs, inputs, kernel) of a convolution. Under weight norm, `.weight` is
    stale until the first forward pass: a direction and a length were loaded in its place."""
    if hasattr(module, "weight_v"):
        return torch._weight_norm(_read(module.weight_v), _read(module.weight_g), 0)
    return _read(module.weight)


def affine(module: Any) -> tuple[Tensor, Tensor]:
    """The matrix, and the bias or zeros."""
    weight = matrix(module)
    return weight, weight.new_zeros(weight.shape[0]) if module.bias is None else _read(module.bias)


def apply(module: Any, x: Tensor) -> Tensor:
    """Applies a linear layer, or a convolution of one frame, to the rows of `x`."""
    weight, bias = affine(module)
    return torch.addmm(bias, x, weight.flatten(1).T)


def _read(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32)
