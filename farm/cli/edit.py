"""Changes a job that has ended: some of its sentences, all of its text, or how it is spoken."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from farm.cli.fields import shaped
from farm.cli.manuscript import read
from farm.cli.orders import tell
from farm.cli.screen import OK, connected, line, show
from farm.errors import BadInput
from farm.settings import Settings
from farm.wire import EditPreview, JobEdit

_FIELDS = ("voice", "language", "speed", "markup")  # as they are called in the request


def edit(given: argparse.Namespace) -> int:
    change = shaped(JobEdit, _change(given))
    with connected(Settings.read()) as farm:
        if not given.dry_run:
            return tell(given, farm.edit(given.id, change, revision=given.revision))
        shown = farm.preview_edit(given.id, change, revision=given.revision)
        show(given, shown, lambda: line("\n".join(_cost(shown))))
        return OK


def _cost(shown: EditPreview) -> Iterator[str]:
    yield from (f"{row.index:>5}  {row.voice}: {' '.join((row.spoken or row.text).split())}" for row in shown.changed)
    seconds = ((shown.audio_seconds, "of audio"), (shown.render_seconds, "of work"))
    about = " and ".join(f"{value:g} s {of}" for value, of in seconds if value is not None and shown.rendered)
    yield f"{shown.rendered} of {shown.segments} segments would be rendered{about and f', about {about}'}"


def _change(given: argparse.Namespace) -> dict[str, Any]:
    change = {name: value for name in _FIELDS if (value := getattr(given, name)) is not None}
    if given.segment or given.text or given.speaker:
        change["segments"] = _sentences(given)
    if given.file is not None:
        change["input"] = read(given.file, given.encoding)
    if given.lexicon is not None:
        change["lexicons"] = [name for name in given.lexicon if name]
    if given.cast:
        change["voices"] = dict(given.cast)
    if given.format is not None:
        change["output"] = {"format": given.format}
    if not change:
        raise BadInput("there is nothing to change; give --segment and --text, a file, or how it is to be spoken")
    return change


def _sentences(given: argparse.Namespace) -> list[dict[str, Any]]:
    count = len(given.segment)
    if {len(given.text), len(given.speaker)} not in ({count}, {0, count}) or not count:
        raise BadInput(
            "give a --text for each --segment, or a --speaker for each, or both, in the same order; an empty text "
            "leaves the sentence out"
        )
    sentences: list[dict[str, Any]] = [{"index": index} for index in given.segment]
    for sentence, text in zip(sentences, given.text, strict=False):
        sentence["text"] = text
    for sentence, voice in zip(sentences, given.speaker, strict=False):
        sentence["voice"] = voice or None
    return sentences
