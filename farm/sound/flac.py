"""The audio of one segment as it lies in storage: FLAC, mono, 16 bit, with what the engine said of it.

Encoding uses no dither and no clock, so equal samples give equal bytes. Decoding checks the samples against the
checksum in the file, so a truncated or damaged clip is rendered again and not narrated. The warnings stand in the
file's comment, one a line, and the number of characters that were spoken in its title ("213 characters"), so a clip
from the cache keeps what its rendering said. A clip of an earlier version has no title.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile as sf

from farm.errors import ClipCorrupt

Pcm = npt.NDArray[np.int16]
Samples = npt.NDArray[np.float32]

_FULL_SCALE = 32768
_SPOKEN = re.compile(r"(\d+) characters")

HEADER = 8192  # bytes of a clip in which its length and its warnings stand

# Bytes of STREAMINFO, the first block of every FLAC file (RFC 9639, 8.2): 20 bits sample rate, 3 channels, 5 sample
# size and 36 frames; then the MD5 of the little-endian samples.
_FORMAT, _MD5 = slice(18, 26), slice(26, 42)
STREAMINFO_END, _VORBIS_COMMENT = _MD5.stop, 4  # the blocks that follow, and the kind of one


@dataclass(frozen=True, slots=True)
class Decoded:
    pcm: Pcm
    warnings: tuple[str, ...]
    spoken_characters: int | None = None  # as worker.engine.Clip has it; None where the clip does not say


def encode(
    samples: Samples, sample_rate: int, warnings: Iterable[str] = (), spoken_characters: int | None = None
) -> bytes:
    """The FLAC file of float32 samples within [-1, 1]; samples outside are clipped."""
    buffer = io.BytesIO()
    with sf.SoundFile(buffer, "w", sample_rate, 1, format="FLAC", subtype="PCM_16") as file:
        if comment := "\n".join(" ".join(warning.split()) for warning in warnings):
            file.comment = comment
        if spoken_characters is not None:
            file.title = f"{spoken_characters} characters"
        file.write(to_pcm(samples))
    return buffer.getvalue()


def decode(data: bytes, sample_rate: int) -> Decoded:
    """Raises ClipCorrupt unless `data` is whole and at `sample_rate`."""
    try:
        with sf.SoundFile(io.BytesIO(data)) as file:
            if (file.format, file.subtype, file.channels) != ("FLAC", "PCM_16", 1):
                raise ClipCorrupt(
                    f"is {file.format} {file.subtype} with {file.channels} channels, not 16 bit mono FLAC"
                )
            if file.samplerate != sample_rate:
                raise ClipCorrupt(f"has {file.samplerate} Hz, not {sample_rate}")
            pcm: Pcm = file.read(dtype="int16")
            comment: str = file.comment
            spoken = _SPOKEN.fullmatch(file.title)
    except sf.LibsndfileError as error:
        raise ClipCorrupt(f"can't be decoded: {error.error_string}") from None
    if hashlib.md5(pcm.astype("<i2", copy=False).tobytes(), usedforsecurity=False).digest() != data[_MD5]:
        raise ClipCorrupt("decodes to samples that do not have its own checksum")
    return Decoded(pcm, tuple(comment.splitlines()), int(spoken[1]) if spoken else None)


def duration_ms(start: bytes) -> int:
    """The length of a clip by its first STREAMINFO_END bytes. Raises ClipCorrupt when these do not begin a clip."""
    sample_rate, frames = _rate_and_frames(start)
    return round(frames * 1000 / sample_rate)


def frames_of(start: bytes) -> int:
    """The samples of a clip by its first STREAMINFO_END bytes. Raises ClipCorrupt when these do not begin a clip."""
    return _rate_and_frames(start)[1]


def _rate_and_frames(start: bytes) -> tuple[int, int]:
    fields = int.from_bytes(start[_FORMAT])
    sample_rate, frames = fields >> 44, fields & (1 << 36) - 1
    if len(start) < STREAMINFO_END or not start.startswith(b"fLaC") or not sample_rate or not frames:
        raise ClipCorrupt("does not begin as a FLAC file of known length")
    return sample_rate, frames


def warnings_of(start: bytes) -> tuple[str, ...]:
    """Those of a clip by its first HEADER bytes; of warnings that are longer, as many as stand there. The comment is a
    Vorbis comment (RFC 9639, 8.6)."""
    place, last = STREAMINFO_END, False
    while not last and len(start) >= place + 4:
        last, kind, length = bool(start[place] & 128), start[place] & 127, int.from_bytes(start[place + 1 : place + 4])
        if kind == _VORBIS_COMMENT:
            return _comment(start[place + 4 : place + 4 + length])
        place += 4 + length
    return ()


def _comment(block: bytes) -> tuple[str, ...]:
    def word(at: int) -> int:
        return int.from_bytes(block[at : at + 4], "little")

    place = 4 + word(0)  # after the name of the encoder
    count, place = word(place), place + 4
    for _ in range(min(count, len(block) // 4)):
        name, _, value = block[place + 4 : place + 4 + word(place)].decode(errors="replace").partition("=")
        if name.casefold() == "comment":
            return tuple(value.splitlines())
        place += 4 + word(place)
    return ()


def to_pcm(samples: Samples) -> Pcm:
    """Rounded half to even; the exact inverse of from_pcm."""
    scaled = np.rint(samples * np.float32(_FULL_SCALE))
    pcm: Pcm = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
    return pcm


def from_pcm(pcm: Pcm) -> Samples:
    return pcm.astype(np.float32) / np.float32(_FULL_SCALE)
