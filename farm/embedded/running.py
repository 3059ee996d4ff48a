"""Which farm runs on a data folder: what `farm doctor` and `farm keys` find it by."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FILE = "farm.json"  # in the folder `run`


@dataclass(frozen=True, slots=True)
class Running:
    """The addresses of a running embedded farm. Other commands read them from run/farm.json."""

    url: str
    redis_url: str
    storage_url: str
    pid: int
    webhook_allow_keyless: Sequence[str] = ()

    @classmethod
    def read(cls, data: Path) -> Running | None:
        """None when no embedded farm runs on this folder."""
        try:
            running = cls(**json.loads((data / "run" / FILE).read_text()))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None
        return running if alive(str(running.pid)) else None


def alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True
