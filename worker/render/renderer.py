"""The render loop: claim, render, commit, until there is nothing left.

One drain owns four threads beside the engine's: claim-ahead (intake.py), lease renewal (lease.py), uploads and settling
(commit.py). All that outlives a drain, the engine above all, stands here.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass

from farm.errors import EXIT_HUNG
from farm.settings import Settings
from farm.storage import Storage
from farm.store import Store
from worker.engine import Engine
from worker.render.caches import Plans, References
from worker.render.commit import Commit
from worker.render.intake import Intake
from worker.render.leases import Leases

log = logging.getLogger(__name__)

_PATIENCE = 20.0  # seconds that a stopping worker goes on trying to reach storage or store


@dataclass(frozen=True, slots=True)
class Figures:
    """What the heartbeat publishes, summed over all drains."""

    segments: int = 0
    cached: int = 0
    audio_seconds: float = 0.0
    takes: int = 0
    taken: int = 0
    seconds: float = 0.0  # wall time inside drains
    waited: float = 0.0  # of it, the engine waited to be fed

    @classmethod
    def of(cls, intake: Intake, commit: Commit, seconds: float) -> Figures:
        return cls(
            commit.settled, intake.cached, commit.audio_ms / 1000, intake.takes, intake.taken, seconds, intake.waited
        )

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Figures) -> Figures:
        return Figures(*(mine - theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


class Renderer:
    def __init__(self, store: Store, storage: Storage, engine: Engine, settings: Settings, worker: str) -> None:
        self._store, self._storage, self.engine = store, storage, engine
        self._worker = worker
        self._lease_ms = round(settings.lease_seconds * 1000)
        self._watchdog_seconds = settings.watchdog_seconds
        self._plans = Plans(storage)
        self._references = References(storage)
        self._current: tuple[Intake, Commit, float] | None = None
        self._done = Figures()
        self._stopping = threading.Event()
        self._committing = False
        self._progress = time.monotonic()

    def drain(self) -> None:
        """Renders until no segment of this model is left. An engine that raises ends the worker, because nothing can be
        said of its state: what had begun burns one attempt each, what had not goes back as it was, both at once."""
        if self._stopping.is_set():
            return
        capacity = self.engine.capacity
        leases = Leases(self._store, self._lease_ms, lambda held: intake.lost(held))
        intake = Intake(
            self._store, self._storage, leases, self._plans, self._references,
            model=self.engine.card.name, worker=self._worker, capacity=capacity, lease_ms=self._lease_ms,
        )  # fmt: skip
        commit = Commit(self._store, self._storage, leases, sample_rate=self.engine.card.sample_rate, room=2 * capacity)
        started = time.monotonic()
        with leases, commit, intake, self._watched(intake, leases):
            self._current = (intake, commit, started)
            if self._stopping.is_set():
                intake.stop()
            try:
                self._render(intake, commit)
            except Exception as error:
                intake.strike(f"the engine fell over: {error}")
                raise
        self._current = None
        self._done = self._done + Figures.of(intake, commit, time.monotonic() - started)
        fault = intake.fault or commit.fault
        if fault is not None:
            raise fault

    def _render(self, intake: Intake, commit: Commit) -> None:
        for outcome in self.engine.render(intake):
            self._committing = True  # may wait for storage as long as an outage lasts: that is no hang
            commit.put(intake.finished(outcome.key), outcome)
            self._committing = False
            self._progress = time.monotonic()
            if commit.fault is not None:
                break

    def stop(self) -> None:
        """SIGTERM: no further claims; the batch in flight is finished, the rest given back."""
        self._stopping.set()
        if self._current is not None:
            intake, commit, _ = self._current
            intake.stop()
            impatience = threading.Timer(_PATIENCE, commit.give_up)
            impatience.daemon = True
            impatience.start()

    def close(self) -> None:
        self._references.close()

    def figures(self) -> Figures:
        if self._current is None:
            return self._done
        intake, commit, started = self._current
        return self._done + Figures.of(intake, commit, time.monotonic() - started)

    @contextmanager
    def _watched(self, intake: Intake, leases: Leases) -> Iterator[None]:
        """An engine that hangs and keeps Python's lock stops the watchdog as well. The system's alarm, which needs no
        lock, ends the worker when the watchdog has not put it off for long, and its stacks are in the log."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(self._watchdog_seconds / 10):
                signal.setitimer(signal.ITIMER_REAL, self._watchdog_seconds)
                idle = time.monotonic() - max(self._progress, intake.last_take)
                if intake.running and not self._committing and idle > self._watchdog_seconds:
                    log.critical("the engine made no progress for %.0f s; this worker ends", idle)
                    leases.abandon()
                    logging.shutdown()
                    os._exit(EXIT_HUNG)

        faulthandler.register(signal.SIGALRM, chain=True)
        former = signal.setitimer(signal.ITIMER_REAL, self._watchdog_seconds)
        watcher = threading.Thread(target=watch, name="watchdog", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            signal.setitimer(signal.ITIMER_REAL, *former)
            faulthandler.unregister(signal.SIGALRM)
