"""Random voices and pieces, and what the package's own modules make of one: the oracle of the acoustic stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import torch

from worker.engines.indextts.shapes import Network, Piece, Voice
from worker.engines.indextts.sound.regulator import regulate

PROMPTS = (90, 258, 371, 1290)  # frames of a reference: from 1 s to the 15 s that are used
MIXED = (1, 2, 3, 86, 149, 333, 572)  # frames of speech
FLOAT_NOISE = 1e-5


def voice(network: Network, frames: int, seed: int = 0) -> Voice:
    drawn = torch.Generator().manual_seed(1000 * frames + seed)
    contents = torch.randn(frames, 1024, generator=drawn)
    nothing = torch.zeros(0)
    return Voice(
        style=torch.randn(192, generator=drawn),
        mel=torch.randn(80, frames, generator=drawn),
        condition=regulate(network.regulator, [contents], [frames])[0],
        latent=nothing,
        emotion=nothing,
        own_emotion=nothing,
    )


def voices(network: Network, count: int, prompts: Sequence[int] = PROMPTS) -> list[Voice]:
    """`count` of them, of those lengths in turn."""
    return [voice(network, prompts[index % len(prompts)], index) for index in range(count)]


def contents(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, 1024, generator=torch.Generator().manual_seed(7000 + 100 * rows + seed))


def pieces(network: Network, frames: Sequence[int], prompts: Sequence[int] = PROMPTS) -> list[Piece]:
    """Of those frames, as many codes as that takes, in voices of their own."""
    return [
        Piece(key=index, contents=contents(-(-100 * count // 172), index), frames=count, voice=speaker, seed=index)
        for index, (count, speaker) in enumerate(zip(frames, voices(network, len(frames), prompts), strict=True))
    ]


@torch.inference_mode()
def regulated(package: Any, rows: torch.Tensor, frames: int) -> torch.Tensor:
    """(Y, C) by the package."""
    regulator = package.s2mel.models["length_regulator"]
    answer: torch.Tensor = regulator(rows[None], ylens=torch.tensor([frames]), n_quantizers=3, f0=None)[0]
    return answer[0]


@torch.inference_mode()
def mel(package: Any, condition: torch.Tensor, voice: Voice, seed: int, steps: int = 25) -> torch.Tensor:
    """(80, Y) by the package, from the noise that the farm would draw."""
    flow = package.s2mel.models["cfm"]
    both = torch.cat([voice.condition, condition])[None]
    noise = torch.randn(1, 80, both.shape[1], generator=torch.Generator().manual_seed(seed))
    with patch("torch.randn", return_value=noise):
        answer: torch.Tensor = flow.inference(
            both, torch.tensor([both.shape[1]]), voice.mel[None], voice.style[None], None, steps, inference_cfg_rate=0.7
        )
    return answer[0, :, voice.mel.shape[1] :]


@torch.inference_mode()
def samples(package: Any, mel: torch.Tensor) -> torch.Tensor:
    """(256 Y,) by the package."""
    answer: torch.Tensor = package.bigvgan(mel[None].float())
    return answer[0, 0].clamp(-1, 1)


def sound(package: Any, piece: Piece, steps: int = 25) -> torch.Tensor:
    condition = regulated(package, piece.contents, piece.frames)
    return samples(package, mel(package, condition, piece.voice, piece.seed, steps))


def worst(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float:
    """The largest difference in any item, whose shapes must agree."""
    assert [item.shape for item in found] == [item.shape for item in expected]
    return max(float((one - other).abs().max()) for one, other in zip(found, expected, strict=True))
