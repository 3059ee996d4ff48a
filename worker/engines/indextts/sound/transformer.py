"""The flow's transformer over the rows of many items.

Its adaptive normalisations depend on time alone. So they are plain normalisations with a weight for each of S steps,
and their shifts are biases of the layers that follow. D is the width, H the number of heads, W the width of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from worker.engines.indextts.kernels.plain import PLAIN, Kernels
from worker.engines.indextts.sound.folding import Place, affine, apply, matrix
from worker.engines.indextts.sound.spans import Attend


@dataclass(frozen=True, slots=True)
class Rotary:
    """Cosines and sines (R, 1, W / 2) of every row's position in its item."""

    cos: Tensor
    sin: Tensor


class Transformer:
    """`module` with the time's embedding (S, D) folded in."""

    def __init__(self, module: Any, embedding: Tensor, place: Place, kernels: Kernels = PLAIN) -> None:
        self._kernels = kernels
        config = module.config
        self._heads, self._head_width, self._base = config.n_head, config.head_dim, config.rope_base
        self._epsilon = config.norm_eps
        # As in a U-Net, outputs of the first half join inputs of the second, the last of them first.
        middle = len(module.layers) // 2 if config.uvit_skip_connection else len(module.layers)
        self._kept = range(middle) if config.uvit_skip_connection else range(0)
        self._blocks = [
            _Block.of(layer, embedding, self._heads, joins=index > middle, place=place)
            for index, layer in enumerate(module.layers)
        ]
        scale, self.shift = _modulation(module.norm, embedding)  # the shift (S, D) is for the layer that follows
        self._scale = place(scale)

    def rotary(self, positions: Tensor, dtype: torch.dtype) -> Rotary:
        """For rows at `positions` (R,). Half precision does no harm here: rotating in fp32 changes less than a tenth of
        a dB (measured on the tiny model)."""
        exponents = torch.arange(0, self._head_width, 2, device=positions.device).float() / self._head_width
        angles = torch.outer(positions.float(), 1 / self._base**exponents).unsqueeze(1)
        return Rotary(angles.cos().to(dtype), angles.sin().to(dtype))

    def __call__(self, x: Tensor, step: int, rotary: Rotary, attend: Attend) -> Tensor:
        """(2, R, D) to (2, R, D), before the last normalisation."""
        kept: list[Tensor] = []
        for index, block in enumerate(self._blocks):
            if block.join is not None:
                x = block.join(x, kept.pop())
            x = self._attention(block, x, step, rotary, attend)
            self._feed(block, x, step)
            if index in self._kept:
                kept.append(x)
        return x

    def normalise(self, x: Tensor, step: int) -> Tensor:
        """The last normalisation, before its shift."""
        return self._kernels.rms_scale(x, self._scale[step], self._epsilon)

    def _attention(self, block: _Block, x: Tensor, step: int, rotary: Rotary, attend: Attend) -> Tensor:
        """A new tensor: `x` may be kept for a later block."""
        normal = self._kernels.rms_scale(x, block.attention_scale[step], self._epsilon)
        qkv = F.linear(normal, block.qkv, block.qkv_bias[step]).view(2, -1, 3 * self._heads, self._head_width)
        queries, keys = self._kernels.rotate(qkv[:, :, : 2 * self._heads], rotary.cos, rotary.sin).chunk(2, 2)
        heard = attend(queries, keys, qkv[:, :, 2 * self._heads :])
        return torch.addmm(x.flatten(0, 1), heard.flatten(0, 1), block.out).view_as(x)

    def _feed(self, block: _Block, x: Tensor, step: int) -> None:
        normal = self._kernels.rms_scale(x, block.feed_scale[step], self._epsilon)
        # Two products and not one of both: on halves of its rows SiLU is not vectorised (12 times slower on a CPU).
        gate = F.linear(normal, block.gate, block.gate_bias[step])
        value = F.linear(normal, block.value, block.value_bias[step])
        x.flatten(0, 1).addmm_(self._kernels.silu_mul(gate, value).flatten(0, 1), block.down)


@dataclass(frozen=True, slots=True)
class _Join:
    """A linear layer on two inputs, without laying them side by side."""

    x: Tensor  # (D, D)
    bias: Tensor  # (D,)
    kept: Tensor  # (D, D), transposed

    def __call__(self, x: Tensor, kept: Tensor) -> Tensor:
        joined = F.linear(x, self.x, self.bias)
        joined.flatten(0, 1).addmm_(kept.flatten(0, 1), self.kept)
        return joined


@dataclass(frozen=True, slots=True)
class _Block:
    join: _Join | None
    attention_scale: Tensor  # (S, D)
    qkv: Tensor  # (3 D, D)
    qkv_bias: Tensor  # (S, 3 D)
    out: Tensor  # (D, D), transposed
    feed_scale: Tensor  # (S, D)
    gate: Tensor  # (I, D), I the inner width
    gate_bias: Tensor  # (S, I)
    value: Tensor  # (I, D)
    value_bias: Tensor  # (S, I)
    down: Tensor  # (I, D), transposed

    @staticmethod
    def of(layer: Any, embedding: Tensor, heads: int, *, joins: bool, place: Place) -> _Block:
        join = None
        if joins:
            weight, bias = affine(layer.skip_in_linear)
            x, kept = weight.chunk(2, 1)
            join = _Join(place(x), place(bias), place(kept).T)
        attention_scale, attention_shift = _modulation(layer.attention_norm, embedding)
        feed_scale, feed_shift = _modulation(layer.ffn_norm, embedding)
        qkv = _halves_apart(matrix(layer.attention.wqkv), heads)
        gate, value = matrix(layer.feed_forward.w1), matrix(layer.feed_forward.w3)
        return _Block(
            join=join,
            attention_scale=place(attention_scale),
            qkv=place(qkv),
            qkv_bias=place(attention_shift @ qkv.T),
            out=place(matrix(layer.attention.wo)).T,
            feed_scale=place(feed_scale),
            gate=place(gate),
            gate_bias=place(feed_shift @ gate.T),
            value=place(value),
            value_bias=place(feed_shift @ value.T),
            down=place(matrix(layer.feed_forward.w2)).T,
        )


def _modulation(norm: Any, embedding: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift of an adaptive normalisation at each step, (S, D) both."""
    scale, shift = apply(norm.project_layer, embedding).chunk(2, 1)
    return scale * norm.norm.weight.detach().to(scale), shift


def _halves_apart(qkv: Tensor, heads: int) -> Tensor:
    """Reorders each head: the two numbers of a rotated pair stand half a head apart, so a rotation is three kernels on
    whole halves. The package rotates neighbours 2i and 2i + 1. Any order will do that queries and keys share."""
    queries, keys, values = qkv.chunk(3)
    pairs = torch.cat([queries, keys]).view(2 * heads, -1, 2, qkv.shape[1])
    return torch.cat([pairs.transpose(1, 2).reshape(-1, qkv.shape[1]), values])
