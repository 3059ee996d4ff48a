"""Uploaded reference audio: checked, mixed down to mono, and brought to one canonical form.

At most 61 seconds of a file are decoded, block by block, into at most 47 MB; its header is not trusted. A refusal names
the fault of the audio and what to send instead.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

from farm.errors import BadInput, TooLarge
from farm.wire import MAX_VOICE_BYTES

SHORTEST_S, LONGEST_S = 1, 60
HEARD_S = 15  # IndexTTS listens to no more
SAMPLE_RATE = 24_000  # at most: no model that clones a voice listens above this

_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "FLAC", "MP3", "OGG"})
_RATES = range(8_000, 192_001)
_CHANNELS = range(1, 9)
_SILENT = 0.001  # -60 dBFS
_BLOCK = 1 << 16  # frames

_Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reference:
    flac: bytes  # mono, 16 bit, at most 24 kHz
    digest: str  # SHA-256 of the rate and the samples: the same recording in another container is the same voice
    seconds: float
    sample_rate: int
    notes: tuple[str, ...]  # what was changed, for the uploader


def ingest(data: bytes, filename: str) -> Reference:
    """Raises BadInput, or TooLarge, at the pointer /audio."""
    if len(data) > MAX_VOICE_BYTES:
        raise TooLarge(
            f"{filename} has more than {MAX_VOICE_BYTES:,} bytes; send 5 to 15 s of speech", pointer="/audio"
        )
    try:
        with sf.SoundFile(io.BytesIO(data)) as file:
            _check_header(file, filename)
            samples = _read(file, filename)
            sample_rate, channels = file.samplerate, file.channels
    except sf.LibsndfileError:
        raise _refusal(f"{filename} can't be decoded as WAV, FLAC, MP3 or Ogg; export it again") from None
    _check_sound(samples, sample_rate, filename)
    return _canonical(samples, sample_rate, channels)


def _check_header(file: sf.SoundFile, filename: str) -> None:
    if file.format not in _FORMATS:
        raise _refusal(f"{filename} is {file.format}; send WAV, FLAC, MP3 or Ogg")
    if file.channels not in _CHANNELS:
        raise _refusal(f"{filename} has {file.channels} channels; send one or two")
    if file.samplerate not in _RATES:
        raise _refusal(f"{filename} has a sample rate of {file.samplerate} Hz; send 16,000 to 48,000 Hz")


def _read(file: sf.SoundFile, filename: str) -> _Samples:
    """Mono, at most LONGEST_S + 1 seconds."""
    blocks = list(_blocks(file, (LONGEST_S + 1) * file.samplerate, filename))
    return np.concatenate(blocks) if blocks else np.empty(0, np.float32)


def _blocks(file: sf.SoundFile, frames: int, filename: str) -> Iterator[_Samples]:
    while frames > 0:
        block = file.read(min(frames, _BLOCK), dtype="float32", always_2d=True)
        if not len(block):
            return
        if not np.isfinite(block).all():
            raise _refusal(f"{filename} contains samples that are not numbers; export it again")
        frames -= len(block)
        yield block.mean(axis=1, dtype=np.float32)


def _check_sound(samples: _Samples, sample_rate: int, filename: str) -> None:
    if not len(samples):
        raise _refusal(f"{filename} has no audio, or is cut off; export it again")
    seconds = len(samples) / sample_rate
    if seconds < SHORTEST_S:
        raise _refusal(f"{filename} has {seconds:.1f} s of audio; send at least {SHORTEST_S} s, better 5 to 15 s")
    if seconds > LONGEST_S:
        raise _refusal(f"{filename} is longer than {LONGEST_S} s; cut it to its best 5 to 15 s")
    if np.max(np.abs(samples - samples.mean())) < _SILENT:
        raise _refusal(f"{filename} is silent (below -60 dBFS); send a recording of speech")


def _canonical(samples: _Samples, sample_rate: int, channels: int) -> Reference:
    notes = []
    if len(samples) > HEARD_S * sample_rate:
        notes.append(f"IndexTTS listens to the first {HEARD_S} s only; begin with the best of it")
    if channels > 1:
        notes.append(f"{channels} channels were mixed down to one")
    if sample_rate > SAMPLE_RATE:
        samples = soxr.resample(samples, sample_rate, SAMPLE_RATE)
        notes.append(f"resampled from {sample_rate} to {SAMPLE_RATE} Hz")
        sample_rate = SAMPLE_RATE
    peak = float(np.max(np.abs(samples)))
    if peak > 1:
        samples = samples / np.float32(peak)
        notes.append("turned down, because it went beyond full scale")
    pcm = np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2")
    buffer = io.BytesIO()
    sf.write(buffer, pcm, sample_rate, format="FLAC", subtype="PCM_16")
    return Reference(
        flac=buffer.getvalue(),
        digest=hashlib.sha256(b"%d\n" % sample_rate + pcm.tobytes()).hexdigest(),
        seconds=len(pcm) / sample_rate,
        sample_rate=sample_rate,
        notes=tuple(notes),
    )


def _refusal(message: str) -> BadInput:
    return BadInput(message, code="bad_audio", pointer="/audio")
