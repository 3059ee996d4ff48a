"""Conditional flow matching: noise becomes the mels of many items at once, each in its own voice, in Euler steps.

An item's noise is drawn on the CPU from its seed alone, so neither its neighbours nor the device change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from worker.engines.indextts.kernels.plain import Kernels
from worker.engines.indextts.shapes import Voice
from worker.engines.indextts.sound.estimator import Estimator
from worker.engines.indextts.sound.spans import Choice


class Flow:
    """Through the package's `dit`, on a device and in a precision, in `steps`. With `guidance` g, a velocity is (1 + g)
    times the one with condition, less g times the one without."""

    def __init__(
        self, dit: Any, device: torch.device, dtype: torch.dtype, steps: int = 25, guidance: float = 0.7,
        attention: Choice | None = None, kernels: Kernels | None = None,
    ) -> None:  # fmt: skip
        grid = torch.linspace(0, 1, steps + 1)
        strides = grid.diff()
        # The package sums its strides, so its rounding is part of every time.
        times = torch.cat([grid[:1], strides[:-1]]).cumsum(0)
        self._estimate = Estimator(dit, times, device, dtype, attention, kernels)
        self._strides: list[float] = strides.tolist()
        self._guidance = guidance

    @property
    def dtype(self) -> torch.dtype:
        return self._estimate.dtype

    @property
    def attention(self) -> str:
        """The name of its attention, and the reasons against faster ones."""
        return str(self._estimate.attention)

    def mels(self, conditions: Sequence[Tensor], voices: Sequence[Voice], seeds: Sequence[int]) -> list[Tensor]:
        """(80, Y) in fp32 for the conditions (Y, C) of each item, as the regulator makes them.

        Raises:
            ValueError: an item is too short to be mirrored at its ends, its reference included.
        """
        batch = self._estimate.begin(
            [voice.mel for voice in voices],
            [torch.cat([voice.condition, condition]) for voice, condition in zip(voices, conditions, strict=True)],
            [voice.style for voice in voices],
        )
        frames = [len(condition) for condition in conditions]
        noise = [_noise(voice, count, seed) for voice, count, seed in zip(voices, frames, seeds, strict=True)]
        speech = torch.cat(noise).to(self._estimate.device)
        for step, stride in enumerate(self._strides):
            conditioned, free = self._estimate(speech, step, batch)
            speech.add_(torch.lerp(free, conditioned, 1 + self._guidance), alpha=stride)
        return [item.T for item in torch.split(speech, frames)]


def _noise(voice: Voice, frames: int, seed: int) -> Tensor:
    """(frames, 80). The package draws for the reference too and drops that part, and so does this."""
    bands, prompt = voice.mel.shape
    drawn = torch.randn(bands, prompt + frames, generator=torch.Generator().manual_seed(seed))
    return drawn[:, prompt:].T
