"""The render loop: claim, render, commit, until there is nothing left.

        store ──claim──> Intake, Loader ──take──> engine ──> Gate ──> Commit ──settle──> store
                              └────────── Leases ───────────────────────┘

A drain has threads beside the engine's: claim-ahead (intake.py), looks into storage (loader.py), renewal of leases
(leases.py), the one that waits for an ear where FARM_CHECK says so (gate.py), uploads and settling (commit.py), and the
watchdog. The renderer keeps what outlives a drain: the engine, the ear, the caches and the figures.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import astuple, dataclass

from farm.errors import EXIT_HUNG
from farm.settings import Settings
from farm.storage import Storage
from farm.store import Store
from farm.tracing import OFF, Tracing
from worker.engine import Clip, DeviceFault, Engine, Failure
from worker.render.batch_spans import BatchSpans, Traces
from worker.render.check import Check
from worker.render.commit import Commit
from worker.render.gate import Gate, Tally, for_another_gate, unchecked
from worker.render.intake import Intake
from worker.render.leases import Leases
from worker.render.loader import Loader
from worker.render.pace import Pace
from worker.render.plan_cache import PlanCache
from worker.render.reference_cache import ReferenceCache
from worker.render.retakes import Retakes
from worker.render.tempo import Tempo

log = logging.getLogger(__name__)

_PATIENCE = 20.0  # seconds for which a stopping worker tries to reach storage or store


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of the heartbeat, summed over all drains."""

    segments: int = 0
    cached: int = 0
    audio_seconds: float = 0.0
    takes: int = 0
    taken: int = 0
    seconds: float = 0.0  # wall time inside drains
    waited: float = 0.0  # of these, the engine waited for work

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Figures) -> Figures:
        return Figures(*(mine - theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class _Drain:
    """The parts that live as long as one drain."""

    leases: Leases
    loader: Loader
    intake: Intake
    commit: Commit
    gate: Gate | None
    started: float

    def give_up(self) -> None:
        if self.gate is not None:
            self.gate.give_up()
        self.commit.give_up()

    def figures(self) -> Figures:
        intake, commit = self.intake, self.commit
        return Figures(
            commit.settled, self.loader.cached, commit.audio_ms / 1000, intake.takes, intake.taken,
            time.monotonic() - self.started, intake.waited,
        )  # fmt: skip


class Renderer:
    """One engine, and the drains that feed it, one at a time."""

    def __init__(
        self, store: Store, storage: Storage, engine: Engine, settings: Settings, worker: str,
        wake_desk: Callable[[], object] = lambda: None, tracing: Tracing = OFF, check: Check | None = None,
    ) -> None:  # fmt: skip
        """`wake_desk` is called when a job becomes due for the desk, so that its end does not wait for the keeper."""
        self._store, self._storage, self.engine = store, storage, engine
        self._check, self._heard, self._tempo = check, Tally(), Tempo(storage)
        self.card = check.card if check is not None else engine.card
        self._wake_desk = wake_desk
        self._worker = worker
        self._lease_ms = round(settings.lease_seconds * 1000)
        self._watchdog_seconds = settings.watchdog_seconds
        self._traces = Traces(store, tracing)
        self._spans = BatchSpans(self._traces, tracing, model=engine.card.name, worker=worker, device=engine.device)
        self._pace = Pace()
        self._plans = PlanCache(storage)
        self._references = ReferenceCache(storage)
        self._current: _Drain | None = None
        self._done = Figures()
        self._stopping = threading.Event()
        self._committing = False
        self._progress = time.monotonic()

    def drain(self) -> None:
        """Renders until no segment of this model is left. An engine that raises ends the worker, because its state is
        unknown: the segments that had begun burn one attempt each, unless the device was to blame; the others go back
        unburnt, both at once."""
        if self._stopping.is_set():
            return
        drain = self._new_drain()
        gate = drain.gate or nullcontext()
        with drain.leases, drain.commit, gate, drain.loader, drain.intake, self._watched(drain):
            self._current = drain
            if self._stopping.is_set():
                drain.intake.stop()
            try:
                self._render(drain)
            except Exception as error:
                if isinstance(error, DeviceFault) and error.certain:
                    drain.intake.spare_running()
                else:
                    drain.intake.fail_running(f"the engine fell over: {error}")
                raise
        self._current = None
        self._done = self._done + drain.figures()
        fault = drain.intake.fault or drain.commit.fault
        if fault is not None:
            raise fault

    def _new_drain(self) -> _Drain:
        store, storage, card, capacity = self._store, self._storage, self.engine.card, self.engine.capacity
        leases = Leases(store, self._lease_ms)
        loader = Loader(store, storage, leases, self._plans, self._references, self._traces, self._wake_desk)
        intake = Intake(
            store, leases, loader, self._spans, model=card.name, worker=self._worker, capacity=capacity,
            lease_ms=self._lease_ms,
        )  # fmt: skip
        commit = Commit(
            store, storage, leases, self._traces, self._wake_desk, sample_rate=card.sample_rate, room=2 * capacity
        )
        gate = self._new_gate(intake, commit, leases) if self._check is not None else None
        return _Drain(leases, loader, intake, commit, gate, time.monotonic())

    def _new_gate(self, intake: Intake, commit: Commit, leases: Leases) -> Gate:
        assert self._check is not None
        ear, policy, card = self._check.ear, self._check.policy, self.card
        room = 2 * self.engine.capacity
        rate = card.sample_rate
        return Gate(ear, policy, intake, commit, leases, self._heard, self._tempo, sample_rate=rate, room=room)

    def _render(self, drain: _Drain) -> None:
        intake, commit, behind = drain.intake, drain.commit, drain.gate or drain.commit
        retakes = Retakes(intake, self._pace, self.engine.card.sample_rate)
        for outcome in self._outcomes(intake):
            self._progress = time.monotonic()
            judged = retakes.judged(outcome)
            if judged is None:
                continue
            self._committing = True  # may wait as long as an outage of storage lasts, which is not a hang
            work = intake.finished(judged.key)
            if for_another_gate(work, self.card.revision):
                judged = unchecked(judged, "its job was planned for another gate than this worker has")
            behind.put(work, judged)
            self._committing = False
            self._progress = time.monotonic()
            if commit.fault is not None:
                break

    def _outcomes(self, intake: Intake) -> Iterator[Clip | Failure]:
        yield from self.engine.render(intake)
        while intake.has_pieces:  # this worker is stopping, and the engine had been told that nothing more would come
            yield from self.engine.render(intake)

    def stop(self) -> None:
        """SIGTERM: no further claims; the batch in flight is finished, the rest given back."""
        self._stopping.set()
        drain = self._current
        if drain is not None:
            drain.intake.stop()
            impatience = threading.Timer(_PATIENCE, drain.give_up)
            impatience.daemon = True
            impatience.start()

    def close(self) -> None:
        self._references.close()
        if self._check is not None:
            self._check.ear.close()

    def facts(self) -> Mapping[str, str]:
        """Those of the engine, and of what stands behind it."""
        return {**self.engine.facts(), **(self._heard.facts() if self._check is not None else {})}

    def figures(self) -> Figures:
        drain = self._current
        return self._done if drain is None else self._done + drain.figures()

    @contextmanager
    def _watched(self, drain: _Drain) -> Iterator[None]:
        """The watchdog ends this worker when the engine makes no progress. An engine that hangs and keeps Python's lock
        stops the watchdog too. Then the alarm of the system, which the watchdog puts off while it runs, ends the worker
        and logs all stacks."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(self._watchdog_seconds / 10):
                signal.setitimer(signal.ITIMER_REAL, self._watchdog_seconds)
                idle = time.monotonic() - max(self._progress, drain.intake.last_take)
                if drain.intake.running and not self._committing and idle > self._watchdog_seconds:
                    log.critical("the engine made no progress for %.0f s; this worker ends", idle)
                    drain.leases.abandon()
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
