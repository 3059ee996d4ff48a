"""What to listen to: the segments of a job that failed or have warnings, where they stand in its audio, and the command
that says such a sentence again."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from typing import Any

from farm.cli.screen import OK, connected, line, show
from farm.client import Farm
from farm.settings import Settings
from farm.speech import Parameter

_UPLOADED = re.compile("[0-9a-f]{64}")  # a manifest has the digest of a voice that was uploaded, and not its name


def review(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        manifest = farm.manifest(given.id)
        rows: list[dict[str, Any]] = manifest["segments"]
        found = [row for row in rows if row.get("warnings") or "error" in row]
        again = _command(farm, given.id, manifest) if found and not given.json else ()
    show(given, found, lambda: line("\n".join(_said(found, len(rows), again))))
    return OK


def _said(found: list[dict[str, Any]], total: int, again: tuple[str, ...]) -> Iterator[str]:
    for row in found:
        yield f"segment {row['index']}, {_place(row)}: {_text(row)}"
        yield from (f"    {warning}" for warning in row.get("warnings", [f"failed: {row.get('error')}"]))
        voice = () if _UPLOADED.fullmatch(row["voice"]) else ("--voice", row["voice"])
        command = shlex.join((*again, *voice, "-o", f"segment-{row['index']}.wav"))
        yield f"    again: printf %s {shlex.quote(_text(row))} | {command}"
    needed = sum(bool(row.get("needs_review")) or "error" in row for row in found)
    yield f"{len(found)} of {total} segments to listen to, {needed} of them need a review"


def _command(farm: Farm, id: str, manifest: dict[str, Any]) -> tuple[str, ...]:
    """What all such commands begin with. Where the model draws random numbers they get another seed than the job's,
    because the same one is the same clip."""
    job = farm.job(id)
    command: tuple[str, ...] = (
        "farm",
        "narrate",
        "-",
        "--model",
        manifest["model"],
        "--language",
        manifest["language"],
    )
    if any(model.name == job.model and Parameter.SEED in model.parameters for model in farm.models()):
        command += ("--seed", str(job.seed + 1))
    voices = {row["voice"] for row in manifest["segments"]}
    if job.voice and any(_UPLOADED.fullmatch(voice) for voice in voices):
        command += ("--voice", job.voice)
    return command


def _text(row: dict[str, Any]) -> str:
    return " ".join(row["text"].split())


def _place(row: dict[str, Any]) -> str:
    """Where a player finds it, to the tenth of a second."""
    if "offset_ms" not in row:
        return "not in the audio"
    minutes, tenths = divmod(row["offset_ms"] // 100, 600)
    return f"{minutes // 60}:{minutes % 60:02}:{tenths // 10:02}.{tenths % 10}"
