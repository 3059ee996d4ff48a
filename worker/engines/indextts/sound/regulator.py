"""The length regulator over a batch: content rows become conditions of mel frames, each item stretched to its length.

The package's module stretches a whole batch to its longest item, and its normalisation counts the padding. Here the
package's layers see of each item exactly what they would see of it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def regulate(regulator: Any, contents: Sequence[torch.Tensor], frames: Sequence[int]) -> list[torch.Tensor]:
    """Content rows (T, 1024) of each item, stretched to its count of `frames` Y: (Y, C) each."""
    weight = regulator.content_in_proj.weight
    rows = regulator.content_in_proj(torch.cat(list(contents)).to(weight.dtype))
    x = rows[_sources([len(item) for item in contents], frames).to(rows.device)].transpose(1, 2)  # (B, C, Y)

    lengths = torch.tensor(frames, device=x.device)
    outside = (torch.arange(x.shape[2], device=x.device) >= lengths[:, None]).unsqueeze(1)  # (B, 1, Y)
    for layer in regulator.model:
        x = x.masked_fill(outside, 0)  # the convolutions pad an item with zeros
        x = _normalise(layer, x, outside, lengths) if isinstance(layer, nn.GroupNorm) else layer(x)
    return [item[:, :count].T for item, count in zip(x, frames, strict=True)]


def _sources(rows: Sequence[int], frames: Sequence[int]) -> torch.Tensor:
    """(B, longest): for each frame, the index of the row that it copies, among all rows laid end to end. Frames past
    an item's end copy row 0."""
    sources = torch.zeros(len(rows), max(frames), dtype=torch.long)
    first = 0
    for item, (count, wanted) in enumerate(zip(rows, frames, strict=True)):
        # By the function that the package calls, because its rounding in float32 decides which row a frame takes.
        nearest = F.interpolate(torch.arange(count, dtype=torch.float32)[None, None], size=wanted, mode="nearest")
        sources[item, :wanted] = nearest[0, 0].long() + first
        first += count
    return sources


def _normalise(norm: nn.GroupNorm, x: torch.Tensor, outside: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Group normalisation by the mean and variance of each item's own frames. `x` is 0 outside of them."""
    groups = x.float().view(len(x), norm.num_groups, -1, x.shape[2])  # (B, G, C / G, Y)
    count = (lengths * groups.shape[2])[:, None, None, None]
    centred = groups - groups.sum((2, 3), keepdim=True) / count
    variance = centred.masked_fill(outside.unsqueeze(1), 0).square().sum((2, 3), keepdim=True) / count
    normal = (centred * torch.rsqrt(variance + norm.eps)).view_as(x)
    return torch.addcmul(norm.bias.float()[:, None], normal, norm.weight.float()[:, None]).to(x.dtype)
