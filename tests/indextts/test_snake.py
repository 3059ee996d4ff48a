from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from worker.engines.indextts.sound.snake import Snake


def activations(name: str) -> Any:
    """The package's, in fp32, with the parameters of trained and of extreme channels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's modules may be imported here for the first time
        from indextts.s2mel.modules.bigvgan import activations as of_the_package

    act = getattr(of_the_package, name)(6, alpha_logscale=True)
    act.alpha.data = torch.tensor([-3.0, 0.0, 2.0, 4.0, 1.0, -1.0])
    if name == "SnakeBeta":
        act.beta.data = torch.tensor([-12.0, -5.0, 0.0, 4.0, -9.0, 12.0])
    return act.requires_grad_(False)


@pytest.mark.parametrize("name", ["Snake", "SnakeBeta"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_half_precision_only_the_ends_of_an_activation_are_rounded(name: str, dtype: torch.dtype) -> None:
    act = activations(name)
    x = torch.linspace(-30, 30, 6 * 200).view(2, 6, 100).to(dtype)
    exact = act(x.float())

    mine = Snake.of(act)
    found = mine(x)

    assert found.dtype == dtype
    held = exact.abs() < torch.finfo(dtype).max
    assert held.float().mean() > 0.9
    rounding = exact.abs() * torch.finfo(dtype).eps + mine.amplitude * 1e-6  # of the end, and of the sum in fp32
    assert ((found.float() - exact).abs() <= rounding)[held].all()


def test_the_packages_own_activation_loses_a_small_divisor_in_fp16() -> None:
    """The reason for a copy in fp32: 1/b of the first channel, 162,755, is infinite in fp16."""
    act = activations("SnakeBeta")
    x = torch.full((1, 6, 1), 0.01)
    assert act(x).isfinite().all()
    assert not act.half()(x.half()).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_norms_of_small_and_large_numbers_are_computed_in_fp32(dtype: torch.dtype) -> None:
    """PyTorch's own, on which the flow relies: squares of 1e-4 vanish in fp16, and those of 1e3 overflow."""
    drawn = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    for scale in (1e-4, 1e-3, 1.0, 1e3):
        x = (drawn * scale).to(dtype)
        for norm in (lambda x: F.rms_norm(x, (64,), None, 1e-5), lambda x: F.layer_norm(x, (64,), None, None, 1e-6)):
            error = (norm(x).float() - norm(x.float())).abs().max()
            assert error < 4 * torch.finfo(dtype).eps * norm(x.float()).abs().max()
