"""Attention over a packed batch: each kernel against a call per item, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from farm.errors import Misconfigured
from worker.engines.indextts.sound import spans
from worker.engines.indextts.sound.spans import Kernel, Packed, PerItem, choose, torch_efficient, torch_flash, trial

CPU = torch.device("cpu")
SPANS = [(0, 30), (30, 37), (37, 92)]


def varlen(queries: Tensor, keys: Tensor, values: Tensor, bounds: Tensor, longest: int) -> Tensor:
    """What a packed kernel is documented to do."""
    assert bounds.dtype == torch.int32
    assert longest == bounds.diff().max()
    parts = [torch.split(x.transpose(0, 1), bounds.diff().tolist(), 1) for x in (queries, keys, values)]
    heard = [F.scaled_dot_product_attention(*item) for item in zip(*parts, strict=True)]
    return torch.cat([item.transpose(0, 1) for item in heard])


def blurred(queries: Tensor, keys: Tensor, values: Tensor, bounds: Tensor, longest: int) -> Tensor:
    """A kernel that ignores where items end."""
    one = [x.transpose(0, 1) for x in (queries, keys, values)]
    return F.scaled_dot_product_attention(*one).transpose(0, 1)


def missing() -> Kernel:
    raise ModuleNotFoundError("No module named 'flash_attn'", name="flash_attn")


def without_kernels(*_: object) -> Tensor:
    raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore")


def offered(*kernels: tuple[str, Callable[[], Kernel]]) -> object:
    def packed(*_: object) -> Iterator[tuple[str, Callable[[], Kernel]]]:
        yield from kernels

    return patch.object(spans, "_packed", packed)


def drawn(dtype: torch.dtype, device: torch.device = CPU) -> tuple[Tensor, ...]:
    whole = torch.randn(2, SPANS[-1][1], 3 * 4, 16, generator=torch.Generator().manual_seed(1))
    return whole.to(device, dtype).chunk(3, 2)


def test_one_launch_for_all_items_equals_a_call_for_each() -> None:
    given = drawn(torch.float32)
    for batch in (SPANS, [(0, 92)]):
        found = Packed("a stand-in", varlen).over(batch, CPU)(*given)
        assert (found - PerItem().over(batch, CPU)(*given)).abs().max() < 1e-5


def test_the_first_kernel_that_runs_is_chosen_and_the_others_are_named_with_their_reasons() -> None:
    with offered(
        ("flash-attn", missing), ("torch flash", lambda: without_kernels), ("torch efficient", lambda: varlen)
    ):
        chosen = choose(CPU, torch.float32, 4, 16)
    assert chosen.attention.name == "torch efficient"
    assert str(chosen) == (
        "torch efficient; flash-attn: flash_attn is not installed; torch flash: RuntimeError: CUDA error: no kernel "
        "image is available for execution on the device"
    )


def test_a_kernel_that_runs_and_is_wrong_is_not_used() -> None:
    with offered(("torch varlen", lambda: blurred)):
        chosen = choose(CPU, torch.float32, 4, 16)
    assert chosen.attention.name == "per item"
    assert "torch varlen: its result is off by" in str(chosen)


def test_a_kernel_that_loses_the_device_is_named_before_anything_else_fails_for_it() -> None:
    def loses(*_: object) -> Tensor:
        raise RuntimeError("CUDA error: misaligned address\nmore")

    with (
        offered(("flash-attn", lambda: loses), ("torch flash", lambda: varlen)),
        pytest.raises(Misconfigured, match=r"flash-attn took the GPU away .*misaligned address"),
    ):
        choose(CPU, torch.float32, 8, 64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rounding_alone_is_no_obstacle(dtype: torch.dtype) -> None:
    assert trial(Packed("a stand-in", varlen), CPU, dtype, 8, 64) is None


def test_a_cpu_attends_item_by_item() -> None:
    assert str(choose(CPU, torch.float16, 4, 16)) == "per item"


@pytest.mark.parametrize(
    ("dtype", "capability", "names"),
    [
        (torch.float16, (9, 0), ["flash-attn", "torch flash", "torch varlen", "torch efficient"]),
        (torch.float16, (7, 5), ["torch efficient"]),
        (torch.float32, (9, 0), ["torch efficient"]),
    ],
)
def test_every_gpu_is_offered_a_packed_kernel_in_every_precision(
    dtype: torch.dtype, capability: tuple[int, int], names: list[str]
) -> None:
    with patch("torch.cuda.get_device_capability", return_value=capability):
        assert [name for name, _ in spans._packed(torch.device("cuda", 0), dtype)] == names


@pytest.mark.parametrize("load", [lambda: torch_flash, lambda: torch_efficient, spans._varlen])
def test_pytorch_takes_the_arguments_of_its_kernels(load: Callable[[], Kernel]) -> None:
    """On the meta device, which checks them against the operator that is installed."""
    meta = torch.device("meta")
    try:
        kernel = load()
    except ModuleNotFoundError:
        pytest.skip("varlen_attn came with PyTorch 2.10")
    heard = Packed("of PyTorch", kernel).over(SPANS, meta)(*drawn(torch.float16, meta))
    assert (heard.shape, heard.dtype) == ((2, SPANS[-1][1], 4 * 16), torch.float16)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_each_kernel_of_this_gpu_equals_a_call_for_each_item(dtype: torch.dtype) -> None:
    device, ran = torch.device("cuda", 0), []
    expected = PerItem().over(SPANS, CPU)(*drawn(torch.float32))
    for name, load in spans._packed(device, dtype):
        try:
            kernel = load()
        except ModuleNotFoundError:
            continue
        found = Packed(name, kernel).over(SPANS, device)(*drawn(dtype, device)).float().cpu()
        assert (found - expected).abs().max() < (1e-3 if dtype == torch.float32 else 0.05), name
        ran.append(name)
    assert ran
