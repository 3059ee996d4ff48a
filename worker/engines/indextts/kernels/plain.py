"""The functions by PyTorch's own operators, and what any make of them has to do."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from worker.engines.indextts.kernels.fused import Snakes


class Kernels(Protocol):
    """R is a number of rows, and ... any dimensions before the last. Inputs may be overwritten."""

    @property
    def name(self) -> str: ...

    @property
    def snakes(self) -> Snakes | None:
        """For the activations of the vocoder; None: it keeps the package's own."""

    def rms_scale(self, x: Tensor, scale: Tensor, epsilon: float) -> Tensor:
        """x (..., D) through the root of its mean square, times scale (D,)."""
        ...

    def silu_mul(self, gate: Tensor, value: Tensor) -> Tensor:
        """silu(gate) * value, (..., I) each."""
        ...

    def tanh_gate(self, both: Tensor) -> Tensor:
        """(..., 2 C) to (..., C): the tanh of the first half times the sigmoid of the second."""
        ...

    def rotate(self, heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """heads (2, R, H, W) by the angles of their rows, cos and sin (R, 1, W / 2). The two numbers of a pair stand
        W / 2 apart."""
        ...


class Plain:
    """PyTorch's own."""

    name = "torch"
    snakes = None

    def rms_scale(self, x: Tensor, scale: Tensor, epsilon: float) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], scale, epsilon)

    def silu_mul(self, gate: Tensor, value: Tensor) -> Tensor:
        return F.silu(gate, inplace=True).mul_(value)

    def tanh_gate(self, both: Tensor) -> Tensor:
        both.chunk(2, -1)[0].tanh_()
        return F.glu(both, -1)

    def rotate(self, heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        first, second = heads.chunk(2, 3)
        rotated = torch.mul(heads.view(*heads.shape[:3], 2, -1), cos.unsqueeze(2))
        rotated[:, :, :, 0].addcmul_(second, sin, value=-1)
        rotated[:, :, :, 1].addcmul_(first, sin)
        return rotated.view_as(heads)


PLAIN = Plain()
