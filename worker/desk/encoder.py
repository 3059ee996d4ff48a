"""The audio file for the listener of a job: WAV, FLAC, MP3 or Opus, written block by block.

A WAV file that passes 4 GB (12 hours at 48 kHz) becomes RF64, which is WAV with wider sizes. Equal samples give equal
bytes in WAV, FLAC and MP3, but not in Ogg Opus: libsndfile draws a random stream number for each file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import soundfile as sf

from farm.audio_formats import AUDIO_FORMATS, AudioFormat
from farm.sound.flac import Pcm, Samples, to_pcm

_WAV_FRAMES = (2**32 - 4096) // 2  # 16 bit mono, with room for the header
_COPY_FRAMES = 1 << 20


class Encoder:
    def __init__(
        self, path: Path, format: AudioFormat, sample_rate: int, mp3_kbps: int | None = None, *,
        wav_frames: int = _WAV_FRAMES,
    ) -> None:  # fmt: skip
        """`mp3_kbps`: a constant bit rate in kbit/s, at 32,000 Hz or more; libsndfile's own choice without it."""
        self.frames = 0
        self._path = path
        encoding = AUDIO_FORMATS[format]
        self._container, self._subtype = encoding.container, encoding.subtype
        self._rate = sample_rate
        self._constant = {} if mp3_kbps is None else _constant(mp3_kbps)
        self._wav_frames = wav_frames
        self._file = self._open(path, self._container)

    def write(self, samples: Samples) -> None:
        # libsndfile rounds floats down for WAV and to the nearest for FLAC; rounded here, both get the same samples.
        self.append(to_pcm(samples) if self._subtype == "PCM_16" else samples)

    def append(self, samples: Samples | Pcm) -> None:
        """Samples as the file has them."""
        if self._container == "WAV" and self.frames + len(samples) > self._wav_frames:
            self._widen()
        self._file.write(samples)
        self.frames += len(samples)

    def close(self) -> None:
        self._file.close()

    def _open(self, path: Path, container: str) -> sf.SoundFile:
        return sf.SoundFile(path, "w", self._rate, 1, subtype=self._subtype, format=container, **self._constant)

    def _widen(self) -> None:
        """Copies the file into an RF64 file: 4 GB, once. No file starts as RF64, because few players read it."""
        self._file.close()
        self._container = "RF64"
        wide = self._path.with_name(self._path.name + ".rf64")
        self._file = self._open(wide, self._container)
        with sf.SoundFile(self._path) as narrow:
            for block in narrow.blocks(_COPY_FRAMES, dtype="int16"):
                self._file.write(block)
        wide.replace(self._path)


def _constant(kbps: int) -> dict[str, Any]:
    """libsndfile knows a bit rate of MPEG-1 as a place between 320 kbit/s, which is 0, and 32, which is 1."""
    return {"bitrate_mode": "CONSTANT", "compression_level": (320 - kbps) / (320 - 32)}
