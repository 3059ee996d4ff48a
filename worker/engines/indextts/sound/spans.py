"""Attention within each item of a batch whose rows lie end to end.

    flash-attn        one launch for all items, in half precision, on NVIDIA GPUs since Ampere; from the package
    torch flash       the same kernel out of PyTorch itself
    torch varlen      the same by PyTorch's public function, since 2.10; slower to call
    torch efficient   one launch in any precision, on any NVIDIA GPU
    per item          a call for each item, without padding and so without a mask; anywhere

A kernel counts as usable once it has run: on two small items, to the result of a call for each.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from farm.errors import Misconfigured
from worker.engines.indextts.device_error import lost_context

Spans = Sequence[tuple[int, int]]  # of each item: its first row, and the row after its last

# (queries, keys, values), all (2, R, heads, width) -> (2, R, heads * width). The two halves are independent.
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]

# (queries, keys, values, bounds, longest) -> heard. The first three and the result are (N, heads, width). Item i has
# the rows from bounds[i] to bounds[i + 1], int32 on the device, and none has more than `longest`.
Kernel = Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]

_TRIAL: Spans = [(0, 5), (5, 8)]
_TOLERANCE = 0.05  # bf16 is off by 0.01 on numbers of a normal distribution, and rows of another item by 1


class Attention(Protocol):
    @property
    def name(self) -> str: ...

    def over(self, spans: Spans, device: torch.device) -> Attend:
        """For the items of one batch."""
        ...


class PerItem:
    name = "per item"

    def over(self, spans: Spans, device: torch.device) -> Attend:
        def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            heads_first = [x.transpose(1, 2) for x in (queries, keys, values)]
            items = []
            for first, end in spans:
                query, key, value = (x[:, :, first:end] for x in heads_first)
                items.append(F.scaled_dot_product_attention(query, key, value).transpose(1, 2))
            return torch.cat(items, 1).flatten(2)

        return attend


@dataclass(frozen=True, slots=True)
class Packed:
    """One launch for all items and both halves."""

    name: str
    kernel: Kernel

    def over(self, spans: Spans, device: torch.device) -> Attend:
        rows = spans[-1][1]
        ends = [half * rows + end for half in (0, 1) for _, end in spans]
        bounds = torch.tensor([0, *ends], dtype=torch.int32, device=device)
        longest = max(end - first for first, end in spans)

        def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            query, key, value = (x.flatten(0, 1) for x in (queries, keys, values))
            return self.kernel(query, key, value, bounds, longest).reshape(2, rows, -1)

        return attend


@dataclass(frozen=True, slots=True)
class Choice:
    """An attention, and the reasons against those that would have been faster, by name."""

    attention: Attention
    against: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        reasons = (f"{name}: {reason}" for name, reason in self.against.items())
        return "; ".join([self.attention.name, *reasons])


def choose(device: torch.device, dtype: torch.dtype, heads: int, width: int) -> Choice:
    """The first that runs on the device, for heads of this width. Waits for the device, so it belongs to a start.

    Raises:
        Misconfigured: one of them lost the device.
    """
    against: dict[str, str] = {}
    for name, load in _packed(device, dtype):
        try:
            attention = Packed(name, load())
            obstacle = trial(attention, device, dtype, heads, width)
        except ModuleNotFoundError as error:
            obstacle = f"{error.name} is not installed"
        except Exception as error:  # a kernel fails in the words of its own library
            obstacle = f"{type(error).__name__}: {error}".partition("\n")[0]
            if lost_context(error):
                raise Misconfigured(
                    f"{name} took the GPU away from this process with two small items ({obstacle}): uninstall it, or "
                    "install a build of it for this GPU and this PyTorch"
                ) from error
        if obstacle is None:
            return Choice(attention, against)
        against[name] = obstacle
    return Choice(PerItem(), against)


def trial(attention: Attention, device: torch.device, dtype: torch.dtype, heads: int, width: int) -> str | None:
    """What is wrong with its result for two small items, if anything is."""
    rows = _TRIAL[-1][1]
    drawn = torch.randn(2, rows, 3 * heads, width, generator=torch.Generator().manual_seed(0))
    given = drawn.to(device, dtype).chunk(3, 2)  # with the strides of a batch's
    found = attention.over(_TRIAL, device)(*given).float().cpu()
    off = (found - PerItem().over(_TRIAL, device)(*drawn.chunk(3, 2))).abs().max().item()
    return None if off < _TOLERANCE else f"its result is off by {off:.2g}"


def _packed(device: torch.device, dtype: torch.dtype) -> Iterator[tuple[str, Callable[[], Kernel]]]:
    """The packed kernels that this kind of device may run, the fastest first, and how to load each."""
    if device.type != "cuda":
        return
    if dtype != torch.float32 and torch.cuda.get_device_capability(device) >= (8, 0):
        yield "flash-attn", _flash_attn
        yield "torch flash", lambda: torch_flash
        yield "torch varlen", _varlen
    yield "torch efficient", lambda: torch_efficient


def _flash_attn() -> Kernel:
    kernel: Any = importlib.import_module("flash_attn").flash_attn_varlen_func
    return lambda queries, keys, values, bounds, longest: kernel(
        queries, keys, values, bounds, bounds, longest, longest
    )


def _varlen() -> Kernel:
    kernel: Any = importlib.import_module("torch.nn.attention.varlen").varlen_attn
    return lambda queries, keys, values, bounds, longest: kernel(
        queries, keys, values, bounds, bounds, longest, longest
    )


def torch_flash(queries: Tensor, keys: Tensor, values: Tensor, bounds: Tensor, longest: int) -> Tensor:
    """The operator below varlen_attn, whose layers of Python take 27 us a call."""
    heard: Tensor = torch.ops.aten._flash_attention_forward(
        queries, keys, values, bounds, bounds, longest, longest, 0.0, False, False
    )[0]
    return heard


def torch_efficient(queries: Tensor, keys: Tensor, values: Tensor, bounds: Tensor, longest: int) -> Tensor:
    """The operator below scaled_dot_product_attention of nested tensors; its batch is one line of all items."""
    line = (x.unsqueeze(0) for x in (queries, keys, values))
    heard: Tensor = torch.ops.aten._efficient_attention_forward(
        *line, None, bounds, bounds, longest, longest, 0.0, 0, False
    )[0]
    return heard[0]
