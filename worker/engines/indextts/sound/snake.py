"""BigVGAN's activation x + sin²(a x) / b in half precision, with everything between its input and output in fp32.

The package computes in the type of its weights. In fp16 its guard against a division by zero, 1e-9, is zero itself. The
reciprocal of b overflows for log b below -11. And a phase a x of 50 is rounded to steps of 0.03 radians.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Snake(nn.Module):
    """Of the C channels of one layer. Input and output are (B, C, T) in half precision."""

    frequency: Tensor  # (C, 1) in fp32: a
    amplitude: Tensor  # (C, 1) in fp32: 1/b

    def __init__(self, frequency: Tensor, amplitude: Tensor) -> None:
        super().__init__()
        self.register_buffer("frequency", frequency, persistent=False)
        self.register_buffer("amplitude", amplitude, persistent=False)

    @classmethod
    def of(cls, act: Any) -> Snake:
        """From the package's Snake or SnakeBeta, in fp32."""
        alpha = act.alpha.detach().float()
        beta = act.beta.detach().float() if hasattr(act, "beta") else alpha
        if act.alpha_logscale:
            alpha, beta = alpha.exp(), beta.exp()
        return cls(alpha[:, None], (1.0 / (beta + act.no_div_by_zero))[:, None])

    def forward(self, x: Tensor) -> Tensor:
        return snake(x, self.frequency, self.amplitude)


def snake(x: Tensor, frequency: Tensor, amplitude: Tensor) -> Tensor:
    """x + amplitude * sin²(frequency * x) in the type of `x`, computed in that of the other two, which are (C, 1)."""
    wave = torch.mul(x, frequency).sin_().square_()
    return torch.addcmul(x, amplitude, wave, out=torch.empty_like(x))
