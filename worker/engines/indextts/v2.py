"""What belongs to IndexTTS-2: how its prompt is laid out, what it keeps of a voice, what its codes mean.

    prompt     32 latents of the voice, each plus the emotion; speed rows 1 and 0; start, text, stop, with positions
    contents   the embedding of each code, plus what the GPT makes of it in its context, in a second forward

Every number agrees with the package's own functions at batch 1; where those are wrong for a batch, it is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from farm.speech import Parameter
from worker.engines.indextts.shapes import Network, Segments, Voice
from worker.engines.indextts.sound.regulator import regulate
from worker.engines.indextts.text.tokens import FrontEnd
from worker.engines.indextts.text.wording import Wording
from worker.engines.indextts.voice.reference import Recording
from worker.engines.indextts.voice.reference_encoder import Ear, each, finite, masked, own, type_of

_FRAMES_PER_CODE = np.float32(1.72)  # 22050 / 256 frames a second over 50 codes

# Prompts (L, D) and the codes behind each -> (N, D): what the GPT makes of each code in its context.
Latents = Callable[[Sequence[torch.Tensor], Sequence[Sequence[int]]], Sequence[torch.Tensor]]


class V2:
    """The adapter of version 2, over a network and the second forward of its GPT."""

    version = "2"
    parameters: Sequence[Parameter] = (Parameter.SEED, Parameter.EMOTION)
    # The model is stable up to 25 to 30 s a segment. English runs at 15 characters a second: 300 are 20 s and, at 3 to
    # 4 characters a token, 75 to 100 of the 120 tokens; numbers spelled out take the rest. Chinese has a token for each
    # character and speaks 4.5 of them a second: 110 are 25 s.
    languages: Mapping[str, int] = MappingProxyType({"en": 300, "zh": 110})

    def __init__(self, network: Network, latents: Latents, wording: Wording | None = None) -> None:
        self._network, self._latents = network, latents
        self._gpt: Any = network.gpt
        self._codec: Any = network.codec
        self._ear = Ear(network)
        self._text = FrontEnd(network.tokenizer, wording)

    def segments(self, text: str, language: str, *, normalize: bool = True) -> Segments:
        return self._text.segments(text, language, normalize=normalize)

    @torch.inference_mode()
    def voices(self, references: Sequence[str]) -> list[Voice | Exception]:
        return each(references, self._voices)

    @torch.inference_mode()
    def emotions(self, references: Sequence[str]) -> list[torch.Tensor | Exception]:
        return each(references, self._ear.clips)

    @torch.inference_mode()
    def prompts(
        self,
        ids: Sequence[Sequence[int]],
        voices: Sequence[Voice],
        emotions: Sequence[torch.Tensor],
        languages: Sequence[str],
    ) -> list[torch.Tensor]:
        """(32 + 2 + n + 2, D) each, for n ids, in the GPT's type. This version is not told the language."""
        gpt = self._gpt
        half, whole = gpt.speed_emb.weight[1:2], gpt.speed_emb.weight[0:1]
        prompts = []
        for tokens, voice, emotion in zip(ids, voices, emotions, strict=True):
            text = torch.tensor([gpt.start_text_token, *tokens, gpt.stop_text_token], device=self._network.device)
            rows = gpt.text_embedding(text) + gpt.text_pos_embedding.emb.weight[: len(text)]
            prompts.append(torch.cat([(voice.latent + emotion).to(rows.dtype), half, whole, rows]))
        return prompts

    @torch.inference_mode()
    def contents(self, prompts: Sequence[torch.Tensor], codes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """(n, 1024) each, for n codes. No code sees another here, so that the batch is one long row."""
        assert self._network.gpt_layer is not None
        latents = torch.cat(list(self._latents(prompts, codes)))
        flat = torch.tensor([code for row in codes for code in row], dtype=torch.long, device=self._network.device)
        embedded = self._codec.quantizer.vq2emb(flat[None, None])[0].T
        meant = self._network.gpt_layer(latents.to(type_of(self._network.gpt_layer)))
        return list((embedded + meant).split([len(row) for row in codes]))

    def frames(self, codes: int, speed: float) -> int:
        """Cut to an integer in single precision, as the package does at 1, the only speed that it has."""
        return int(np.float32(codes) * _FRAMES_PER_CODE / np.float32(speed))

    def _voices(self, recordings: Sequence[Recording]) -> list[Voice | Exception]:
        ear, count = self._ear, len(recordings)
        spoken = [recording.as_voice() for recording in recordings]
        heard = ear.features([narrow for _, narrow in spoken] + [recording.as_emotion() for recording in recordings])
        emotions = ear.emotions(heard)
        mels = [ear.mel(wide) for wide, _ in spoken]
        # One by one: the codec's convolutions would see the padding, and the speaker's statistics count it.
        quantised = [self._codec.quantize(rows[None])[1][0] for rows in heard[:count]]
        styles = [ear.style(narrow) for _, narrow in spoken]
        conditions = regulate(self._network.regulator, quantised, [mel.shape[1] for mel in mels])
        rows = zip(
            styles, mels, conditions, self._latent(heard[:count]), emotions[:count], emotions[count:], strict=True
        )
        return [finite(Voice(*map(own, row)), row) for row in rows]

    def _latent(self, heard: Sequence[torch.Tensor]) -> torch.Tensor:
        """(B, 32, D). The package gives the width of its rows for their number, which masks nothing at batch 1."""
        rows, lengths = self._ear.padded(heard, self._gpt.conditioning_encoder)
        with masked(self._gpt.conditioning_encoder):
            latents: torch.Tensor = self._gpt.get_conditioning(rows.transpose(1, 2), lengths)
        return latents
