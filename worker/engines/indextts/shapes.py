"""The values that travel between the stages of IndexTTS, and the protocol of a version of the model.

    text ──> Adapter.segments ──┐
    reference ──> Adapter.voices ├─> Adapter.prompts ──> Decoder ──> Codes ──> Adapter.contents ──> Acoustic ──> samples
    emotion ──> Adapter.emotions ┘

Decoder and Acoustic are one core for all versions; a version is an Adapter. An utterance has several *parts* where its
text is too long for one decode. A *piece* is the input that the acoustic stages get for a part.
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
# tf32 keeps weights and activations in fp32; matrix products round their factors to 10 bits.
DTYPES: Mapping[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
HALF: tuple[Precision, ...] = ("fp16", "bf16")


@dataclass(frozen=True, slots=True)
class Precisions:
    """The precision of each stage; `s2mel` is that of the flow."""

    gpt: Precision = "fp32"
    s2mel: Precision = "fp32"
    vocoder: Precision = "fp32"

    @property
    def full(self) -> Precision:
        """Of all that is not in half precision: fp32, or tf32 where a stage is, because the process has one switch."""
        return "tf32" if "tf32" in (self.gpt, self.s2mel, self.vocoder) else "fp32"


@dataclass(frozen=True, slots=True)
class Network:
    """The package's own modules: loaded, in eval mode, without gradients. The GPT is in its precision and all others
    are in fp32, of which flow and vocoder round copies."""

    version: str  # "2" or "2.5"
    config: Mapping[str, Any]  # the checkpoint's config.yaml
    device: torch.device
    precisions: Precisions
    gpt: torch.nn.Module  # indextts.gpt.model_v2.UnifiedVoice
    regulator: torch.nn.Module  # s2mel's length_regulator
    estimator: torch.nn.Module  # s2mel's cfm.estimator, a DiT: on the CPU, from where the flow folds its own
    gpt_layer: torch.nn.Module | None  # s2mel's gpt_layer: latents -> content rows; version 2 only
    codec: torch.nn.Module  # semantic codec: version 2 quantises a reference and embeds codes, 2.5 decodes them
    vocoder: torch.nn.Module  # BigVGAN, without weight norm: on the CPU where it was to be half, else on the device
    semantic: torch.nn.Module  # w2v-BERT 2.0 up to the layer that is used
    semantic_mean: torch.Tensor  # (1024,)
    semantic_std: torch.Tensor  # (1024,)
    features: Any  # its SeamlessM4TFeatureExtractor
    speaker: torch.nn.Module  # CAMPPlus: filter banks -> style
    mel: Any  # callable: (1, samples) at 22050 Hz -> (1, 80, frames)
    emotion_rows: Sequence[torch.Tensor]  # for each of the 8 emotions (n, D)
    speaker_rows: Sequence[torch.Tensor]  # for each of the 8 emotions (n, 192), to be compared with a style
    tokenizer: Any  # the package's TextTokenizer; of version 2.5 tiktoken's Encoding
    normalizer: Any  # the package's TextNormalizer, its grammars loaded
    emotion_model_dir: str  # of the language model that reads emotions out of text; loaded when first asked
    spanish: Any = None  # NeMo's Spanish grammar; version 2.5 only, as the fields that follow
    japanese: Any = None  # the package's JapaneseG2PProcessor: puts spaces between words
    language_row: Callable[[str], int] | None = None  # which row of the GPT's language embedding a language has


@dataclass(frozen=True, slots=True)
class Voice:
    """A reference as the stages need it, computed once. On the engine's device."""

    style: torch.Tensor  # (192,)
    mel: torch.Tensor  # (80, P)
    condition: torch.Tensor  # (P, C): the regulator's output for the reference
    latent: torch.Tensor  # (32, D); (1, D) in version 2.5
    emotion: torch.Tensor  # (D,): the vector of the reference as a speaker
    own_emotion: torch.Tensor  # (D,): the same file's as an emotion clip, which the package resamples in another way

    @property
    def bytes(self) -> int:
        tensors = (self.style, self.mel, self.condition, self.latent, self.emotion, self.own_emotion)
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How codes are drawn: repetition penalty, temperature, top-k, top-p, then one draw. Its random numbers depend on
    the seed and the position alone, so neighbours in the batch change nothing."""

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
    """The codes of a request. `cut`: the limit was reached before the stop code."""

    request: Request
    codes: list[int]
    cut: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """The input of the acoustic stages: content rows (T, 1024), to be stretched to `frames`, in a voice."""

    key: Hashable
    contents: torch.Tensor
    frames: int
    voice: Voice
    seed: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One request or piece that failed. Its neighbours in the batch are made all the same."""

    key: Hashable
    error: str
    unexplained: bool = False  # NaN, or an error of no known kind: the device may be to blame


@dataclass(frozen=True, slots=True)
class Segments:
    """A text as the model reads it."""

    ids: list[list[int]]  # token ids of each part; no part is longer than the model's limit
    unknown: list[str]  # characters for which the model has no token


class Segmenter(Protocol):
    """The text front end of one version of the model."""

    def segments(self, text: str, language: str, *, normalize: bool = True) -> Segments:
        """Of any string; no text raises. `normalize`: with numbers and signs put into words. Thread-safe."""
        ...


class Adapter(Segmenter, Protocol):
    """All that belongs to one version of the model."""

    version: str
    languages: Mapping[str, int]  # language -> characters that a segment may have, for planning
    parameters: Sequence[Parameter]  # the parameters of a request that it honours, as a model's card lists them

    def voices(self, references: Sequence[str]) -> list[Voice | Exception]:
        """A voice for each audio file, or the reason why the file can't be used."""
        ...

    def emotions(self, references: Sequence[str]) -> list[torch.Tensor | Exception]:
        """(D,) for each audio file, heard as an emotion clip, or the reason why the file can't be used."""
        ...

    def close(self) -> None:
        """Ends the process that analyses references, if there is one."""
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
        """(T, 1024) each: the codes decoded to content rows, in the context of their prompts."""
        ...

    def frames(self, codes: int, speed: float) -> int:
        """Mel frames of so many codes; at a speed of 2 half as many as at 1."""
        ...
