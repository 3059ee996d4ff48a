"""Uploaded reference audio: checked, mixed down to mono, and brought to one canonical form.

At most 61 seconds of a file are decoded, block by block, and only their mono mix at 24 kHz is kept. A recording is
judged by what a model hears of it: its first 15 seconds, from where the sound begins. A refusal names the fault of the
audio and what to send instead.
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

from api.true_length import Counted, SeveralRecordings, counted
from farm.errors import BadInput, TooLarge
from farm.wire import MAX_VOICE_BYTES

SHORTEST_S, LONGEST_S = 1, 60
HEARD_S = 15  # IndexTTS listens to no more
SAMPLE_RATE = 24_000  # at most: no model that clones a voice listens above this

_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "FLAC", "MP3", "OGG"})
_RATES = range(8_000, 192_001)
_CHANNELS = range(1, 9)
_BLOCK = 1 << 16  # frames
_MISSING_S = 0.5  # by which decoders shorten a file: the delay of the encoder, and a frame or page that is cut off

_SILENT = 0.001  # -60 dBFS
_WINDOW_S = 0.05  # whose loudness is compared
_QUIET = 0.01  # of the loudest window: -40 dB, below which speech has only pauses
_LEAD_S = 1.0  # of quiet before the sound that a recording may have
_KEPT_S = 0.25  # of it, for a soft onset
_SOUND_S = 0.5  # that a model must hear
_CANCELED = 0.3  # of the loudness that a mix of independent channels has

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
        raise too_large(filename)
    try:
        sound = _mono(counted(data), filename)
    except SeveralRecordings:
        raise refusal(f"{filename} holds several recordings, one after another; send a single one") from None
    except sf.LibsndfileError:
        raise refusal(f"{filename} can't be decoded as WAV, FLAC, MP3 or Ogg; export it again") from None
    _check_sound(sound, filename)
    return _canonical(_from_its_onset(sound, filename))


@dataclass(frozen=True, slots=True)
class _Sound:
    samples: _Samples  # mono, at most SAMPLE_RATE
    sample_rate: int
    seconds: float
    notes: tuple[str, ...] = ()


def _mono(file: Counted, filename: str) -> _Sound:
    """The mix of all channels, or the loudest one where they cancel each other: one of a pair is often inverted."""
    decoded = _decode(file, filename)
    if decoded.mixed_well:
        return decoded.sound("{channels} channels were mixed down to one")
    loudest = int(np.argmax(decoded.powers))
    alone = _decode(file, filename, channel=loudest)
    return alone.sound(f"channel {loudest + 1} of {{channels}} was taken, because together they cancel each other")


@dataclass(frozen=True, slots=True)
class _Decoded:
    samples: _Samples
    frames: int
    file_rate: int
    powers: npt.NDArray[np.float64]  # of each channel, summed over its samples
    power: float  # of their mix

    @property
    def mixed_well(self) -> bool:
        channels = len(self.powers)
        return bool(self.power >= _CANCELED**2 * self.powers.sum() / channels**2)

    def sound(self, mixed: str) -> _Sound:
        notes = [mixed.format(channels=len(self.powers))] if len(self.powers) > 1 else []
        if self.file_rate > SAMPLE_RATE:
            notes.append(f"resampled from {self.file_rate} to {SAMPLE_RATE} Hz")
        return _Sound(self.samples, min(self.file_rate, SAMPLE_RATE), self.frames / self.file_rate, tuple(notes))


def _decode(counted: Counted, filename: str, channel: int | None = None) -> _Decoded:
    """At most LONGEST_S + 1 seconds, of one channel or of the mix of all."""
    with sf.SoundFile(io.BytesIO(counted.data)) as file:
        _check_header(file, filename)
        rate, frames, power = file.samplerate, 0, 0.0
        powers = np.zeros(file.channels)
        resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32") if rate > SAMPLE_RATE else None
        pieces: list[_Samples] = []
        for block in _blocks(file, (LONGEST_S + 1) * rate, filename):
            mono = block.mean(axis=1, dtype=np.float32) if channel is None else block[:, channel].copy()
            frames += len(block)
            powers += np.square(block, dtype=np.float64).sum(axis=0)
            power += float(np.square(mono, dtype=np.float64).sum())
            pieces.append(resampler.resample_chunk(mono) if resampler is not None else mono)
        if resampler is not None:
            pieces.append(resampler.resample_chunk(np.empty(0, np.float32), last=True))
    stated = min(counted.seconds or 0, LONGEST_S)
    if frames / rate < stated - _MISSING_S:
        raise refusal(
            f"only {frames / rate:.1f} of the {stated:.1f} s of {filename} can be decoded; export it again as WAV"
        )
    return _Decoded(np.concatenate(pieces) if pieces else np.empty(0, np.float32), frames, rate, powers, power)


def _check_header(file: sf.SoundFile, filename: str) -> None:
    if file.format not in _FORMATS:
        raise refusal(f"{filename} is {file.format}; send WAV, FLAC, MP3 or Ogg")
    if file.channels not in _CHANNELS:
        raise refusal(f"{filename} has {file.channels} channels; send one or two")
    if file.samplerate not in _RATES:
        raise refusal(f"{filename} has a sample rate of {file.samplerate} Hz; send 16,000 to 48,000 Hz")


def _blocks(file: sf.SoundFile, frames: int, filename: str) -> Iterator[_Samples]:
    while frames > 0:
        block = file.read(min(frames, _BLOCK), dtype="float32", always_2d=True)
        if not len(block):
            return
        if not np.isfinite(block).all():
            raise refusal(f"{filename} contains samples that are not numbers; export it again")
        frames -= len(block)
        yield block


def _check_sound(sound: _Sound, filename: str) -> None:
    if not len(sound.samples):
        raise refusal(f"{filename} has no audio, or is cut off; export it again")
    if sound.seconds < SHORTEST_S:
        raise refusal(f"{filename} has {sound.seconds:.1f} s of audio; send at least {SHORTEST_S} s, better 5 to 15 s")
    if sound.seconds > LONGEST_S:
        raise refusal(f"{filename} is longer than {LONGEST_S} s; cut it to its best 5 to 15 s")
    if np.max(np.abs(sound.samples - sound.samples.mean())) < _SILENT:
        raise refusal(f"{filename} is silent (below -60 dBFS); send a recording of speech")


def _from_its_onset(sound: _Sound, filename: str) -> _Sound:
    """Without a long silence at its begin. Refuses what has hardly any sound in the seconds that a model hears."""
    samples, notes = sound.samples, sound.notes
    loud = _loud_windows(sound)
    lead_s = int(np.argmax(loud)) * _WINDOW_S
    if lead_s > _LEAD_S:
        cut_s = min(lead_s - _KEPT_S, sound.seconds - SHORTEST_S)
        samples = samples[round(cut_s * sound.sample_rate) :]
        loud = loud[round(cut_s / _WINDOW_S) :]
        notes = (f"the first {cut_s:.1f} s are silence and were left out", *notes)
    heard_s = float(loud[: round(HEARD_S / _WINDOW_S)].sum()) * _WINDOW_S
    if heard_s < _SOUND_S:
        raise refusal(
            f"{filename} has {heard_s:.1f} s of sound in the {HEARD_S} s that IndexTTS hears; begin with the speech"
        )
    if len(samples) > HEARD_S * sound.sample_rate:
        notes = (f"IndexTTS listens to the first {HEARD_S} s only; begin with the best of it", *notes)
    return _Sound(samples, sound.sample_rate, len(samples) / sound.sample_rate, notes)


def _loud_windows(sound: _Sound) -> npt.NDArray[np.bool_]:
    size = round(_WINDOW_S * sound.sample_rate)
    level = sound.samples - sound.samples.mean()
    windows = np.pad(level, (0, -len(level) % size)).reshape(-1, size)
    levels = np.sqrt(np.square(windows).mean(axis=1))
    return np.asarray(levels > _QUIET * levels.max())


def _canonical(sound: _Sound) -> Reference:
    samples, notes = sound.samples, list(sound.notes)
    peak = float(np.max(np.abs(samples)))
    if peak > 1:
        samples = samples / np.float32(peak)
        notes.append("turned down, because it went beyond full scale")
    pcm = np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2")
    buffer = io.BytesIO()
    sf.write(buffer, pcm, sound.sample_rate, format="FLAC", subtype="PCM_16")
    return Reference(
        flac=buffer.getvalue(),
        digest=hashlib.sha256(b"%d\n" % sound.sample_rate + pcm.tobytes()).hexdigest(),
        seconds=len(pcm) / sound.sample_rate,
        sample_rate=sound.sample_rate,
        notes=tuple(notes),
    )


def refusal(message: str) -> BadInput:
    return BadInput(message, code="bad_audio", pointer="/audio")


def too_large(filename: str) -> TooLarge:
    return TooLarge(f"{filename} has more than {MAX_VOICE_BYTES:,} bytes; send 5 to 15 s of speech", pointer="/audio")
