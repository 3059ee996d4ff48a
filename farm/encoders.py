"""Which formats need an encoder that is not always installed. The API asks when a job is accepted, and the desk when it
is planned: each needs the extra `audiobook` for m4b."""

from __future__ import annotations

from importlib.util import find_spec

from farm.audio_formats import AUDIO_FORMATS, AudioFormat
from farm.errors import BadInput


def missing_encoder(format: AudioFormat) -> BadInput | None:
    """What is wrong with asking for a format here."""
    if AUDIO_FORMATS[format].container or find_spec("av") is not None:
        return None
    others = ", ".join(name for name, encoding in AUDIO_FORMATS.items() if encoding.container)
    return BadInput(
        f"output.format: this farm has no encoder for {format}; its operator can install tts-farm[audiobook] for the "
        f"API and the desk. Ask for one of {others}",
        code="encoder_missing",
        pointer="/output/format",
    )
