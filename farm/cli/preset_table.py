"""The table of a preset on the screen: a row for each chapter that would be a file, a column for each check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_TITLE = 24  # characters


def preset_table(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Lines, by the manifest of a job with a preset. A value that fails is marked, and told in words below."""
    preset = manifest["preset"]
    files = preset["files"]
    titles = [_title(manifest["chapters"], file["chapter"]) for file in files]
    rows = [["", *(check["check"] for check in files[0]["checks"]), ""]]
    for title, file in zip(titles, files, strict=True):
        rows.append([title, *map(_cell, file["checks"]), "pass" if file["passed"] else "FAIL"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for title, file in zip(titles, files, strict=True):
        for check in file["checks"]:
            if not check["passed"]:
                yield f"{title}: {check['check']} is {check['value']}; {preset['name']} wants {check['wanted']}"
            elif "note" in check:
                yield f"{title}: {check['check']}: {check['note']}"
    yield f"{preset['name']}: {'passed' if preset['passed'] else 'NOT passed'}"


def _cell(check: Mapping[str, Any]) -> str:
    value = check["value"]
    shown = "silent" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
    return shown if check["passed"] else f"{shown} !"


def _title(chapters: list[Mapping[str, Any]], number: int | None) -> str:
    if number is None:
        return "recording"
    title = chapters[number]["title"] or f"Chapter {number + 1}"
    return title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"
