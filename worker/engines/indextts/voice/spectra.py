"""What a reference is before any weights hear it: samples, filter banks and features, here or in a process.

It is the half of hearing a voice that holds Python's lock, for 0.1 s: resampling, loops over the frames of 15 s, filter
banks. In a process of its own, no row of the decode waits for it. The numbers are the same to the bit.
"""

from __future__ import annotations

import importlib
import logging
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torchaudio.compliance.kaldi import fbank

from farm.errors import BadInput, Unavailable
from worker.engines.indextts.aide import ON_ONE_CORE, Aide, Ended, Late
from worker.engines.indextts.voice.reference import NARROW_RATE, Recording

log = logging.getLogger(__name__)

DEADLINE_S = 30.0  # of one reference, which takes 0.2 s
_START_S = 120.0
_TRIES = 2

Heard = Literal["voice", "emotion"]


@dataclass(frozen=True, slots=True)
class Features:
    """The input of w2v-BERT for one clip: (P', 160) with a mask (P',)."""

    rows: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True, slots=True)
class Spectra:
    """Of one recording. The first three are of it heard as a voice, and absent where it is heard as an emotion."""

    wide: torch.Tensor | None  # (samples,) at 22,050 Hz
    bands: torch.Tensor | None  # (frames, 80): its filter banks at 16 kHz
    features: Features | None
    own_features: Features  # of the same file, heard as an emotion


class Analyst(Protocol):
    def spectra(self, path: str, heard: Heard) -> Spectra:
        """Of an audio file. Raises BadInput for one that can't be used, OSError where there is none, and Unavailable
        where no answer came in time."""
        ...

    def close(self) -> None: ...


class AnalystHere:
    """In this process, by the package's own feature extractor."""

    def __init__(self, extractor: Any) -> None:
        self._extractor = extractor

    def spectra(self, path: str, heard: Heard) -> Spectra:
        recording = Recording.read(path)
        own = self._features(recording.as_emotion())
        if heard == "emotion":
            return Spectra(None, None, None, own)
        wide, narrow = recording.as_voice()
        bands = fbank(narrow[None], num_mel_bins=80, dither=0, sample_frequency=NARROW_RATE)
        return Spectra(wide, bands, self._features(narrow), own)

    def close(self) -> None:
        pass

    def _features(self, wave: torch.Tensor) -> Features:
        made = self._extractor(wave[None], sampling_rate=NARROW_RATE, return_tensors="pt")
        return Features(made["input_features"][0], made["attention_mask"][0])


class AnalystProcess:
    """In a process beside this one, a reference at a time. One at which the process ends or hangs is tried once more in
    another process."""

    def __init__(self, extractor: Any) -> None:
        kind = type(extractor)
        opening = (kind.__module__, kind.__qualname__, extractor.to_dict())
        self._aide = Aide(__name__, opening, start_s=_START_S, environment=ON_ONE_CORE)
        self._aide.start()
        self._lock = threading.Lock()

    def spectra(self, path: str, heard: Heard) -> Spectra:
        with self._lock:
            for _ in range(_TRIES):
                try:
                    answer: Spectra | str = self._aide.ask((path, heard), DEADLINE_S)
                except (Late, Ended) as error:
                    log.warning("the process that analyses references is started again: %s", error)
                    continue
                if isinstance(answer, str):
                    raise BadInput(answer)
                return answer
        raise Unavailable("the reference audio could not be analysed in time, twice; upload it again as WAV or FLAC")

    def close(self) -> None:
        with self._lock:
            self._aide.close()


def begin(opening: tuple[str, str, Mapping[str, Any]]) -> Callable[[tuple[str, Heard]], Spectra | str]:
    """Of the process: the feature extractor, made again of its settings."""
    module, name, settings = opening
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the imports'
        here = AnalystHere(getattr(importlib.import_module(module), name).from_dict(settings))

    def answer(asked: tuple[str, Heard]) -> Spectra | str:
        try:
            return here.spectra(*asked)
        except BadInput as error:
            return error.message

    return answer


def padded(made: Sequence[Features]) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, P', 160) and (B, P') of features of different lengths."""
    pad = torch.nn.utils.rnn.pad_sequence
    return pad([one.rows for one in made], batch_first=True), pad([one.mask for one in made], batch_first=True)
