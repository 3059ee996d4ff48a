"""The formats of a result: the audio that a job can ask for, its subtitles, and how their files are named and served.

The client imports this module, so the encoders appear by name only: `container` and `subtype` are libsndfile's, and
empty for m4b, which FFmpeg alone writes (the package av).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

AudioFormat = Literal["wav", "flac", "mp3", "opus", "m4b"]
SubtitleFormat = Literal["vtt", "srt", "lrc", "json"]
AlsoFormat = Literal["epub"]


@dataclass(frozen=True, slots=True)
class Encoding:
    suffix: str  # of the file in storage
    media_type: str
    container: str
    subtype: str
    sample_rates: tuple[int, ...] = ()  # Hz, in ascending order; empty where every rate is allowed


_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

AUDIO_FORMATS: Mapping[AudioFormat, Encoding] = MappingProxyType(
    {
        "mp3": Encoding(".mp3", "audio/mpeg", "MP3", "MPEG_LAYER_III", _MPEG_RATES),
        "wav": Encoding(".wav", "audio/wav", "WAV", "PCM_16"),
        "flac": Encoding(".flac", "audio/flac", "FLAC", "PCM_16"),
        "opus": Encoding(".ogg", "audio/ogg", "OGG", "OPUS", (8000, 12000, 16000, 24000, 48000)),
        "m4b": Encoding(".m4b", "audio/mp4", "", "", _MPEG_RATES),
    }
)
BOOK_FORMATS: frozenset[AudioFormat] = frozenset({"m4b", "mp3", "opus"})  # hold chapters, tags, a cover: by FFmpeg
SUBTITLE_FORMATS: Mapping[SubtitleFormat, str] = MappingProxyType(  # with their media types
    {"vtt": "text/vtt", "srt": "application/x-subrip", "lrc": "text/plain", "json": "application/json"}
)
ALSO_FORMATS: Mapping[AlsoFormat, str] = MappingProxyType({"epub": "application/epub+zip"})  # the same; of output.also

# A user may name a file by its format, or by the suffix that storage has.
FORMAT_OF_SUFFIX: Mapping[str, AudioFormat] = MappingProxyType(
    {suffix: name for name, encoding in AUDIO_FORMATS.items() for suffix in (f".{name}", encoding.suffix)}
)
MEDIA_TYPE_OF_SUFFIX: Mapping[str, str] = MappingProxyType(
    {encoding.suffix: encoding.media_type for encoding in AUDIO_FORMATS.values()}
    | {f".{name}": media_type for name, media_type in (*SUBTITLE_FORMATS.items(), *ALSO_FORMATS.items())}
)


def encodable_rate(format: AudioFormat, sample_rate: int) -> int:
    """`sample_rate`, or the next higher one that the format allows."""
    rates = AUDIO_FORMATS[format].sample_rates
    if not rates:
        return sample_rate
    return next((rate for rate in rates if rate >= sample_rate), rates[-1])
