"""References as the encoders hear them: features of w2v-BERT, a mel, a style and emotion vectors. For all versions.

Every number agrees with the package's own functions at batch 1. Where those functions are wrong for a batch, a comment
says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.nn.utils.rnn import pad_sequence

from farm.errors import BadInput, Unavailable
from worker.engines.indextts.shapes import Network
from worker.engines.indextts.voice import spectra
from worker.engines.indextts.voice.spectra import Features, Spectra

_TOGETHER = 4  # references in one batch: w2v-BERT's attention over 2 x 4 clips of 15 s takes 0.9 GB (calculated)

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Heard:
    """The recordings of B voices, as far as all versions hear them alike."""

    features: Sequence[torch.Tensor]  # (P, 1024) each
    mels: Sequence[torch.Tensor]  # (80, Y) each
    styles: Sequence[torch.Tensor]  # (192,) each
    emotions: torch.Tensor  # (B, D), of the recordings heard as speakers
    own_emotions: torch.Tensor  # (B, D), of the same recordings heard as emotion clips


class ReferenceEncoder:
    """The encoders of a network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._gpt: Any = network.gpt

    def hear(self, recordings: Sequence[Spectra]) -> Heard:
        """In one batch but for mels and styles: a style's statistics would count the padding."""
        count = len(recordings)
        spoken = [one.features for one in recordings if one.features is not None]
        features = self.features([*spoken, *(one.own_features for one in recordings)])
        emotions = self.emotions(features)
        return Heard(
            features=features[:count],
            mels=[self.mel(one.wide) for one in recordings if one.wide is not None],
            styles=[self.style(one.bands) for one in recordings if one.bands is not None],
            emotions=emotions[:count],
            own_emotions=emotions[count:],
        )

    def clips(self, recordings: Sequence[Spectra]) -> list[torch.Tensor | Exception]:
        """(D,) each, of recordings heard as emotion clips."""
        vectors = self.emotions(self.features([one.own_features for one in recordings]))
        return [finite(copied(vector), [vector]) for vector in vectors]

    def features(self, made: Sequence[Features]) -> list[torch.Tensor]:
        """(P, 1024) each, normalised. P is even: an odd count of frames gets a masked one at its end, which all later
        stages treat like any other."""
        network = self._network
        features, mask = spectra.padded(made)
        states = network.semantic(
            input_features=features.to(network.device, type_of(network.semantic)),
            attention_mask=mask.to(network.device),
        ).last_hidden_state.float()
        states = (states - network.semantic_mean) / network.semantic_std
        return [row[: len(one.rows)] for row, one in zip(states, made, strict=True)]

    def emotions(self, heard: Sequence[torch.Tensor]) -> torch.Tensor:
        """(B, D) of features. The package passes the width of the rows as their number, which masks nothing at batch
        1."""
        rows, lengths = self.padded(heard, self._gpt.emo_conditioning_encoder)
        with masked(self._gpt.emo_conditioning_encoder):
            vectors: torch.Tensor = self._gpt.get_emovec(rows, lengths)
        return vectors

    def style(self, bands: torch.Tensor) -> torch.Tensor:
        """(192,) of filter banks (frames, 80)."""
        bands = bands.to(self._network.device)
        style: torch.Tensor = self._network.speaker((bands - bands.mean(0, keepdim=True))[None])[0]
        return style

    def mel(self, wide: torch.Tensor) -> torch.Tensor:
        """(80, P) of samples at 22,050 Hz."""
        mel: torch.Tensor = self._network.mel(wide[None].to(self._network.device))[0]
        return mel

    def padded(self, heard: Sequence[torch.Tensor], encoder: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, P, 1024) in the encoder's type, and the true lengths (B,)."""
        lengths = torch.tensor([len(rows) for rows in heard], device=self._network.device)
        return pad_sequence(list(heard), batch_first=True).to(type_of(encoder)), lengths


def each(
    references: Sequence[str],
    analyse: Callable[[str], Spectra],
    make: Callable[[Sequence[Spectra]], Sequence[Made | Exception]],
) -> list[Made | Exception]:
    """Reads audio files and makes something of each, a few at a time. The answer for a file that can't be used is the
    reason."""
    answers: list[Made | Exception | None] = [None] * len(references)
    recordings: dict[int, Spectra] = {}
    for place, path in enumerate(references):
        try:
            recordings[place] = analyse(path)
        except (BadInput, OSError, Unavailable) as error:
            answers[place] = error
    usable = list(recordings)
    for start in range(0, len(usable), _TOGETHER):
        places = usable[start : start + _TOGETHER]
        for place, made in zip(places, make([recordings[place] for place in places]), strict=True):
            answers[place] = made
    return [answer for answer in answers if answer is not None]


@contextmanager
def masked(encoder: Any) -> Iterator[None]:
    """Makes the convolutions of a conformer see zeros behind a row's end. The package masks the input of such a layer.
    But the layer first adds a bias, which then reaches the end of the row (an error of 2e-3)."""
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


def finite(made: Made, tensors: Iterable[torch.Tensor]) -> Made | Exception:
    """`made`, or the reason for refusing it: in a decode, one NaN would end the whole batch."""
    if all(tensor.isfinite().all() for tensor in tensors):
        return made
    return BadInput("the model can't make a voice of the reference audio; send another recording of speech")


def copied(tensor: torch.Tensor) -> torch.Tensor:
    """In fp32, and apart from the batch of which the tensor is a view, which would live as long."""
    return tensor.to(torch.float32, copy=True)


def type_of(module: torch.nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
