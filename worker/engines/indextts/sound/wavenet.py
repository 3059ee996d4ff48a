"""The flow's WaveNet over a line of many items (rows.py defines the line).

Time is a bias of each step. So is the sum of the residual biases: a constant passes through a convolution as a
constant, because an item is mirrored at its ends and not padded with zeros. C is the width, K the kernel's, N the
number of places in the line, S that of steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from worker.engines.indextts.kernels.plain import PLAIN, Kernels
from worker.engines.indextts.sound.folding import Place, affine, apply
from worker.engines.indextts.sound.rows import Rows


class WaveNet:
    """`module` with the time's embedding (S, C) folded in."""

    def __init__(self, module: Any, embedding: Tensor, place: Place, kernels: Kernels = PLAIN) -> None:
        self._kernels = kernels
        times = apply(module.cond_layer.conv.conv, embedding).chunk(module.n_layers, 1)
        residual = torch.zeros(module.hidden_channels)  # the sum of the residual biases so far
        self.bias = torch.zeros(module.hidden_channels)  # the sum of the layers' biases, which the caller adds
        self._layers: list[_Layer] = []
        for index in range(module.n_layers):
            inner = module.in_layers[index].conv.conv
            weight, bias = affine(inner)
            last = index == module.n_layers - 1
            onward, onward_bias = affine(module.res_skip_layers[index].conv.conv)
            forward, summed = (None, onward) if last else onward.chunk(2)
            self._layers.append(
                _Layer(
                    weight=place(weight.unsqueeze(2)).contiguous(memory_format=torch.channels_last),
                    bias=place(times[index] + bias + weight.sum(2) @ residual),
                    dilation=inner.dilation[0],
                    forward=None if forward is None else place(forward[:, :, 0]).T,
                    summed=place(summed[:, :, 0]).T,
                )
            )
            self.bias += onward_bias[-module.hidden_channels :]
            residual += 0 if last else onward_bias[: module.hidden_channels]
        self.margin = max(layer.margin for layer in self._layers)
        self.reach = sum(layer.margin for layer in self._layers)

    def __call__(self, x: Tensor, total: Tensor, step: int, rows: Rows) -> None:
        """Adds the output of the layers for `x` (2, N, C) to `total` (2, N, C), without `bias`. Overwrites `x`."""
        for index, layer in enumerate(self._layers):
            if index:  # for the first layer, the line comes mirrored
                x.index_copy_(1, rows.ends, x.index_select(1, rows.mirrored))
            heard = self._kernels.tanh_gate(layer(x, step))
            total.flatten(0, 1).addmm_(heard, layer.summed)
            if layer.forward is not None:
                x.flatten(0, 1).addmm_(heard, layer.forward)


@dataclass(frozen=True, slots=True)
class _Layer:
    weight: Tensor  # (2 C, C, 1, K)
    bias: Tensor  # (S, 2 C)
    dilation: int
    forward: Tensor | None  # (C, C), transposed; the last layer has none
    summed: Tensor  # (C, C), transposed

    @property
    def margin(self) -> int:
        return self.dilation * (self.weight.shape[3] // 2)

    def __call__(self, x: Tensor, step: int) -> Tensor:
        """(2, N, C) to (2 N, 2 C), before the gate. The rows are an image one pixel high with its channels side by
        side, as they lie in memory. So nothing is transposed (a third faster than conv1d on a CPU, 3 times in bf16)."""
        image = x.transpose(1, 2).unsqueeze(2)
        both = F.conv2d(image, self.weight, self.bias[step], padding=(0, self.margin), dilation=(1, self.dilation))
        return both.squeeze(2).transpose(1, 2).flatten(0, 1)
