"""Failures that nobody explains, NaN or an error of no known kind: whether the texts are to blame, or the device.

A bad text fails, and so may all texts of a bad voice. A device that is broken, and says nothing that is known, fails
with every text. Eight utterances in a row tell: they are of several voices, or of one that has spoken before. Until
then their failures are held back, because a segment that has failed comes again before others of its job, and is dead
after its last attempt. Where fewer came, the witness tells: an utterance that has spoken, and is asked again.
"""

from __future__ import annotations

import time
from typing import NoReturn

from worker.engine import Failure
from worker.engines.indextts.isolation import MOST_IN_A_ROW, Broken
from worker.engines.indextts.rendition import Rendition

_PATIENCE_S = 1.0


class Unexplained:
    """Of one engine: it counts over all calls of render. `witness` is the first utterance that had a clip: a sentence
    of the engine's start, which no user wrote."""

    def __init__(self) -> None:
        self.witness: Rendition | None = None
        self._spoke = ""  # the last voice that had a clip
        self._voices: list[str] = []  # of the utterances in a row that failed
        self._held: list[Failure] = []
        self._latest = 0.0

    def spoke(self, voice: str) -> list[Failure]:
        """An utterance has its clip. Returns the failures that were held back."""
        self._spoke = voice
        self._voices.clear()
        return self.released()

    def failed(self, voice: str, failure: Failure) -> list[Failure]:
        """Returns the failures that are their texts' own.

        Raises:
            Broken: after eight in a row, which are the device's. Their failures are forgotten.
        """
        self._latest = time.monotonic()
        self._voices.append(voice)
        self._held.append(failure)
        if len(self._voices) < MOST_IN_A_ROW:
            return []
        voices = set(self._voices)
        self._voices.clear()
        released = self.released()
        if len(voices) > 1 or self._spoke in voices:
            said = f"of {len(voices)} voices" if len(voices) > 1 else "whose voice had spoken before"
            raise Broken(
                f"{MOST_IN_A_ROW} utterances in a row failed, {said}, so the texts are hardly to blame; the last "
                f"error: {failure.error}"
            )
        return released

    @property
    def holds(self) -> bool:
        return bool(self._held)

    @property
    def overdue(self) -> bool:
        """Whether nothing has followed on the last failure for a second: whoever feeds the engine may wait for it."""
        return time.monotonic() - self._latest > _PATIENCE_S

    def witness_spoke(self) -> list[Failure]:
        """Returns the failures that were held back, which are their texts' own."""
        self._voices.clear()
        return self.released()

    def witness_failed(self, error: str) -> NoReturn:
        """
        Raises:
            Broken: the failures are the device's, and forgotten.
        """
        self._voices.clear()
        self.released()
        raise Broken(f"a text that this engine has spoken before fails too, so the texts are hardly to blame: {error}")

    def released(self) -> list[Failure]:
        """The failures that were held back, and are no longer."""
        held, self._held = self._held, []
        return held
