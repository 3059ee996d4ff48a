"""`python -m worker.engines` prints the table of engines, one line of JSON each; `python -m worker.engines NAME` prints
one. The embedded farm asks here how long a worker may take to start, and how many of them fit on this machine."""

from __future__ import annotations

import argparse
import json
import os
import sys

import psutil

from farm.errors import EXIT_MISCONFIGURED, Misconfigured
from worker.engine import Entry
from worker.engines import find, names


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker.engines", description="Lists the engines of this farm.")
    parser.add_argument("name", nargs="?", help="of one engine (default: all)")
    given = parser.parse_args()
    rows = [_row(name) for name in ([given.name] if given.name else names())]
    for row in rows:
        print(json.dumps(row))  # noqa: T201
    return EXIT_MISCONFIGURED if any("error" in row for row in rows) else 0


def _row(name: str) -> dict[str, object]:
    try:
        entry = find(name)
    except Misconfigured as error:
        return {"name": name, "error": error.message}
    return {
        "name": name,
        "fetches": entry.fetch is not None,
        "start_s": entry.start_s,
        "workers": workers(entry, cores(), psutil.virtual_memory().available // 2**20),
        "settings": list(entry.settings.variables()),
    }


def cores() -> int:
    """Those that this process may use, where the system says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers(entry: Entry, cores: int, free_mb: int) -> int:
    """Render workers that one machine should have: a core each, within the memory that is free."""
    if entry.memory_mb is None:
        return 1
    return max(1, min(cores, free_mb // entry.memory_mb))


if __name__ == "__main__":
    sys.exit(main())
