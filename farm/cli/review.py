"""What to listen to: the segments of a job that failed or have warnings, where they stand in its audio, and the
commands that say such a sentence again or otherwise."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from typing import Any

from farm.cli.screen import OK, connected, line, show
from farm.client import Farm
from farm.settings import Settings
from farm.speech import Parameter


def review(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        manifest = farm.manifest(given.id)
        rows: list[dict[str, Any]] = manifest["segments"]
        found = [row for row in rows if row.get("warnings") or "error" in row]
        again = bool(found) and not given.json and _draws(farm, manifest["model"])
    show(given, found, lambda: line("\n".join(_said(given.id, found, len(rows), again=again))))
    return OK


def _said(id: str, found: list[dict[str, Any]], total: int, *, again: bool) -> Iterator[str]:
    """`again`: another seed is another take."""
    for row in found:
        yield f"segment {row['index']}, {_place(row)}: {_text(row)}"
        yield from (f"    {warning}" for warning in row.get("warnings", [f"failed: {row.get('error')}"]))
        if again:
            yield f"    again: farm retry {id} --segment {row['index']}"
        yield f"    change: farm edit {id} --segment {row['index']} --text {shlex.quote(_text(row))}"
    needed = sum(bool(row.get("needs_review")) or "error" in row for row in found)
    yield f"{len(found)} of {total} segments to listen to, {needed} of them need a review"


def _draws(farm: Farm, model: str) -> bool:
    """Whether the model draws random numbers, so that another seed is another take."""
    return any(each.name == model and Parameter.SEED in each.parameters for each in farm.models())


def _text(row: dict[str, Any]) -> str:
    return " ".join(row["text"].split())


def _place(row: dict[str, Any]) -> str:
    """Where a player finds it, to the tenth of a second."""
    if "offset_ms" not in row:
        return "not in the audio"
    minutes, tenths = divmod(row["offset_ms"] // 100, 600)
    return f"{minutes // 60}:{minutes % 60:02}:{tenths // 10:02}.{tenths % 10}"
