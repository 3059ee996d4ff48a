"""What needs FFmpeg, the package av, which is not always installed: m4b, and the chapters of mp3 and opus. The API asks
when a job is accepted, and the desk when it is planned and made: each needs the extra `audiobook`."""

from __future__ import annotations

from importlib.util import find_spec

from farm.audio_formats import AUDIO_FORMATS, BOOK_FORMATS, AudioFormat
from farm.errors import BadInput


def holds_chapters(format: AudioFormat) -> bool:
    """Whether files of this format are made here with chapters. Without FFmpeg libsndfile makes an mp3 or opus."""
    return format in BOOK_FORMATS and _has_ffmpeg()


def missing_encoder(format: AudioFormat) -> BadInput | None:
    """What is wrong with asking for a format here."""
    if AUDIO_FORMATS[format].container or _has_ffmpeg():
        return None
    others = ", ".join(name for name, encoding in AUDIO_FORMATS.items() if encoding.container)
    return BadInput(
        f"output.format: this farm has no encoder for {format}; its operator can install tts-farm[audiobook] for the "
        f"API and the desk. Ask for one of {others}",
        code="encoder_missing",
        pointer="/output/format",
    )


def _has_ffmpeg() -> bool:
    return find_spec("av") is not None
