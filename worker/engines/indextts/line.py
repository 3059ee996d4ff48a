"""An utterance on its way through the stages, in as many parts as its text needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from worker.engine import Clip, Utterance
from worker.engines.indextts.parts import SAMPLE_RATE, Voice

Samples = npt.NDArray[np.float32]

_JOIN_S = 0.2  # silence between the parts of one utterance, as the package has it
_SILENCE_S = 0.1  # the clip of a text in which nothing can be spoken


@dataclass(slots=True, eq=False)
class Line:
    utterance: Utterance
    voice: Voice
    prompts: Sequence[torch.Tensor]  # (L, D) for each part; none where nothing can be spoken
    warnings: list[str] = field(default_factory=list)
    decoding: set[int] = field(default_factory=set)  # parts that are in the decode
    retried: set[int] = field(default_factory=set)  # parts that were decoded once more, under another seed
    sounds: dict[int, Samples] = field(default_factory=dict)  # parts that are through

    @property
    def whole(self) -> bool:
        return len(self.sounds) == len(self.prompts)

    def clip(self) -> Clip:
        gap = np.zeros(round(_JOIN_S * SAMPLE_RATE), np.float32)
        joined = [samples for part in range(len(self.prompts)) for samples in (gap, self.sounds[part])][1:]
        if not joined:
            joined = [np.zeros(round(_SILENCE_S * SAMPLE_RATE), np.float32)]
        return Clip(self.utterance.key, np.concatenate(joined), tuple(self.warnings))
