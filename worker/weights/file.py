"""One file of a model's weights, and what tells that it is that file.

Nothing but these bytes is loaded: a file of another release speaks, or hears, rubbish.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from farm.errors import Misconfigured
from farm.settings import engine_prefix

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class File:
    name: str
    size: int  # bytes
    sha256: str
    of: str  # the model, by the name that `python -m worker fetch` knows

    @property
    def how_to_fetch(self) -> str:
        return f"python -m worker fetch {self.of}"

    @property
    def variable(self) -> str:
        """Which names the folder."""
        return f"{engine_prefix(self.of)}DIR"

    def is_present(self, folder: Path) -> bool:
        """Whether there is a file of this name, right or wrong."""
        return (folder / self.name).exists()

    def check(self, folder: Path) -> Path:
        """Its path. Raises Misconfigured where it is missing, cut short, or another file."""
        path = folder / self.name
        try:
            size = path.stat().st_size
            found = sha256(path) if size == self.size else None
        except FileNotFoundError:
            raise Misconfigured(f"{path} is missing; run: {self.how_to_fetch}") from None
        except OSError as error:
            raise Misconfigured(f"{path} can't be read ({error.strerror}); check who may read it") from error
        if size < self.size:
            raise Misconfigured(
                f"{path} is cut short, at {size} of {self.size} bytes; delete it and run: {self.how_to_fetch}"
            )
        if found != self.sha256:
            what = f"SHA-256 {found[:12]}… in place of {self.sha256[:12]}…" if found else f"{size} bytes"
            raise Misconfigured(
                f"{path} is not {self.name} of this release ({what}); delete it and run: {self.how_to_fetch}"
            )
        return path


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
