"""The network behind the flow, which estimates the velocity from noise to speech.

It has the weights of the package's DiT and an arithmetic of its own. Time is the same for a whole batch and takes the
same S values in every batch. So all that depends on time alone is computed once, when the model is loaded. Adjacent
linear layers are multiplied into one then, too. Both halves of guidance, with and without a condition, are computed
side by side: (2, R, D).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from farm.errors import Misconfigured
from worker.engines.indextts.kernels.choice import choose as choose_kernels
from worker.engines.indextts.kernels.plain import Kernels
from worker.engines.indextts.sound.folding import affine, apply
from worker.engines.indextts.sound.rows import Rows, lay_out
from worker.engines.indextts.sound.spans import Attend, Choice, choose
from worker.engines.indextts.sound.transformer import Rotary, Transformer
from worker.engines.indextts.sound.wavenet import WaveNet


@dataclass(frozen=True, slots=True)
class Batch:
    """The inputs that stay the same through all steps."""

    rows: Rows
    attend: Attend
    rotary: Rotary
    given: Tensor  # (2, R, D): the share of reference, content and style in a row; without condition, a constant


class Estimator:
    """The package's `dit` at `times` (S,), copied to a device and a precision. `dit` should be in fp32: rounding to
    half precision before folding loses 4 dB more (measured on the tiny model). `attention` and `kernels` are chosen by
    device and precision when absent.

    Raises:
        Misconfigured: the checkpoint's config asks for another network than IndexTTS-2 has, or its weights do not fit
            into the precision.
    """

    def __init__(
        self, dit: Any, times: Tensor, device: torch.device, dtype: torch.dtype, attention: Choice | None = None,
        kernels: Kernels | None = None,
    ) -> None:  # fmt: skip
        _check(dit)
        self.device, self.dtype = device, dtype
        config = dit.transformer.config
        self.attention = attention or choose(device, dtype, config.n_head, config.head_dim)
        kernels = kernels or choose_kernels(device)
        embedding = _embed(dit.t_embedder, times)
        self._transformer = Transformer(dit.transformer, embedding, self._place, kernels)
        self._wavenet = WaveNet(dit.wavenet, _embed(dit.t_embedder2, times), self._place, kernels)
        self._fold_entry(dit)
        self._fold_passage(dit)
        self._fold_exit(dit, embedding)

    def begin(self, prompts: Sequence[Tensor], conditions: Sequence[Tensor], styles: Sequence[Tensor]) -> Batch:
        """For items with the reference's mel (80, P), the conditions (P + Y, C) and the style (192,)."""
        lengths = [prompt.shape[1] for prompt in prompts]
        frames = [len(condition) - length for condition, length in zip(conditions, lengths, strict=True)]
        rows = lay_out(lengths, frames, self._wavenet.margin, self._wavenet.reach, self.device)
        items = [
            torch.cat([F.pad(prompt.T, (0, 0, 0, count)), condition, style.expand(len(condition), -1)], 1)
            for prompt, condition, style, count in zip(prompts, conditions, styles, frames, strict=True)
        ]
        given = F.linear(torch.cat(items).to(self.dtype), self._given, self._given_bias)
        return Batch(
            rows=rows,
            attend=self.attention.attention.over(rows.spans, self.device),
            rotary=self._transformer.rotary(rows.positions, self.dtype),
            given=torch.stack([given, self._given_bias.expand_as(given)]),
        )

    def __call__(self, speech: Tensor, step: int, batch: Batch) -> Tensor:
        """Velocities (2, F, 80), with and without condition, of all frames of speech (F, 80); fp32, both."""
        rows = batch.rows
        noise = F.pad(speech.to(self.dtype), (0, 0, 0, 1)).index_select(0, rows.speech)  # a prompt's is zero
        x = self._transformer(batch.given + F.linear(noise, self._entry), step, batch.rotary, batch.attend)
        x = self._transformer.normalise(x.index_select(1, rows.line), step)
        noise = noise.index_select(0, rows.line)
        total = F.linear(x, self._past, self._past_bias[step]) + F.linear(noise, self._past_noise)
        x = F.linear(x, self._into, self._into_bias[step]) + F.linear(noise, self._into_noise)
        self._wavenet(x, total, step, rows)
        total = total.index_select(1, rows.heard)
        total = F.layer_norm(total, total.shape[-1:], self._exit_scale[step], None, self._epsilon)
        return F.linear(total, self._exit, self._exit_bias[step]).float()

    def _fold_entry(self, dit: Any) -> None:
        """Noise, reference, content and style, which the package lays side by side. Without condition all but the noise
        are zeros, so that beside it only the bias counts."""
        merge, merge_bias = affine(dit.cond_x_merge_linear)
        content, content_bias = affine(dit.cond_projection)
        noise, prompt, projected, style = torch.tensor_split(
            merge, (dit.in_channels, 2 * dit.in_channels, 2 * dit.in_channels + len(content)), 1
        )
        self._entry = self._place(noise)
        self._given = self._place(torch.cat([prompt, projected @ content, style], 1))
        self._given_bias = self._place(projected @ content_bias + merge_bias)

    def _fold_passage(self, dit: Any) -> None:
        """From the transformer, and by the long skip from the noise: into the WaveNet, and past it to its sum."""
        skip, skip_bias = affine(dit.skip_linear)
        skip_bias = skip_bias + self._transformer.shift @ skip[:, : -dit.in_channels].T
        into, into_bias = affine(dit.conv1)
        past, past_bias = affine(dit.res_projection)
        for_noise = skip.shape[1] - dit.in_channels
        self._into, self._into_noise = map(self._place, torch.tensor_split(into @ skip, (for_noise,), 1))
        self._past, self._past_noise = map(self._place, torch.tensor_split(past @ skip, (for_noise,), 1))
        self._into_bias = self._place(skip_bias @ into.T + into_bias)
        self._past_bias = self._place(skip_bias @ past.T + past_bias + self._wavenet.bias)

    def _fold_exit(self, dit: Any, embedding: Tensor) -> None:
        shift, scale = apply(dit.final_layer.adaLN_modulation[1], F.silu(embedding)).chunk(2, 1)
        inner, inner_bias = affine(dit.final_layer.linear)
        outer, outer_bias = affine(dit.conv2)
        outer = outer[:, :, 0]
        self._epsilon = dit.final_layer.norm_final.eps
        self._exit_scale = self._place(1 + scale)
        self._exit = self._place(outer @ inner)
        self._exit_bias = self._place((shift @ inner.T + inner_bias) @ outer.T + outer_bias)

    def _place(self, tensor: Tensor) -> Tensor:
        if self.dtype == torch.float16 and tensor.abs().max() > torch.finfo(torch.float16).max:
            raise Misconfigured("weights of s2mel do not fit into fp16; set FARM_INDEXTTS_S2MEL=bf16 or fp32")
        return tensor.to(self.device, self.dtype)


def _embed(embedder: Any, times: Tensor) -> Tensor:
    """(S, width) in fp32. Half precision would round the module's own buffer of frequencies, and so move phases of up
    to 1000 by radians."""
    half = embedder.frequency_embedding_size // 2
    frequencies = torch.exp(-math.log(embedder.max_period) * torch.arange(half, dtype=torch.float32) / half)
    phases = embedder.scale * times[:, None] * frequencies
    return apply(embedder.mlp[2], F.silu(apply(embedder.mlp[0], torch.cat([phases.cos(), phases.sin()], 1))))


def _check(dit: Any) -> None:
    expected = {
        "time_as_token": False,
        "style_as_token": False,
        "is_causal": False,
        "long_skip_connection": True,
        "final_layer_type": "wavenet",
        "transformer_style_condition": True,
    }
    for name, value in expected.items():
        if (found := getattr(dit, name)) != value:
            key = name.removeprefix("transformer_")
            raise Misconfigured(
                f"config.yaml has s2mel.DiT.{key} {found!r}, IndexTTS-2 {value!r}; fetch the file again"
            )
