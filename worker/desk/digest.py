"""The SHA-256 of a file, by which its listener knows it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path


def digest(path: Path, check: Callable[[], None]) -> str:
    """In hexadecimal digits. `check` is called after each MiB; an exception from it stops the work."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
            check()
    return digest.hexdigest()
