"""Kokoro without its weights: a tone for each sign, at a pitch of the voice. All else is the engine's own."""

from __future__ import annotations

import numpy as np

from worker.engines.kokoro import alphabet
from worker.engines.kokoro.model import RATE, Samples

SIGN_S = 0.07
SILENCE_S = 0.3  # before and behind, as the model leaves it


class Tones:
    revision = "tones"

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, signs: str, voice: str, speed: float) -> Samples:
        assert 1 <= len(signs) <= alphabet.LONGEST
        self.said.append(signs)
        pitch = 100 + sum(map(ord, voice)) % 100
        numbers = np.repeat(alphabet.numbers(signs), round(SIGN_S / speed * RATE))
        tone = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch + numbers) / RATE)
        return np.pad(tone, round(SILENCE_S * RATE)).astype(np.float32)
