"""What to listen to: the segments of a job that failed or have warnings, and where they stand in its audio."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from farm.cli.screen import OK, connected, line, show
from farm.settings import Settings


def review(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        rows: list[dict[str, Any]] = farm.manifest(given.id)["segments"]
    found = [row for row in rows if row.get("warnings") or "error" in row]
    show(given, found, lambda: line("\n".join(_said(found, len(rows)))))
    return OK


def _said(found: list[dict[str, Any]], total: int) -> Iterator[str]:
    for row in found:
        yield f"segment {row['index']}, {_place(row)}: {' '.join(row['text'].split())}"
        yield from (f"    {warning}" for warning in row.get("warnings", [f"failed: {row.get('error')}"]))
    yield f"{len(found)} of {total} segments to listen to"


def _place(row: dict[str, Any]) -> str:
    """Where a player finds it, to the tenth of a second."""
    if "offset_ms" not in row:
        return "not in the audio"
    minutes, tenths = divmod(row["offset_ms"] // 100, 600)
    return f"{minutes // 60}:{minutes % 60:02}:{tenths // 10:02}.{tenths % 10}"
