"""Reference audio as the package hears it: the first 15 s, mono, at the two sample rates of its models.

The package reads a file twice, by different resamplers: as a voice (to 22,050 Hz, and from there to 16,000) and as an
emotion clip (straight to 16,000). The results differ enough to change codes, so both are made here, equal to the bit.
Audio that can't serve as a voice is refused here, before it joins a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import soundfile as sf
import torch
import torchaudio

from farm.errors import BadInput
from worker.engines.indextts.shapes import SAMPLE_RATE

USED_S = 15  # the package cuts here
NARROW_RATE = 16_000  # Hz, of w2v-BERT and of the speaker embedding

_SHORTEST_S = 0.5  # 24 frames of w2v-BERT; with fewer the encoders make nothing that resembles a voice
_READ_S = 60  # the longest that the farm accepts; more would only cost memory
_SILENT = 0.001  # -60 dBFS


@dataclass(frozen=True, slots=True)
class Recording:
    """Mono samples of a file at its own rate; within [-1, 1] if the file's are."""

    samples: npt.NDArray[np.float32]
    sample_rate: int

    @classmethod
    def read(cls, path: str | Path) -> Recording:
        """From WAV, FLAC, MP3 or Ogg of any rate and any number of channels. Raises BadInput, which says what is wrong
        and what to send instead, and OSError where there is no file."""
        with open(path, "rb") as file:
            try:
                with sf.SoundFile(file) as audio:
                    sample_rate = audio.samplerate
                    channels = audio.read(_READ_S * sample_rate, dtype="float32", always_2d=True)
            except sf.LibsndfileError as error:
                why = "can't be decoded as WAV, FLAC, MP3 or Ogg; export it again and upload that"
                raise BadInput(f"the reference audio {why}") from error
        _check(channels, sample_rate)
        return cls(librosa.to_mono(channels.T), sample_rate)

    def as_voice(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(samples,) at 22,050 Hz, and these resampled to (samples,) at 16,000 Hz."""
        wide = self._cut(SAMPLE_RATE)
        narrow: torch.Tensor = _to_narrow()(wide)
        return wide, narrow

    def as_emotion(self) -> torch.Tensor:
        """(samples,) at 16,000 Hz."""
        return self._cut(NARROW_RATE)

    def _cut(self, sample_rate: int) -> torch.Tensor:
        samples = librosa.resample(self.samples, orig_sr=self.sample_rate, target_sr=sample_rate)
        return torch.from_numpy(samples[: USED_S * sample_rate].copy())


def _check(channels: npt.NDArray[np.float32], sample_rate: int) -> None:
    """Looks at the first 15 s alone, which are used: a file that begins with 15 s of silence is silent."""
    if not np.isfinite(channels).all():
        raise BadInput("the reference audio contains samples that are not numbers; export it again and upload that")
    used = channels[: USED_S * sample_rate].mean(axis=1)
    seconds = len(used) / sample_rate
    if seconds < _SHORTEST_S:
        raise BadInput(f"the reference audio has {seconds:.2f} s; send at least {_SHORTEST_S} s, better 5 to 15 s")
    if np.max(np.abs(used - used.mean())) < _SILENT:
        raise BadInput(f"the reference audio is silent for its first {seconds:.0f} s; send a recording of speech")


@cache
def _to_narrow() -> Any:
    """torchaudio's transform and not its function: the transform computes its kernel in double precision."""
    return torchaudio.transforms.Resample(SAMPLE_RATE, NARROW_RATE)
