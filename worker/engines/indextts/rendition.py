"""An utterance on its way through the stages, in as many parts as its text needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from worker.engine import Clip, Notice, Utterance
from worker.engines.indextts import duration
from worker.engines.indextts.shapes import SAMPLE_RATE, Voice

Samples = npt.NDArray[np.float32]

GAP = round(0.2 * SAMPLE_RATE)  # samples of silence between the parts of one utterance, as the package has it
_SILENCE_S = 0.1  # the clip of a text in which nothing can be spoken


@dataclass(slots=True, eq=False)
class Rendition:
    """One utterance in work."""

    utterance: Utterance
    voice: Voice
    prompts: Sequence[torch.Tensor]  # (L, D) for each part; empty where nothing can be spoken
    characters: Sequence[int]  # of the utterance's text that each part stands for, without those that have no token
    frames: Sequence[int] | None = None  # wanted of each part, where the clip has a length to keep
    warnings: list[Notice] = field(default_factory=list)
    decoding: set[int] = field(default_factory=set)  # parts that are in the decode
    retried: set[int] = field(default_factory=set)  # parts that were decoded once more, under another seed
    cut: set[int] = field(default_factory=set)  # parts that ran into the limit of codes for good
    sounds: dict[int, Samples] = field(default_factory=dict)  # by part, as far as they are made

    @property
    def whole(self) -> bool:
        return len(self.sounds) == len(self.prompts)

    def clip(self) -> Clip:
        target = self.utterance.speech.target_duration_ms
        if not self.prompts:
            silence = round(_SILENCE_S * SAMPLE_RATE) if target is None else duration.samples(target)
            return Clip(self.utterance.key, np.zeros(silence, np.float32), tuple(self.warnings), 0)
        gap = np.zeros(GAP, np.float32)
        joined = np.concatenate([each for part in range(len(self.prompts)) for each in (gap, self.sounds[part])][1:])
        if target is not None and (missed := duration.missed(target, len(joined))):
            self.warnings.append(missed)
        spoken = sum(count for part, count in enumerate(self.characters) if part not in self.cut)
        return Clip(self.utterance.key, joined, tuple(self.warnings), spoken)
