"""A worker whose device fails again and again waits before its next start, so that it burns no attempts of jobs.

Each end by a fault of the device is noted in the store under the worker's place: its host, its model, its GPU. A worker
that starts in the same place looks at the latest ends. When the last three each came within a minute of a start, it
waits: a minute at first, twice as long after every further end of that kind, ten minutes at most. Meanwhile it says in
its log and in its heartbeat why. The farm's other workers go on.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from farm.errors import StoreReplaced, StoreUnavailable
from farm.store import Store, registry
from farm.wire import Worker

log = logging.getLogger(__name__)

_SHORT_LIFE_S = 60.0
_FREE_ENDS = 3  # so many short lives in a row, and the next start waits
_FIRST_WAIT_S, _LONGEST_WAIT_S = 60.0, 600.0
_KEPT = 16
_KEPT_MS = 3_600_000
_REASON = 500  # characters


@dataclass(frozen=True, slots=True)
class End:
    """One end of a worker by a fault of its device."""

    life_s: float  # since the worker was ready
    reason: str


def wait_s(ends: Sequence[End]) -> float:
    """How long the next start waits, after these ends in their order."""
    streak = 0
    for end in reversed(ends):
        if end.life_s >= _SHORT_LIFE_S:
            break
        streak += 1
    if streak < _FREE_ENDS:
        return 0.0
    return min(_FIRST_WAIT_S * 2.0 ** (streak - _FREE_ENDS), _LONGEST_WAIT_S)


class Relapse:
    """Of one worker: what ended its predecessors, and the moment since which it is ready."""

    def __init__(self, store: Store, worker: str, model: str) -> None:
        self._store, self._worker, self._model = store, worker, model
        self._place = ":".join((socket.gethostname(), model, os.environ.get("CUDA_VISIBLE_DEVICES", "")))
        self._ready = time.monotonic()

    def hold_back(self) -> None:
        """Waits as long as the latest ends ask for. Called before the engine is loaded.

        Raises:
            StoreUnavailable, StoreReplaced: the store does not answer, or holds another farm.
        """
        ends = self._ends()
        seconds = wait_s(ends)
        if seconds:
            why = (
                f"the device failed again and again soon after this worker's start, which now waits {seconds:.0f} s; "
                f"look at nvidia-smi -q and dmesg; the latest reason: {ends[-1].reason}"
            )
            log.critical("%s", why)
            self._announce(why, seconds)
            time.sleep(seconds)  # nothing else would happen in this process; SIGTERM ends it
        self._ready = time.monotonic()

    def begin(self) -> None:
        """The engine is ready: from here on this worker's life counts."""
        self._ready = time.monotonic()

    def note(self, error: BaseException) -> None:
        """This worker is about to end by this error."""
        reason = f"{type(error).__name__}: {error}".partition("\n")[0][:_REASON]
        with suppress(StoreUnavailable, StoreReplaced):
            ends = [*self._ends(), End(round(time.monotonic() - self._ready, 1), reason)][-_KEPT:]
            stored = json.dumps([asdict(end) for end in ends])
            self._store.run(registry.keep_ends(self._place, stored, _KEPT_MS))

    def _ends(self) -> list[End]:
        stored = self._store.run(registry.ends(self._place))
        return [End(**end) for end in json.loads(stored or "[]")]

    def _announce(self, why: str, seconds: float) -> None:
        now = self._store.run(registry.clock())
        waiting = Worker(
            id=self._worker, kind="render", model=self._model, started_at=now, seen_at=now, facts={"waiting": why}
        )
        beat = waiting.model_dump_json(exclude_none=True)
        self._store.run(registry.beat(self._worker, beat, round(seconds * 1000)))
