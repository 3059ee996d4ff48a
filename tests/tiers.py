"""Which tests run when: the tiers by folder, and the tests that each folder has.

python -m tests.tiers        writes the numbers into CONTRIBUTING.md; a test compares them
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
CONTRIBUTING = TESTS.parent / "CONTRIBUTING.md"

# target of make: folders
TIERS = {
    "test": ("pure", "webhook", "store", "storage", "api", "engine", "client", "flow", "containers"),
    "test-model": ("indextts",),
    "test-voice": ("kokoro",),
    "test-faults": ("chaos",),
    "test-browser": ("browser",),
    "test-contract": ("contract",),
}

# Before there were tiers, at commit 80fb82d: functions, and the cases that pytest made of them.
BEFORE = {
    "pure": (165, 579),
    "webhook": (53, 202),
    "store": (153, 249),
    "storage": (61, 190),
    "api": (149, 327),
    "engine": (30, 82),
    "client": (71, 85),
    "flow": (49, 62),
    "containers": (45, 60),
    "indextts": (283, 720),
    "chaos": (32, 54),
}

HEAD = """| folder of `tests/` | runs with | files | tests | tests (cases) at 80fb82d |
|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Count:
    """Of one folder: files with tests, and functions in them."""

    files: int
    functions: int


def folders() -> list[str]:
    """Those in which pytest would find a test."""
    return sorted({file.relative_to(TESTS).parts[0] for file in TESTS.rglob("test_*.py")})


@cache
def count(folder: str) -> Count:
    """Read, not imported: what the tests import may not be installed."""
    files = sorted((TESTS / folder).rglob("test_*.py"))
    return Count(len(files), sum(_functions(ast.parse(file.read_text("utf-8"))) for file in files))


def table() -> str:
    rows, total = [], Count(0, 0)
    for target, members in TIERS.items():
        for folder in members:
            now = count(folder)
            before = "{} ({})".format(*BEFORE[folder]) if folder in BEFORE else ""
            rows.append(f"| {folder} | `make {target}` | {now.files} | {now.functions} | {before} |\n")
            total = Count(total.files + now.files, total.functions + now.functions)
    functions, cases = (sum(numbers) for numbers in zip(*BEFORE.values(), strict=True))
    rows.append(f"| all | `make test-all` | {total.files} | {total.functions} | {functions} ({cases}) |\n")
    return HEAD + "".join(rows)


def _functions(module: ast.Module) -> int:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return sum(isinstance(node, kinds) and node.name.startswith("test_") for node in ast.walk(module))


def main() -> None:
    text = CONTRIBUTING.read_text("utf-8")
    written = re.sub(re.escape(HEAD) + r"(\|.*\n)*", lambda _: table(), text)
    CONTRIBUTING.write_text(written, "utf-8")


if __name__ == "__main__":
    main()
