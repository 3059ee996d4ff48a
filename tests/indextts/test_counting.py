"""The counter of launches, bytes and operations, and the guard against waiting: what budgets of tests stand on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import layer_norm, linear, scaled_dot_product_attention

from benchmarks.counting import HostSync, counted, no_host_sync


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("inference", [True, False])
def test_launches_bytes_and_products_are_those_of_a_linear_layer(device: str, inference: bool) -> None:
    with counted() as cost, torch.inference_mode(inference), torch.no_grad():
        states, weight = torch.empty(64, 1280, device=device), torch.empty(8194, 1280, device=device)
        linear(states, weight, torch.empty(8194, device=device))
    assert (cost.launches, cost.flops) == (1, 2 * 64 * 1280 * 8194)
    assert cost.bytes == 4 * (64 * 1280 + 8194 * 1280 + 8194 + 64 * 8194)


def test_views_and_allocations_launch_nothing() -> None:
    with counted() as cost, torch.inference_mode():
        tensor = torch.empty(4, 6, 8, device="meta")
        tensor.flatten(1).view(4, 6, 8).transpose(0, 1).unbind(0)[0].expand(4, 8)[:2].detach()
    assert cost.launches == 0


def test_an_operator_that_is_made_of_others_counts_as_many() -> None:
    with counted() as cost, torch.inference_mode():
        torch.empty(4, 6, device="meta").isfinite().all(-1)
    assert cost.launches == sum(cost.by_operator.values()) > 2


def test_a_fused_operator_counts_once() -> None:
    with counted() as cost, torch.inference_mode():
        states = torch.empty(2, 4, 10, 16, device="meta")
        layer_norm(states, (16,), torch.empty(16, device="meta"), torch.empty(16, device="meta"))
        scaled_dot_product_attention(states, states, states)
    assert cost.launches == 2
    assert cost.flops == 4 * (2 * 4 * 10) * 10 * 16


def test_a_product_counts_in_place_too() -> None:
    with counted() as cost, torch.inference_mode():
        torch.empty(4, 8, device="meta").addmm_(torch.empty(4, 16, device="meta"), torch.empty(16, 8, device="meta"))
    assert (cost.launches, cost.flops) == (1, 2 * 4 * 16 * 8)


def test_of_a_table_only_the_rows_count_that_are_read() -> None:
    with counted() as cost, torch.inference_mode():
        torch.empty(10_000, 16, device="meta").index_select(0, torch.empty(3, dtype=torch.long, device="meta"))
    assert cost.bytes == 2 * 3 * 16 * 4 + 3 * 8


@pytest.mark.parametrize(
    "wait",
    [
        lambda tensor: tensor.cpu(),
        lambda tensor: tensor.tolist(),
        lambda tensor: tensor.sum().item(),
        lambda tensor: float(tensor.sum()),
        lambda tensor: bool(tensor.any()),
        lambda tensor: tensor.nonzero(),
        lambda tensor: tensor[tensor > 0],
        lambda tensor: torch.equal(tensor, tensor),
        lambda tensor: tensor.numpy(),
    ],
)
def test_a_call_for_which_the_host_waits_is_refused(wait: Callable[[torch.Tensor], object]) -> None:
    tensor = torch.ones(3)
    with torch.inference_mode(), no_host_sync():
        tensor.add_(1).softmax(0).argmax(0)
        with pytest.raises(HostSync):
            wait(tensor)
