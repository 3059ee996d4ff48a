"""An utterance on its way through the stages, in as many parts as its text needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch

from worker.engine import Clip, Notice, NoticeCode, Utterance
from worker.engines.indextts import duration
from worker.engines.indextts.scrutiny import Findings, Limits, of_codes, second_stays, with_silence
from worker.engines.indextts.shapes import SAMPLE_RATE, Codes, Voice

Samples = npt.NDArray[np.float32]

GAP = round(0.2 * SAMPLE_RATE)  # samples of silence between the parts of one utterance, as the package has it
_SILENCE_S = 0.1  # the clip of a text in which nothing can be spoken


@dataclass(frozen=True, slots=True)
class Take:
    """A part as it was spoken once."""

    codes: Codes
    found: Findings
    samples: Samples | None = None  # once it is sound

    def notices(self) -> tuple[Notice, ...]:
        if not self.found.cut:
            return self.found.said
        cut = f"cut off after {len(self.codes.codes)} codes, under two seeds; shorten the sentence"
        return Notice(NoticeCode.CODE_LIMIT, cut), *self.found.said


@dataclass(slots=True, eq=False)
class Rendition:
    """One utterance in work. A part whose take is odd is spoken once more under another seed, and the better take
    stays; `limits` says what is odd beside a take that is empty or cut off."""

    utterance: Utterance
    voice: Voice
    prompts: Sequence[torch.Tensor]  # (L, D) for each part; empty where nothing can be spoken
    characters: Sequence[int]  # of the utterance's text that each part stands for, without those that have no token
    tokens: Sequence[int]  # of each part
    frames: Sequence[int] | None = None  # wanted of each part, where the clip has a length to keep
    warnings: list[Notice] = field(default_factory=list)
    decoding: set[int] = field(default_factory=set)  # parts that are in the decode
    retried: set[int] = field(default_factory=set)  # parts that were decoded once more, under another seed
    kept: dict[int, Take] = field(default_factory=dict)  # odd takes, while another one is made
    takes: dict[int, Take] = field(default_factory=dict)  # by part, as far as they are made

    @property
    def whole(self) -> bool:
        return len(self.takes) == len(self.prompts)

    def again(self) -> Rendition:
        """The same utterance before its first take."""
        return Rendition(self.utterance, self.voice, self.prompts, self.characters, self.tokens, self.frames)

    def heard_codes(self, part: int, codes: Codes, limits: Limits | None) -> Take | None:
        """The take that is to become sound; None where the part is to be decoded once more."""
        speech = self.utterance.speech
        limits = limits if speech.manner.checks else None
        found = of_codes(codes.codes, cut=codes.cut, tokens=self.tokens[part], language=speech.language, limits=limits)
        take = Take(codes, found)
        if part not in self.retried and found.odd:
            self._retry(part, take)
            return None
        first = self.kept.get(part)
        if first is None or first.samples is not None:  # a first one that is sound waits for the second one's sound
            return take
        del self.kept[part]
        return take if second_stays(first.found, found) else first

    def heard_samples(self, part: int, take: Take, silence_s: float, limits: Limits | None) -> bool:
        """Keeps the take, which has sound now, or the first one; False where the part is to be decoded once more."""
        limits = limits if self.utterance.speech.manner.checks else None
        take = replace(take, found=with_silence(take.found, silence_s, self.utterance.text, limits))
        if part not in self.retried and take.found.odd:
            self._retry(part, take)
            return False
        first = self.kept.pop(part, None)
        self.takes[part] = take if first is None or second_stays(first.found, take.found) else first
        return True

    def fallen_back(self, part: int, *, sound: bool) -> Take | None:
        """The first take of a part whose second one failed, if that can be heard, and has its sound or has not."""
        first = self.kept.get(part)
        if first is None or first.found.empty or (first.samples is not None) is not sound:
            return None
        return self.kept.pop(part)

    def _retry(self, part: int, take: Take) -> None:
        self.retried.add(part)
        self.kept[part] = take

    def clip(self) -> Clip:
        target = self.utterance.speech.target_duration_ms
        if not self.prompts:
            silence = round(_SILENCE_S * SAMPLE_RATE) if target is None else duration.samples(target)
            return Clip(self.utterance.key, np.zeros(silence, np.float32), tuple(self.warnings), 0)
        gap = np.zeros(GAP, np.float32)
        takes = [self.takes[part] for part in range(len(self.prompts))]
        sounds = [take.samples for take in takes if take.samples is not None]
        joined = np.concatenate([each for samples in sounds for each in (gap, samples)][1:])
        self.warnings.extend(notice for take in takes for notice in take.notices())
        if target is not None and (missed := duration.missed(target, len(joined))):
            self.warnings.append(missed)
        spoken = sum(count for part, count in enumerate(self.characters) if not takes[part].found.cut)
        return Clip(self.utterance.key, joined, tuple(self.warnings), spoken)
