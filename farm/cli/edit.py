"""Changes a job that has ended: some of its sentences, all of its text, or how it is spoken."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from farm.cli.orders import tell
from farm.cli.screen import connected
from farm.errors import BadInput
from farm.settings import Settings
from farm.wire import JobEdit

_FIELDS = ("voice", "language", "speed", "markup")  # as they are called in the request


def edit(given: argparse.Namespace) -> int:
    change = JobEdit.model_validate(_change(given))
    with connected(Settings.read()) as farm:
        return tell(given, farm.edit(given.id, change, revision=given.revision))


def _change(given: argparse.Namespace) -> dict[str, Any]:
    if len(given.segment) != len(given.text):
        raise BadInput("give a --text for each --segment, in the same order; an empty one leaves the sentence out")
    change = {name: value for name in _FIELDS if (value := getattr(given, name)) is not None}
    if given.segment:
        pairs = zip(given.segment, given.text, strict=True)
        change["segments"] = [{"index": index, "text": text} for index, text in pairs]
    if given.file is not None:
        change["input"] = sys.stdin.read() if given.file == "-" else Path(given.file).read_text("utf-8")
    if given.lexicon is not None:
        change["lexicons"] = [name for name in given.lexicon if name]
    if given.cast:
        change["voices"] = dict(given.cast)
    if given.format is not None:
        change["output"] = {"format": given.format}
    if not change:
        raise BadInput("there is nothing to change; give --segment and --text, a file, or how it is to be spoken")
    return change
