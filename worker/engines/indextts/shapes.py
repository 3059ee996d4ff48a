"""What travels between the stages of IndexTTS, and what a version of the model must bring.

    text ──> Adapter.segments ──┐
    reference ──> Adapter.voices ├─> Adapter.prompts ──> Decoder ──> Codes ──> Adapter.contents ──> Acoustic ──> samples
    emotion ──> Adapter.emotions ┘

The right-hand side (decode, regulator, flow, vocoder) is one core for all versions; what differs is the Adapter.
Shapes: B utterances, L prompt rows, N codes, T content rows, Y mel frames, P frames of a reference, D the GPT width.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch

from farm.speech import Parameter

SAMPLE_RATE = 22050  # Hz, of every version
HOP = 256  # samples per mel frame
MELS = 80

Precision = Literal["fp32", "tf32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class Precisions:
    """Of each stage. `tf32` keeps weights and activations in fp32 and lets matrix products round to 10 bits."""

    gpt: Precision = "fp32"
    s2mel: Precision = "fp32"
    vocoder: Precision = "fp32"


@dataclass(frozen=True, slots=True)
class Network:
    """The package's own modules: loaded, in eval mode, without gradients, on their device, in their precision."""

    version: str  # "2" or "2.5"
    config: Mapping[str, Any]  # the checkpoint's config.yaml
    device: torch.device
    precisions: Precisions
    gpt: torch.nn.Module  # indextts.gpt.model_v2.UnifiedVoice
    regulator: torch.nn.Module  # s2mel's length_regulator
    estimator: torch.nn.Module  # s2mel's cfm.estimator, a DiT: on the CPU in fp32, from where the flow folds its own
    gpt_layer: torch.nn.Module | None  # s2mel's gpt_layer: latents -> content rows; version 2 only
    codec: torch.nn.Module  # semantic codec: version 2 quantises a reference and embeds codes, 2.5 decodes them
    vocoder: torch.nn.Module  # BigVGAN, without weight norm
    semantic: torch.nn.Module  # w2v-BERT 2.0 up to the layer that is used
    semantic_mean: torch.Tensor  # (1024,)
    semantic_std: torch.Tensor  # (1024,)
    features: Any  # its SeamlessM4TFeatureExtractor
    speaker: torch.nn.Module  # CAMPPlus: filter banks -> style
    mel: Any  # callable: (1, samples) at 22050 Hz -> (1, 80, frames)
    emotion_rows: Sequence[torch.Tensor]  # for each of the 8 emotions (n, D)
    speaker_rows: Sequence[torch.Tensor]  # for each of the 8 emotions (n, 192), what a style is compared with
    tokenizer: Any  # the package's TextTokenizer; of version 2.5 tiktoken's Encoding
    normalizer: Any  # the package's TextNormalizer, its grammars loaded
    emotion_model_dir: str  # of the language model that reads emotions out of text; loaded when first asked
    spanish: Any = None  # NeMo's Spanish grammar; version 2.5 only, as what follows
    japanese: Any = None  # the package's JapaneseG2PProcessor: puts spaces between words
    language_row: Callable[[str], int] | None = None  # which row of the GPT's language embedding a language has


@dataclass(frozen=True, slots=True)
class Voice:
    """What the stages need of a reference, computed once. On the engine's device."""

    style: torch.Tensor  # (192,)
    mel: torch.Tensor  # (80, P)
    condition: torch.Tensor  # (P, C): the regulator's output for the reference
    latent: torch.Tensor  # (32, D); (1, D) in version 2.5
    emotion: torch.Tensor  # (D,): the vector of the reference as a speaker
    own_emotion: torch.Tensor  # (D,): the vector of the same file as an emotion clip, which the package reads otherwise

    @property
    def bytes(self) -> int:
        tensors = (self.style, self.mel, self.condition, self.latent, self.emotion, self.own_emotion)
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How codes are drawn: repetition penalty, temperature, top-k, top-p, then one draw from a stream that belongs to
    the seed and the position alone, so that neighbours in the batch change nothing."""

    seed: int = 0
    temperature: float = 0.8
    top_k: int = 30
    top_p: float = 0.8
    repetition_penalty: float = 10.0
    limit: int = 1500  # codes
    greedy: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One decode: the prompt (L, D) without the start code."""

    key: Hashable
    prompt: torch.Tensor
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Codes:
    """What a request became. `cut`: the limit was reached before the stop code."""

    request: Request
    codes: list[int]
    cut: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """What the acoustic stages make into samples: content rows (T, 1024) stretched to `frames`, in a voice."""

    key: Hashable
    contents: torch.Tensor
    frames: int
    voice: Voice
    seed: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One request or piece that could not be made; its neighbours are not concerned."""

    key: Hashable
    error: str


@dataclass(frozen=True, slots=True)
class Segments:
    """A text as the model reads it: token ids, in parts within its limit, and what it has no token for."""

    ids: list[list[int]]
    unknown: list[str]


class Adapter(Protocol):
    """What belongs to one version of the model."""

    version: str
    languages: Mapping[str, int]  # language -> characters that a segment may have, for planning
    parameters: Sequence[Parameter]  # of a request that it honours, as a model's card lists them

    def segments(self, text: str, language: str, *, normalize: bool = True) -> Segments:
        """`normalize`: with numbers and signs put into words."""
        ...

    def voices(self, references: Sequence[str]) -> list[Voice | Exception]:
        """Of audio files, in one batch; a file that can't be used is answered with the reason."""
        ...

    def emotions(self, references: Sequence[str]) -> list[torch.Tensor | Exception]:
        """(D,) each, of audio files heard as emotion clips."""
        ...

    def prompts(
        self,
        ids: Sequence[Sequence[int]],
        voices: Sequence[Voice],
        emotions: Sequence[torch.Tensor],
        languages: Sequence[str],
    ) -> list[torch.Tensor]:
        """(L, D) each."""
        ...

    def contents(self, prompts: Sequence[torch.Tensor], codes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """(T, 1024) each: what the codes mean, in their context."""
        ...

    def frames(self, codes: int, speed: float) -> int:
        """Mel frames that so many codes become; at a speed of 2 half as many as at 1."""
        ...
