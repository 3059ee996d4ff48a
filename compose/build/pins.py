"""Writes what an image has to install for the farm: requirements.txt and constraints.txt, for pip.

    python pins.py PYPROJECT CONSTRAINTS INTO EXTRA...

The requirements are those of the extras of pyproject.toml, without the farm itself: its code is copied in last, so that
a change of it touches no layer of packages. What is installed already keeps its version, because the engine was tested
with it; all else gets the version in constraints.txt. Runs before anything is installed, so on the standard library.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRAS = re.compile(r"\[([^]]*)\]")


def requirements(project: Mapping[str, Any], extras: Sequence[str]) -> Iterator[str]:
    """Each extra's requirements; one that names the project's own extras stands for theirs."""
    known = project["optional-dependencies"]
    for extra in extras:
        if extra not in known:
            raise SystemExit(f"pyproject.toml has no extra {extra!r}; it has {', '.join(sorted(known))}")
        for requirement in known[extra]:
            if name_of(requirement) == name_of(project["name"]):
                inner = _EXTRAS.search(requirement)
                yield from requirements(project, [part.strip() for part in inner[1].split(",")] if inner else [])
            else:
                yield requirement


def constraints(pinned: Sequence[str], installed: Mapping[str, str]) -> Iterator[str]:
    """pip refuses two versions of one package, so what is installed replaces its line."""
    yield from (f"{name}=={version}" for name, version in sorted(installed.items()))
    yield from (line for line in pinned if (name := name_of(line)) and name not in installed)


def name_of(requirement: str) -> str:
    """As packages are compared: in lower case, with single dashes. Empty for a comment or an option."""
    found = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def main(pyproject: str, pins: str, into: str, *extras: str) -> None:
    project = tomllib.loads(Path(pyproject).read_text("utf-8"))["project"]
    installed = {name_of(found.name): found.version for found in distributions()}
    wanted = dict.fromkeys((*project["dependencies"], *requirements(project, extras)))
    lines = Path(pins).read_text("utf-8").splitlines()
    Path(into, "requirements.txt").write_text("".join(f"{line}\n" for line in wanted), "utf-8")
    Path(into, "constraints.txt").write_text("".join(f"{line}\n" for line in constraints(lines, installed)), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
