"""The pinned packages, compared with the published advisories by pip-audit: `make audit`.

Ends with 1 where a package has a known weakness. Where the advisories can't be read, which no pin can mend, it says
NOT RUN and ends with 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_PINS = ("constraints.txt", "tests/indextts/constraints.txt")


@dataclass(frozen=True, slots=True)
class Verdict:
    words: str
    status: int  # of the process


def verdict(report: dict[str, Any] | None, said: str) -> Verdict:
    """`report` is pip-audit's JSON, None where it has none; `said` are its other words. A package that is unknown to
    the advisories counts as unread: where most are, it was not the advisories that answered."""
    packages = report["dependencies"] if report else []
    read = [package for package in packages if "skip_reason" not in package]
    weak = [
        f"{package['name']} {package['version']}: {weakness['id']}, mended in "
        + (", ".join(weakness["fix_versions"]) or "no release yet")
        for package in read
        for weakness in package["vulns"]
    ]
    if weak:
        return Verdict("\n".join(weak), 1)
    if 2 * len(read) < len(packages) or not packages:
        lines = said.strip().splitlines() or ["no word of pip-audit"]
        why = f"{len(packages) - len(read)} of {len(packages)} packages are unknown there" if packages else lines[-1]
        return Verdict(f"NOT RUN: make audit: the published advisories can't be read: {why[:200]}", 0)
    unread = [package["name"] for package in packages if "skip_reason" in package]
    return Verdict(f"{len(read)} packages without a known weakness; not looked at: {', '.join(unread) or 'none'}", 0)


def main() -> None:
    pins = (word for file in _PINS for word in ("-r", str(_ROOT / file)))
    ended = subprocess.run(
        (
            sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off",
            "--timeout", "20", "--format", "json", *pins, *sys.argv[1:],
        ),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        report = json.loads(ended.stdout)
    except ValueError:
        report = None
    found = verdict(report, ended.stderr)
    print(found.words, file=sys.stderr if found.status or found.words.startswith("NOT") else sys.stdout)
    sys.exit(found.status)


if __name__ == "__main__":
    main()
