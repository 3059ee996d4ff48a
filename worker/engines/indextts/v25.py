"""IndexTTS-2.5 alone: the layout of its prompt, its voices, and the meaning of its codes.

    prompt     the voice's style, projected, plus the emotion; two rows of zeros; start, text, stop, with positions and
               the row of the language
    contents   two rows for each code, out of the decoder of the semantic codec

Every number agrees with the official code at batch 1. Where that code is wrong for a batch, a comment says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from farm.speech import Parameter
from worker.engines.indextts.adapter import BaseAdapter
from worker.engines.indextts.shapes import Network, Voice
from worker.engines.indextts.text.multilingual import MultilingualSegmenter
from worker.engines.indextts.text.wording import Grammars, Wording
from worker.engines.indextts.voice.reference_encoder import Heard
from worker.engines.indextts.voice.spectra import Analyst

_ROWS_PER_CODE = 2  # a code is 40 ms, a row of content 20


class V25(BaseAdapter):
    """The adapter of version 2.5, over a network."""

    version = "2.5"
    parameters: Sequence[Parameter] = (
        Parameter.SPEED, Parameter.SEED, Parameter.EMOTION, Parameter.NORMALIZE, Parameter.DURATION,
        Parameter.CHECKS, Parameter.PRONUNCIATION,
    )  # fmt: skip
    # The characters of the 25 s in which the model is stable, and of a segment's tokens: a token has 5.1 English
    # characters, 1.0 Chinese, 0.62 Japanese, 2.1 Spanish, 2.0 Arabic.
    languages: Mapping[str, int] = MappingProxyType({"zh": 110, "en": 290, "ja": 70, "es": 240, "ar": 220})

    def __init__(self, network: Network, wording: Wording | None = None, analyst: Analyst | None = None) -> None:
        normalizer = network.normalizer
        segmenter = MultilingualSegmenter(
            network.tokenizer,
            wording or Grammars(normalizer, network.spanish),
            punctuation=lambda text: normalizer.clean_pattern.sub(lambda sign: normalizer.char_rep_map[sign[0]], text),
            japanese=network.japanese.process_ja_text,
            unread={network.config["gpt"][name] for name in ("start_text_token", "stop_text_token")},
        )
        super().__init__(network, segmenter, analyst)

    @torch.inference_mode()
    def prompts(
        self,
        ids: Sequence[Sequence[int]],
        voices: Sequence[Voice],
        emotions: Sequence[torch.Tensor],
        languages: Sequence[str],
    ) -> list[torch.Tensor]:
        """(1 + 2 + n + 2, D) each, for n ids, in the GPT's type."""
        language_row = self._network.language_row
        assert language_row is not None
        prompts = []
        for tokens, voice, emotion, language in zip(ids, voices, emotions, languages, strict=True):
            rows = self._embedded(tokens) + self._gpt.lang_embedding.weight[language_row(language)]
            prompts.append(torch.cat([(voice.latent + emotion).to(rows.dtype), rows.new_zeros(2, rows.shape[1]), rows]))
        return prompts

    @torch.inference_mode()
    def contents(self, prompts: Sequence[torch.Tensor], codes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """(2 n, 1024) each, for n codes. This version does not need the prompts again."""
        del prompts
        counts = torch.tensor([len(row) for row in codes], device=self._network.device)
        padded = pad_sequence([torch.tensor(row, dtype=torch.long) for row in codes], batch_first=True)
        with _unpadded(self._codec, counts):
            rows = self._codec.decode(padded.to(self._network.device))
        return [row[: _ROWS_PER_CODE * len(of)] for row, of in zip(rows, codes, strict=True)]

    def frames(self, codes: int, speed: float) -> int:
        """Cut to an integer in double precision, as the package does with the inverse of a speed."""
        return int(_ROWS_PER_CODE * codes * 1.72 * (1 / speed))

    def _contents_of(self, heard: Heard) -> Sequence[torch.Tensor]:
        return heard.features

    def _latents(self, heard: Heard) -> Sequence[torch.Tensor]:
        return [self._gpt.spk_emb_proj(style[None]) for style in heard.styles]


@contextmanager
def _unpadded(codec: Any, counts: torch.Tensor) -> Iterator[None]:
    """Makes the decoder's convolutions see zeros behind the end of each row (B,), as they do behind a row alone. In the
    package they see the padding after biases and norms: the last 79 rows come out wrong with 12 layers (calculated;
    19 were seen with 3)."""

    def hide(rows_per_code: int) -> Any:
        def hook(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            x = given[0]  # (B, C, T)
            outside = torch.arange(x.shape[2], device=x.device) >= rows_per_code * counts[:, None]
            return x.masked_fill(outside[:, None], 0), *given[1:]

        return hook

    backbone = codec.decoder[0]
    within = [backbone.embed, *(block.dwconv for block in backbone.convnext)]
    hooks = [module.register_forward_pre_hook(hide(1)) for module in within]
    hooks.append(codec.up.register_forward_pre_hook(hide(_ROWS_PER_CODE)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
