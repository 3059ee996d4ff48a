"""Dockerfiles as data: stages, what each stands on, and what each instruction reads from the build context."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_FROM = re.compile(r"(\S+)(?:\s+AS\s+(\S+))?$", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{?\w+\}?")


@dataclass(frozen=True, slots=True)
class Instruction:
    keyword: str
    rest: str

    def reads(self) -> list[str]:
        """Paths of the build context: sources of COPY and ADD, and of bind mounts."""
        words = shlex.split(self.rest) if self.keyword in ("COPY", "ADD", "RUN") else []
        options = [word for word in words if word.startswith("--")]
        if self.keyword in ("COPY", "ADD"):
            plain = [word for word in words if not word.startswith("--")]
            return [] if any(option.startswith("--from=") for option in options) else plain[:-1]
        mounts = [
            dict(part.partition("=")[::2] for part in option[8:].split(","))
            for option in options
            if option.startswith("--mount=")
        ]
        return [mount["source"] for mount in mounts if mount["type"] == "bind" and "from" not in mount]

    def copies_from(self) -> str | None:
        found = re.search(r"--from=(\S+)", self.rest) if self.keyword == "COPY" else None
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def of(self, keyword: str) -> list[Instruction]:
        return [each for each in self.instructions if each.keyword == keyword]


def read(path: Path) -> dict[str, Stage]:
    """By name, in order. What stands before the first FROM belongs to no stage."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text("utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    stages: dict[str, list[Instruction]] = {}
    bases: dict[str, str] = {}
    name = ""
    for line in filter(str.strip, lines):
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            found = _FROM.match(rest.strip())
            assert found is not None, line
            base, name = found[1], found[2] or str(len(stages))
            stages[name], bases[name] = [], base
        elif name:
            stages[name].append(Instruction(keyword, rest))
    return {name: Stage(name, bases[name], tuple(found)) for name, found in stages.items()}


def line_of(stages: dict[str, Stage], name: str) -> list[Stage]:
    """The stages that a stage stands on, itself last. Where a build argument chooses, all that it can choose."""
    stage = stages[name]
    pattern = re.compile(_VARIABLE.sub(".+", re.sub(r"([.+])", r"\\\1", stage.base)) + "$")
    below = [other for other in stages if other != name and pattern.match(other)] if stage.base[0] != "$" else []
    return [found for other in below for found in line_of(stages, other)] + [stage]
