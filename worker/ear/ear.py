"""A worker's end of the process that hears.

An ear that crashes, hangs or loops costs no clip: its process is ended and started again, and the clips of the batch
are asked for one by one. A clip that it does not survive has no report. After a number of deaths in a row the ear stays
off until the worker starts anew, and says so once.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from worker.child_process import ChildProcess
from worker.ear.rules import Report

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Heard:
    """A clip for the ear."""

    samples: npt.NDArray[np.float32]
    language: str
    text: str


class Deaf(Exception):
    """The ear gives no report; str() says why, in words for a warning."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that an ear may take: to start, and for an answer. Time of the processor ends a loop, time of the clock
    a hang; the second is long, because an ear yields to all else on a busy machine."""

    start: float = 120.0
    processor: float = 20.0
    clock: float = 120.0
    per_second: float = 2.0  # of audio: added to both
    look: float = 0.25  # between two looks at its processor time


class Ear:
    """Not for several threads at once. `deaths` in a row, and the ear stays off."""

    def __init__(self, command: Sequence[str], *, patience: Patience = Patience(), deaths: int = 5) -> None:
        self._command, self._patience, self._deaths_left, self._deaths = command, patience, deaths, deaths
        self._child: ChildProcess | None = None
        self._off = False

    @classmethod
    def of(cls, folder: Path) -> Ear:
        return cls([sys.executable, "-m", "worker.ear.listener", str(folder)])

    def start(self) -> str:
        """The libraries that it hears with. Raises Deaf."""
        self._child = ChildProcess(self._command)
        try:
            if not self._child.answers_within(self._patience.start):
                raise Deaf(f"the ear did not start within {self._patience.start:.0f} s")
            head = self._child.answer()
        except (EOFError, OSError, ValueError) as error:
            self.close()
            raise Deaf(f"the ear did not start: {error}") from None
        except Deaf:
            self.close()
            raise
        if "error" in head:
            self.close()
            raise Deaf(f"the ear did not start: {head['error']}")
        return str(head["libraries"])

    def hear(self, clips: Sequence[Heard], rate: int) -> list[Report | Deaf | None]:
        """A report of each clip; None where Whisper does not know its language."""
        try:
            return list(self._ask(clips, rate))
        except Deaf as deaf:
            if len(clips) == 1 or self._off:
                return [deaf] * len(clips)
        return [answer for clip in clips for answer in self.hear([clip], rate)]

    def close(self) -> None:
        """May be called from another thread: what is asked then gets no answer."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def turn_off(self) -> None:
        self._off = True
        self.close()

    def _ask(self, clips: Sequence[Heard], rate: int) -> list[Report | None]:
        if self._off:
            raise Deaf("the ear is off")
        try:
            if self._child is None:
                self.start()
            answer = self._answer(clips, rate)
        except Deaf as deaf:
            self._died(deaf)
            raise
        self._deaths_left = self._deaths
        return [Report(**report) if report is not None else None for report in answer["reports"]]

    def _answer(self, clips: Sequence[Heard], rate: int) -> dict[str, Any]:
        child, patience = self._child, self._patience
        if child is None:
            raise Deaf("the ear was ended")
        head = [{"samples": len(clip.samples), "language": clip.language, "text": clip.text} for clip in clips]
        audio_s = sum(len(clip.samples) for clip in clips) / rate
        body = np.concatenate([clip.samples for clip in clips]).astype("<f4").tobytes()
        try:
            process = psutil.Process(child.pid)
            until = _processor_s(process) + patience.processor + patience.per_second * audio_s
            ends = time.monotonic() + patience.clock + patience.per_second * audio_s
            child.ask({"rate": rate, "clips": head}, body)
            while not child.answers_within(patience.look):
                if _processor_s(process) > until:
                    raise Deaf("the ear found no end")
                if time.monotonic() > ends:
                    raise Deaf("the ear gave no answer in time")
            return child.answer()
        except (EOFError, OSError, ValueError, psutil.Error):
            raise Deaf("the ear crashed") from None

    def _died(self, deaf: Deaf) -> None:
        self.close()
        self._deaths_left -= 1
        if self._deaths_left <= 0 and not self._off:
            self._off = True
            log.error(
                "%s, %d times in a row: clips are no longer checked until this worker starts anew", deaf, self._deaths
            )
        elif not self._off:
            log.warning("%s; it is started again", deaf)


def _processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
