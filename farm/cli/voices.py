"""The voices of a farm: its models' own, and those that were uploaded."""

from __future__ import annotations

import argparse
from pathlib import Path

from farm.cli.screen import OK, connected, line, show, table
from farm.errors import BadInput
from farm.settings import Settings


def list_all(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        found = farm.voices()
    rows = ((voice.name, voice.kind, voice.language, " ".join(voice.models), voice.seconds) for voice in found)
    show(given, found, lambda: table(("voice", "kind", "language", "models", "seconds"), rows))
    return OK


def add(given: argparse.Namespace) -> int:
    audio = Path(given.audio)
    if audio.is_dir() or not audio.exists():
        raise BadInput(f"{audio}: there is no such file; give 1 to 60 seconds of speech, as WAV, FLAC, MP3 or Opus")
    with connected(Settings.read()) as farm:
        voice = farm.add_voice(given.name, audio, consent=given.consent)
    says = "; ".join([f"{voice.name}: {voice.seconds or 0:.1f} s of speech", *voice.notes])
    show(given, voice, lambda: line(says))
    return OK


def remove(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        farm.remove_voice(given.name)
    show(given, {"removed": given.name}, lambda: line(f"{given.name} is removed"))
    return OK
