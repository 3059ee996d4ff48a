"""IndexTTS-2 alone: the layout of its prompt, its voices, and the meaning of its codes.

    prompt     32 latents of the voice, each plus the emotion; speed rows 1 and 0; start, text, stop, with positions
    contents   the embedding of each code, plus the GPT's latent for it in its context, from a second forward

Every number agrees with the package's own functions at batch 1. Where those functions are wrong for a batch, a comment
says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch

from farm.speech import Parameter
from worker.engines.indextts.adapter import BaseAdapter
from worker.engines.indextts.shapes import Network, Voice
from worker.engines.indextts.text.bilingual import BilingualSegmenter
from worker.engines.indextts.text.wording import Wording
from worker.engines.indextts.voice.reference_encoder import Heard, masked, type_of
from worker.engines.indextts.voice.spectra import Analyst

_FRAMES_PER_CODE = np.float32(1.72)  # 22050 / 256 frames a second over 50 codes

# Prompts (L, D) and the codes behind each -> (N, D): the GPT's latent for each code in its context.
Latents = Callable[[Sequence[torch.Tensor], Sequence[Sequence[int]]], Sequence[torch.Tensor]]


class V2(BaseAdapter):
    """The adapter of version 2, over a network and the second forward of its GPT."""

    version = "2"
    parameters: Sequence[Parameter] = (
        Parameter.SEED, Parameter.EMOTION, Parameter.DURATION, Parameter.CHECKS,
    )  # fmt: skip
    # The model is stable up to 25 to 30 s a segment. English runs at 15 characters a second: 300 are 20 s and, at 3 to
    # 4 characters a token, 75 to 100 of the 120 tokens; numbers spelled out take the rest. Chinese has a token for each
    # character and speaks 4.5 of them a second: 110 are 25 s.
    languages: Mapping[str, int] = MappingProxyType({"en": 300, "zh": 110})

    def __init__(
        self, network: Network, latents: Latents, wording: Wording | None = None, analyst: Analyst | None = None
    ) -> None:
        super().__init__(network, BilingualSegmenter(network.tokenizer, wording), analyst)
        self._code_latents = latents

    @torch.inference_mode()
    def prompts(
        self,
        ids: Sequence[Sequence[int]],
        voices: Sequence[Voice],
        emotions: Sequence[torch.Tensor],
        languages: Sequence[str],
    ) -> list[torch.Tensor]:
        """(32 + 2 + n + 2, D) each, for n ids, in the GPT's type. This version is not told the language."""
        speed = self._gpt.speed_emb.weight
        half, whole = speed[1:2], speed[0:1]
        prompts = []
        for tokens, voice, emotion in zip(ids, voices, emotions, strict=True):
            rows = self._embedded(tokens)
            prompts.append(torch.cat([(voice.latent + emotion).to(rows.dtype), half, whole, rows]))
        return prompts

    @torch.inference_mode()
    def contents(self, prompts: Sequence[torch.Tensor], codes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """(n, 1024) each, for n codes. No code sees another here, so the batch is one long row."""
        assert self._network.gpt_layer is not None
        latents = torch.cat(list(self._code_latents(prompts, codes)))
        flat = torch.tensor([code for row in codes for code in row], dtype=torch.long, device=self._network.device)
        embedded = self._codec.quantizer.vq2emb(flat[None, None])[0].T
        meant = self._network.gpt_layer(latents.to(type_of(self._network.gpt_layer)))
        return list((embedded + meant).split([len(row) for row in codes]))

    def frames(self, codes: int, speed: float) -> int:
        """Cut to an integer in single precision, as the package does at 1, the only speed that it has. Any other is the
        bound of a length to keep."""
        return int(np.float32(codes) * _FRAMES_PER_CODE / np.float32(speed))

    def _contents_of(self, heard: Heard) -> Sequence[torch.Tensor]:
        """Quantised one by one: the codec's convolutions would see the padding."""
        return [self._codec.quantize(rows[None])[1][0] for rows in heard.features]

    def _latents(self, heard: Heard) -> Sequence[torch.Tensor]:
        """(32, D) each. The package passes the width of the rows as their number, which masks nothing at batch 1."""
        rows, lengths = self._encoder.padded(heard.features, self._gpt.conditioning_encoder)
        with masked(self._gpt.conditioning_encoder):
            latents: torch.Tensor = self._gpt.get_conditioning(rows.transpose(1, 2), lengths)
        return list(latents)
