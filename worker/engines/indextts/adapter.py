"""The half of an adapter that both versions of the model share: segments, voices and emotions.

A version adds its voices (`_contents_of`, `_latents`), the layout of its prompt and the meaning of its codes. Every
number agrees with the package's own functions at batch 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from worker.engines.indextts.shapes import Network, Segmenter, Segments, Voice
from worker.engines.indextts.sound.regulator import regulate
from worker.engines.indextts.voice.reference_encoder import Heard, ReferenceEncoder, copied, each, finite
from worker.engines.indextts.voice.spectra import Analyst, AnalystHere, Spectra


class BaseAdapter(ABC):
    """Over a network, with the segmenter of a version."""

    def __init__(self, network: Network, segmenter: Segmenter, analyst: Analyst | None = None) -> None:
        self._network, self._segmenter = network, segmenter
        self._analyst = analyst or AnalystHere(network.features)
        self._gpt: Any = network.gpt
        self._codec: Any = network.codec
        self._encoder = ReferenceEncoder(network)

    def segments(self, text: str, language: str, *, normalize: bool = True) -> Segments:
        return self._segmenter.segments(text, language, normalize=normalize)

    @torch.inference_mode()
    def voices(self, references: Sequence[str]) -> list[Voice | Exception]:
        return each(references, partial(self._analyst.spectra, heard="voice"), self._voices)

    @torch.inference_mode()
    def emotions(self, references: Sequence[str]) -> list[torch.Tensor | Exception]:
        return each(references, partial(self._analyst.spectra, heard="emotion"), self._encoder.clips)

    def close(self) -> None:
        self._analyst.close()

    @abstractmethod
    def _contents_of(self, heard: Heard) -> Sequence[torch.Tensor]:
        """(P, 1024) for each voice: the content rows of its recording, which the regulator stretches."""

    @abstractmethod
    def _latents(self, heard: Heard) -> Sequence[torch.Tensor]:
        """The rows of each voice in a prompt: (32, D), or (1, D) in version 2.5."""

    def _voices(self, recordings: Sequence[Spectra]) -> list[Voice | Exception]:
        heard = self._encoder.hear(recordings)
        frames = [mel.shape[1] for mel in heard.mels]
        conditions = regulate(self._network.regulator, self._contents_of(heard), frames)
        rows = zip(
            heard.styles, heard.mels, conditions, self._latents(heard), heard.emotions, heard.own_emotions, strict=True
        )
        return [finite(Voice(*map(copied, row)), row) for row in rows]

    def _embedded(self, tokens: Sequence[int]) -> torch.Tensor:
        """(1 + n + 1, D) for n token ids: start, text and stop, with their positions."""
        gpt = self._gpt
        text = torch.tensor([gpt.start_text_token, *tokens, gpt.stop_text_token], device=self._network.device)
        rows: torch.Tensor = gpt.text_embedding(text) + gpt.text_pos_embedding.emb.weight[: len(text)]
        return rows
