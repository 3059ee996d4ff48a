"""What belongs to IndexTTS-2: how its prompt is laid out, what it keeps of a voice, what its codes mean.

    prompt     32 latents of the voice, each plus the emotion; speed rows 1 and 0; start, text, stop, with positions
    contents   the embedding of each code, plus what the GPT makes of it in its context, in a second forward

Every number agrees with the package's own functions at batch 1; where those are wrong for a batch, it is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torchaudio.compliance.kaldi import fbank

from farm.errors import BadInput
from worker.engines.indextts.parts import Network, Segments, Voice
from worker.engines.indextts.reference import NARROW_RATE, Recording
from worker.engines.indextts.regulator import regulate
from worker.engines.indextts.text import FrontEnd
from worker.engines.indextts.wording import Wording

_TOGETHER = 4  # references in one batch: w2v-BERT's attention over 2 x 4 clips of 15 s takes 0.9 GB (calculated)
_FRAMES_PER_CODE = np.float32(1.72)  # 22050 / 256 frames a second over 50 codes

# Prompts (L, D) and the codes behind each -> (N, D): what the GPT makes of each code in its context.
Latents = Callable[[Sequence[torch.Tensor], Sequence[Sequence[int]]], Sequence[torch.Tensor]]
Made = TypeVar("Made")


class V2:
    """The adapter of version 2, over a network and the second forward of its GPT."""

    version = "2"
    # The model is stable up to 25 to 30 s a segment. English runs at 15 characters a second: 300 are 20 s and, at 3 to
    # 4 characters a token, 75 to 100 of the 120 tokens; numbers spelled out take the rest. Chinese has a token for each
    # character and speaks 4.5 of them a second: 110 are 25 s.
    languages: Mapping[str, int] = MappingProxyType({"en": 300, "zh": 110})

    def __init__(self, network: Network, latents: Latents, wording: Wording | None = None) -> None:
        self._network, self._latents = network, latents
        self._gpt: Any = network.gpt
        self._codec: Any = network.codec
        self._text = FrontEnd(network.tokenizer, wording)

    def segments(self, text: str, language: str) -> Segments:
        return self._text.segments(text, language)

    @torch.inference_mode()
    def voices(self, references: Sequence[str]) -> list[Voice | Exception]:
        return _each(references, self._voices)

    @torch.inference_mode()
    def emotions(self, references: Sequence[str]) -> list[torch.Tensor | Exception]:
        return _each(references, self._emotions)

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
        meant = self._network.gpt_layer(latents.to(_type(self._network.gpt_layer)))
        return list((embedded + meant).split([len(row) for row in codes]))

    def frames(self, codes: int, speed: float) -> int:
        """Cut to an integer in single precision, as the package does at 1, the only speed that it has."""
        return int(np.float32(codes) * _FRAMES_PER_CODE / np.float32(speed))

    # --- what becomes of references -----------------------------------------------------------------------------------

    def _voices(self, recordings: Sequence[Recording]) -> list[Voice | Exception]:
        spoken = [recording.as_voice() for recording in recordings]
        heard = self._hear([narrow for _, narrow in spoken] + [recording.as_emotion() for recording in recordings])
        count = len(recordings)
        emotions = self._emotion_vectors(heard)
        mels = [self._network.mel(wide[None].to(self._network.device))[0] for wide, _ in spoken]
        # One by one: the codec's convolutions would see the padding, and the speaker's statistics count it.
        quantised = [self._codec.quantize(rows[None])[1][0] for rows in heard[:count]]
        styles = [self._style(narrow) for _, narrow in spoken]
        conditions = regulate(self._network.regulator, quantised, [mel.shape[1] for mel in mels])
        rows = zip(
            styles, mels, conditions, self._latent(heard[:count]), emotions[:count], emotions[count:], strict=True
        )
        return [_finite(Voice(*map(_own, row)), row) for row in rows]

    def _emotions(self, recordings: Sequence[Recording]) -> list[torch.Tensor | Exception]:
        heard = self._hear([recording.as_emotion() for recording in recordings])
        return [_finite(_own(vector), [vector]) for vector in self._emotion_vectors(heard)]

    def _hear(self, waves: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """(P, 1024) each, normalised, of samples at 16 kHz. The features of a clip alone have an even count of frames,
        with a masked one at the end where that was made up; it is a row like the others to all that follows."""
        network = self._network
        made = [network.features(wave[None], sampling_rate=NARROW_RATE, return_tensors="pt") for wave in waves]
        features = pad_sequence([one["input_features"][0] for one in made], batch_first=True)
        mask = pad_sequence([one["attention_mask"][0] for one in made], batch_first=True)
        states = network.semantic(
            input_features=features.to(network.device, _type(network.semantic)),
            attention_mask=mask.to(network.device),
        ).last_hidden_state.float()
        states = (states - network.semantic_mean) / network.semantic_std
        return [row[: one["input_features"].shape[1]] for row, one in zip(states, made, strict=True)]

    def _latent(self, heard: Sequence[torch.Tensor]) -> torch.Tensor:
        """(B, 32, D). The package gives the width of its rows for their number, which masks nothing at batch 1."""
        rows, lengths = self._padded(heard, self._gpt.conditioning_encoder)
        with _masked(self._gpt.conditioning_encoder):
            latents: torch.Tensor = self._gpt.get_conditioning(rows.transpose(1, 2), lengths)
        return latents

    def _emotion_vectors(self, heard: Sequence[torch.Tensor]) -> torch.Tensor:
        """(B, D), likewise."""
        rows, lengths = self._padded(heard, self._gpt.emo_conditioning_encoder)
        with _masked(self._gpt.emo_conditioning_encoder):
            vectors: torch.Tensor = self._gpt.get_emovec(rows, lengths)
        return vectors

    def _padded(self, heard: Sequence[torch.Tensor], encoder: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = torch.tensor([len(rows) for rows in heard], device=self._network.device)
        return pad_sequence(list(heard), batch_first=True).to(_type(encoder)), lengths

    def _style(self, narrow: torch.Tensor) -> torch.Tensor:
        """(192,) of samples at 16 kHz."""
        bands = fbank(narrow[None].to(self._network.device), num_mel_bins=80, dither=0, sample_frequency=NARROW_RATE)
        style: torch.Tensor = self._network.speaker((bands - bands.mean(0, keepdim=True))[None])[0]
        return style


def _each(
    references: Sequence[str], make: Callable[[Sequence[Recording]], Sequence[Made | Exception]]
) -> list[Made | Exception]:
    """What is made of each file, or why nothing can be."""
    answers: list[Made | Exception | None] = [None] * len(references)
    recordings: dict[int, Recording] = {}
    for place, path in enumerate(references):
        try:
            recordings[place] = Recording.read(path)
        except (BadInput, OSError) as error:
            answers[place] = error
    usable = list(recordings)
    for start in range(0, len(usable), _TOGETHER):
        places = usable[start : start + _TOGETHER]
        for place, made in zip(places, make([recordings[place] for place in places]), strict=True):
            answers[place] = made
    return [answer for answer in answers if answer is not None]


@contextmanager
def _masked(encoder: Any) -> Iterator[None]:
    """A conformer whose convolutions see nothing behind a row's end. The package masks what goes into such a layer,
    but the first thing that the layer does is to add a bias, which then reaches the end of the row (an error of 2e-3).
    """
    inside: list[torch.Tensor] = []

    def take(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        inside[:] = [given[1]]  # (B, 1, frames)

    def apply(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        return (given[0].masked_fill(~inside[0], 0),)

    hooks = []
    for layer in encoder.encoders:
        hooks.append(layer.conv_module.register_forward_pre_hook(take))
        hooks.append(layer.conv_module.depthwise_conv.register_forward_pre_hook(apply))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _finite(made: Made, tensors: Iterable[torch.Tensor]) -> Made | Exception:
    """Or the reason for refusing it: in a decode, what is not a number would end the whole batch."""
    if all(tensor.isfinite().all() for tensor in tensors):
        return made
    return BadInput("the model can't make a voice of the reference audio; send another recording of speech")


def _own(tensor: torch.Tensor) -> torch.Tensor:
    """Without the batch that it is a view on, which would be kept as long as it is."""
    return tensor.to(torch.float32, copy=True)


def _type(module: torch.nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
