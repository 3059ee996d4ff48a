"""Attention within each item of a batch whose rows lie end to end.

A kernel for rows of varying lengths needs one launch for the whole batch. Such kernels exist for half precision on
NVIDIA GPUs since Ampere. Elsewhere each item is a call of its own, without padding and so without a mask.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# (queries, keys, values), all (2, R, heads, width) -> (2, R, heads * width). The two halves are independent.
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def attention_within(spans: Sequence[tuple[int, int]], device: torch.device, dtype: torch.dtype) -> Attend:
    """For items, each given by its first row and the row after its last."""
    kernel = _kernel(device, dtype) if len(spans) > 1 else None
    return _each(spans) if kernel is None else _all(kernel, spans, device)


def _each(spans: Sequence[tuple[int, int]]) -> Attend:
    def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        heads_first = [x.transpose(1, 2) for x in (queries, keys, values)]
        items = []
        for first, end in spans:
            query, key, value = (x[:, :, first:end] for x in heads_first)
            items.append(F.scaled_dot_product_attention(query, key, value).transpose(1, 2))
        return torch.cat(items, 1).flatten(2)

    return attend


def _all(kernel: Any, spans: Sequence[tuple[int, int]], device: torch.device) -> Attend:
    rows = spans[-1][1]
    ends = [half * rows + end for half in (0, 1) for _, end in spans]
    bounds = torch.tensor([0, *ends], dtype=torch.int32, device=device)
    longest = max(end - first for first, end in spans)

    def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        flat = (x.flatten(0, 1) for x in (queries, keys, values))
        heard: Tensor = kernel(*flat, bounds, bounds, longest, longest)
        return heard.view(2, rows, -1)

    return attend


def _kernel(device: torch.device, dtype: torch.dtype) -> Any:
    """The kernel of flash-attn, or PyTorch's own (since 2.10) with the same arguments; None where neither can run."""
    if device.type != "cuda" or dtype == torch.float32 or torch.cuda.get_device_capability(device) < (8, 0):
        return None
    for module, name in (("flash_attn", "flash_attn_varlen_func"), ("torch.nn.attention.varlen", "varlen_attn")):
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    return None
