"""A render worker whose engine fails at some sentences: `python -m tests.chaos.sickly render`, in place of
`python -m worker render`. It wraps the real eSpeak engine and overrides how one utterance is rendered.

    sentence("hangs")       a sentence at which it hangs in native code, and other threads go on
    sentence("seizes")      hangs in native code and keeps Python's lock, so that no thread goes on
    sentence("raises")      raises
    sentence("declines")    answers with a failure
    sentence("hoards")      takes memory until there is none left
    sentence("dies")        is killed, as by the kernel when it is out of memory
    sentence("dozes")       the first worker that meets it sleeps a while and then fails
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

import worker.engines
from farm.settings import Settings
from worker.engine import Clip, Engine, Failure, Utterance
from worker.engines.espeak.engine import Espeak

MEMORY = 6 << 30  # bytes of address space, of which a well worker takes a third
DOZE_S = 3.0
_FOR_EVER = 3600
_WORDS = re.compile(r"The engine (\w+) when it reads this")


def sentence(illness: str) -> str:
    return f"The engine {illness} when it reads this."


def dozed(data: Path) -> Path:
    """There once a worker has begun to doze."""
    return data / "dozed"


class Sickly(Espeak):
    def __init__(self, data: Path) -> None:
        super().__init__()
        self._dozed = dozed(data)
        self._hoard: list[npt.NDArray[np.uint8]] = []

    def _render(self, utterance: Utterance) -> Clip | Failure:
        found = _WORDS.search(utterance.text)
        match found and found[1]:
            case "hangs":
                ctypes.CDLL(None).sleep(_FOR_EVER)
            case "seizes":
                ctypes.PyDLL(None).sleep(_FOR_EVER)
            case "raises":
                raise RuntimeError("it can't bear this sentence")
            case "declines":
                return Failure(utterance.key, "it will not read this sentence")
            case "hoards":
                while True:
                    self._hoard.append(np.empty(1 << 26, np.uint8))  # taken from the limit, never touched
            case "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            case "dozes" if not self._dozed.exists():
                self._dozed.touch()
                time.sleep(DOZE_S)  # being slow is the illness
                return Failure(utterance.key, "it woke up too late")
        return super()._render(utterance)


def load(settings: Settings) -> Engine:
    return Sickly(settings.data_dir)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    worker.engines.load = load
    from worker.__main__ import main

    sys.exit(main())
