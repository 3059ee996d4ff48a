"""Subtitles of a recording, one cue per segment: WebVTT and SubRip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from farm.audio_formats import SubtitleFormat


@dataclass(frozen=True, slots=True)
class Cue:
    start_ms: int
    end_ms: int
    text: str


def subtitles(cues: Iterable[Cue], kind: SubtitleFormat) -> str:
    """The whole file. Text is one line per cue: a blank line would end the cue."""
    blocks = []
    for number, cue in enumerate(cues, 1):
        text = " ".join(cue.text.split())
        if kind == "vtt":
            times = f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}"
            blocks.append(f"{times}\n{escape(text, quote=False)}\n")
        else:
            # SubRip has no escapes, and its readers take an arrow for the times of a cue.
            times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
            blocks.append(f"{number}\n{times}\n{text.replace('-->', '->')}\n")
    return "\n".join(["WEBVTT\n", *blocks] if kind == "vtt" else blocks)


def _clock(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"
