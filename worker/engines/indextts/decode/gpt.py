"""The autoregressive transformer of IndexTTS, a GPT-2 between prompt and codes, over the package's own weights.

The package's forward needs padding between text and codes to hold rows of different lengths in one batch. This one
does not, because K and V lie in pages and every row has a position of its own. Weights are found by their names in the
state dict, which are the same in all releases of transformers, and are shared, not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear
from torch.nn.utils.rnn import pad_sequence

from worker.engines.indextts.decode.kv import Attend, Pages, causal

_EPSILON = 1e-5  # of GPT-2's layer norms, and of the final one, which has PyTorch's default

# (layer, query, key, value) -> attended, all (B, T, heads, width)
_LayerAttend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class Gpt:
    """The package's `UnifiedVoice` as it is now: moving or casting it later does not reach this object.

    D is its width, V the number of its codes. A sequence is [prompt][start code][codes][stop code], and a code's
    embedding depends on its place after the prompt. The package trained with places 0, 1, 2, … and decodes with
    0, 2, 3, …. `latents` keeps the first, `prefill` and `step` keep the second.
    """

    def __init__(self, unified_voice: torch.nn.Module) -> None:
        model = cast(Any, unified_voice)
        state: dict[str, Tensor] = model.gpt.state_dict()
        self.layers: int = model.layers
        self.heads: int = model.heads
        self.start: int = model.start_mel_token
        self.stop: int = model.stop_mel_token
        self._blocks = [_Block.of(state, f"h.{layer}.") for layer in range(self.layers)]
        self._last_norm = _Norm(state["ln_f.weight"], state["ln_f.bias"])
        self._final_norm = _Norm(model.final_norm.weight.detach(), model.final_norm.bias.detach())
        self._head: Tensor = model.mel_head.weight.detach()
        self._head_bias: Tensor = model.mel_head.bias.detach()
        self._codes: Tensor = model.mel_embedding.weight.detach()
        self._places: Tensor = model.mel_pos_embedding.emb.weight.detach()
        self.device, self.dtype = self._head.device, self._head.dtype
        self.vocabulary, self.width = self._head.shape
        self.max_codes = len(self._places) - 2  # the start and the stop code have places too

    def prefill(self, states: Tensor, last: Tensor, places: Tensor, pages: Pages) -> Tensor:
        """Reads sequences, (B, T, D): of each a prompt, the embedded start code, and padding. Writes K and V of each
        position to its place (B, T) in the flattened pool. Returns logits (B, V) in fp32 for the code behind the
        position `last`, (B,)."""
        into = places.flatten()

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            pages.keys[layer].flatten(0, 1).index_copy_(0, into, key.flatten(0, 1))
            pages.values[layer].flatten(0, 1).index_copy_(0, into, value.flatten(0, 1))
            return causal(query, key, value)

        hidden = self._forward(states, attend)
        rows, length = states.shape[:2]
        last = last + torch.arange(rows, device=self.device) * length
        return self._logits(hidden.flatten(0, 1).index_select(0, last))

    def step(self, codes: Tensor, count: Tensor, pages: Pages, attend: Attend) -> Tensor:
        """One code further: `codes` (B,) are the latest of each row, and `count` (B,) their numbers in the row, from 1.
        `attend` writes K and V. Returns logits (B, V) in fp32 for the code that follows."""
        hidden = self._forward(
            self.embed(codes, count + 1)[:, None],
            lambda layer, query, key, value: attend(query, key, value, pages.keys[layer], pages.values[layer]),
        )
        return self._logits(hidden[:, 0])

    @torch.inference_mode()
    def latents(self, prompts: Sequence[Tensor], codes: Sequence[Sequence[int]]) -> list[Tensor]:
        """(N, D) for each prompt (L, D) and its N codes: the states that predict each code."""
        sequences = []
        for prompt, row in zip(prompts, codes, strict=True):
            spoken = torch.tensor([self.start, *row, self.stop])
            sequences.append(torch.cat([prompt.to(self.dtype), self.embed(spoken, torch.arange(len(spoken)))]))
        hidden = self.hidden(sequences)
        return [
            states[len(prompt) : len(prompt) + len(row)]
            for states, prompt, row in zip(hidden, prompts, codes, strict=True)
        ]

    @torch.inference_mode()
    def hidden(self, sequences: Sequence[Tensor]) -> list[Tensor]:
        """(T, D) for each embedded sequence (T, D): the states behind the final norm."""
        padded = pad_sequence([sequence.to(self.dtype) for sequence in sequences], batch_first=True)
        states = self._forward(padded, lambda _, query, key, value: causal(query, key, value))
        return [row[: len(sequence)] for row, sequence in zip(states, sequences, strict=True)]

    def embed(self, codes: Tensor, places: Tensor) -> Tensor:
        """(…, D) of codes at their places after the prompt, from any device."""
        return self._codes[self._send(codes)] + self._places[self._send(places)]

    def _forward(self, states: Tensor, attend: _LayerAttend) -> Tensor:
        heads = (self.heads, self.width // self.heads)
        for layer, block in enumerate(self._blocks):
            mixed = block.attention(block.before_attention(states))
            query, key, value = mixed.view(*mixed.shape[:-1], 3, *heads).unbind(-3)
            states = states + block.attended(attend(layer, query, key, value).flatten(-2))
            states = states + block.shrink(gelu(block.expand(block.before_mlp(states)), approximate="tanh"))
        return self._final_norm(self._last_norm(states))

    def _logits(self, states: Tensor) -> Tensor:
        return linear(states, self._head, self._head_bias).float()

    def _send(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: Tensor
    bias: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        return layer_norm(states, self.weight.shape, self.weight, self.bias, _EPSILON)


@dataclass(frozen=True, slots=True)
class _Product:
    """GPT-2 keeps its weights as (in, out), the transpose of PyTorch's linear layer."""

    weight: Tensor
    bias: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        return torch.addmm(self.bias, states.flatten(0, -2), self.weight).view(*states.shape[:-1], -1)


@dataclass(frozen=True, slots=True)
class _Block:
    before_attention: _Norm
    attention: _Product  # to query, key and value side by side
    attended: _Product
    before_mlp: _Norm
    expand: _Product
    shrink: _Product

    @classmethod
    def of(cls, state: dict[str, Tensor], prefix: str) -> _Block:
        def pair(name: str) -> tuple[Tensor, Tensor]:
            return state[f"{prefix}{name}.weight"], state[f"{prefix}{name}.bias"]

        return cls(
            before_attention=_Norm(*pair("ln_1")),
            attention=_Product(*pair("attn.c_attn")),
            attended=_Product(*pair("attn.c_proj")),
            before_mlp=_Norm(*pair("ln_2")),
            expand=_Product(*pair("mlp.c_fc")),
            shrink=_Product(*pair("mlp.c_proj")),
        )
