"""Claim-ahead: the next batch is claimed, loaded and looked up in storage while the engine is busy with this one.

        claim ──> load plan rows and voices ──> settle what storage has ──> ready ──> take() ──> engine
        (a thread of its own, up to one batch ahead)                            (begins exactly what starts)

take() tops up with interactive work first, so that one line waits for the batch that runs and no longer. Two utterances
with one digest are rendered once. A segment that cost a worker before is quarantined: quarantine.py has the rule.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType

from farm.errors import ClipCorrupt, ObjectMissing, StorageUnavailable, StoreUnavailable
from farm.plan import Segment, clip_key
from farm.storage import Storage
from farm.store import Store, segments
from worker.engine import Speech, Utterance
from worker.flac import duration_ms
from worker.render.caches import Plans, References
from worker.render.leases import Held, Leases, by_token
from worker.render.quarantine import batch_is_ready, may_begin

log = logging.getLogger(__name__)

_POLL = 0.05  # seconds between two looks for work while the engine is busy and nothing waits
_PAUSE = 1.0  # seconds without claims after the store or storage could not be reached
_LOOKS = 32  # parallel looks into storage: 10,000 HEADs one after another take minutes
_HEADER = 42  # bytes of a clip that state its length


@dataclass(slots=True)
class Work:
    """One clip to make, and every segment that it settles."""

    utterance: Utterance
    held: list[Held]
    quarantined: bool = False


@dataclass(slots=True)
class _Loaded:
    held: Held
    segment: Segment
    speech: Speech
    found_ms: int | None = field(default=None)


class Intake:
    """The engine's feed. `capacity` utterances are held ready at most, beside those that run."""

    def __init__(
        self, store: Store, storage: Storage, leases: Leases, plans: Plans, references: References,
        *, model: str, worker: str, capacity: int, lease_ms: int,
    ) -> None:  # fmt: skip
        self._store, self._storage, self._leases = store, storage, leases
        self._plans, self._references = plans, references
        self._model, self._worker, self._capacity, self._lease_ms = model, worker, capacity, lease_ms
        self._ready: deque[Work] = deque()
        self._running: dict[str, Work] = {}
        self._by_digest: dict[str, Work] = {}
        self._begun: dict[Held, bool] = {}  # what would lose an attempt with this worker -> whether it is quarantined
        self._dry = False  # the last claim found nothing
        self._over = False
        self._change = threading.Condition()
        self._loading = threading.Lock()
        self._looks = ThreadPoolExecutor(_LOOKS, "look")
        self._thread = threading.Thread(target=self._claiming, name="claim-ahead", daemon=True)
        self.last_take = time.monotonic()
        self.takes = 0
        self.taken = 0
        self.waited = 0.0  # seconds between the engine's asking and its getting
        self.cached = 0
        self.fault: Exception | None = None  # what ended claiming, when it was not stopped

    def __enter__(self) -> Intake:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()
        self._looks.shutdown()
        self._leases.give_back(held for work in self._ready for held in work.held)
        self._ready.clear()

    def stop(self) -> None:
        """No further claims; take() answers with nothing from now on."""
        with self._change:
            self._over = True
            self._change.notify_all()

    # --- the engine's side ----------------------------------------------------------------------------------------

    def take(self, count: int, *, wait: bool) -> Sequence[Utterance]:
        started = time.monotonic()
        chosen: list[Work] = []
        while not chosen:
            with self._change:
                while wait and not self._enough(count):
                    self._change.wait(_POLL if self._begun else None)  # nobody says when it is settled
                if self._over or not self._ready:
                    return []
            self._top_up(count)
            with self._change:
                chosen = self._choose(count)
                self._change.notify_all()
            chosen = self._begin(chosen)
            if not wait:
                break
        self.last_take = time.monotonic()
        if chosen:
            self.takes += 1
            self.taken += len(chosen)
            self.waited += time.monotonic() - started
        return [work.utterance for work in chosen]

    def finished(self, key: str) -> Work:
        """The engine is done with this utterance."""
        with self._change:
            work = self._running.pop(key)
            self._by_digest.pop(key, None)
            self._change.notify_all()
            return work

    def strike(self, reason: str) -> None:
        """The engine fell over: what runs loses its attempt now, and not when the leases run out."""
        with self._change:
            fallen = [held for work in self._running.values() for held in work.held]
            self._running.clear()
        try:
            for held in fallen:
                self._store.run(segments.fail(held.token, held.job, held.index, reason))
        except StoreUnavailable as error:
            log.warning("leases run out instead of being struck: %s", error)
        self._leases.drop(fallen)

    @property
    def running(self) -> int:
        return len(self._running)

    def _enough(self, count: int) -> bool:
        ready, unsettled = self._flags()
        return self._over or batch_is_ready(ready, unsettled, size=min(count, self._capacity), dry=self._dry)

    def _choose(self, count: int) -> list[Work]:
        chosen = [self._ready.popleft() for _ in range(may_begin(*self._flags(), count))]
        self._running.update((work.utterance.key, work) for work in chosen)
        self._begun.update((held, work.quarantined) for work in chosen for held in work.held)
        return chosen

    def _flags(self) -> tuple[list[bool], list[bool]]:
        """What the rule of quarantine asks about: what is ready, and what runs or has begun and is not settled."""
        self._begun = {held: quarantined for held, quarantined in self._begun.items() if self._leases.has(held)}
        running = [work.quarantined for work in self._running.values()]
        return [work.quarantined for work in self._ready], [*running, *self._begun.values()]

    def _begin(self, chosen: list[Work]) -> list[Work]:
        """From here on a lost worker burns an attempt of these segments, and of no others."""
        wanted = by_token(held for work in chosen for held in work.held)
        try:
            granted = {
                Held(token, job, index)
                for token, by_job in wanted.items()
                for job, indices in self._store.run(segments.begin(token, by_job)).items()
                for index in indices
            }
        except StoreUnavailable as error:
            log.warning("rendering on without the store: %s", error)  # settle is retried; the lease's grace covers us
            return chosen
        asked = {
            Held(token, job, index) for token, jobs in wanted.items() for job, rows in jobs.items() for index in rows
        }
        with self._change:
            self._leases.drop(asked - granted)
            started = [work for work in chosen if self._keep(work, asked - granted)]
            for work in chosen:
                if not work.held:
                    del self._running[work.utterance.key]
            return started

    def _keep(self, work: Work, gone: Collection[Held]) -> bool:
        """Takes segments off a piece of work; False when none is left."""
        work.held = [one for one in work.held if one not in gone]
        if not work.held:
            self._by_digest.pop(work.utterance.key, None)
        return bool(work.held)

    def _top_up(self, count: int) -> None:
        """Interactive work that arrived since the batch was claimed goes to its front."""
        try:
            with self._loading:
                grant = self._store.run(
                    segments.claim(self._model, want=count, worker=self._worker, lease_ms=self._lease_ms, express=True)
                )
                if grant is not None:
                    self._load(grant, front=True)
        except (StoreUnavailable, StorageUnavailable) as error:
            log.warning("no interactive top-up: %s", error)

    # --- the claiming side ----------------------------------------------------------------------------------------

    def _claiming(self) -> None:
        while True:
            with self._change:
                while not self._over and len(self._ready) >= self._capacity:
                    self._change.wait()
                if self._over:
                    return
                want = self._capacity - len(self._ready)
            try:
                found = self._claim(want)
            except (StoreUnavailable, StorageUnavailable) as error:
                log.warning("claiming pauses: %s", error)
                self._rest(_PAUSE)
            except Exception as error:
                self.fault = error
                self.stop()
            else:
                if not found:
                    self._rest(_POLL, until=lambda: not (self._ready or self._running))

    def _claim(self, want: int) -> bool:
        with self._loading:
            grant = self._store.run(
                segments.claim(self._model, want=want, worker=self._worker, lease_ms=self._lease_ms)
            )
            if grant is not None:
                self._load(grant)
        with self._change:
            self._dry = grant is None
            if self._dry and not self._ready and not self._running:
                self._over = True  # the drain is done; the next wake starts another
            self._change.notify_all()
        return grant is not None

    def _rest(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        with self._change:
            self._change.wait_for(lambda: self._over or until(), seconds)

    def _load(self, grant: segments.Grant, *, front: bool = False) -> None:
        held = self._leases.hold(grant)
        try:
            loaded = [one for one in (self._row(each) for each in held) if one is not None]
            list(self._looks.map(self._look, loaded))
            self._settle_found([one for one in loaded if one.found_ms is not None])
        except BaseException:
            self._leases.give_back(held)
            raise
        self._shelve([one for one in loaded if one.found_ms is None], grant.quarantined, front=front)

    def _row(self, held: Held) -> _Loaded | None:
        try:
            plan = self._plans.plan(held.job)
            segment = self._plans.segment(held.job, held.index)
            recipe = plan.recipe
            reference = self._references.path(recipe.tenant, segment.voice) if segment.uploaded else None
            copied = _voice_of(recipe.manner.emotion)
            emotion_reference = self._references.path(recipe.tenant, copied) if copied else None
        except ObjectMissing as error:
            log.warning("segment %d of %s can't be loaded: %s", held.index, held.job, error)
            self._store.run(segments.fail(held.token, held.job, held.index, error.message))
            self._leases.drop([held])
            return None
        speech = Speech(
            recipe.language, segment.voice, reference, recipe.manner, emotion_reference, segment.target_duration_ms
        )
        return _Loaded(held, segment, speech)

    def _look(self, loaded: _Loaded) -> None:
        key = clip_key(loaded.segment.digest)
        if self._storage.head(key) is None:
            return
        try:
            loaded.found_ms = duration_ms(self._storage.get(key, 0, _HEADER))
        except (ObjectMissing, ClipCorrupt):
            loaded.found_ms = None  # it is rendered anew and overwritten

    def _settle_found(self, found: Sequence[_Loaded]) -> None:
        by_lease: dict[str, list[_Loaded]] = {}
        for one in found:
            by_lease.setdefault(one.held.token, []).append(one)
        for token, group in by_lease.items():
            clips = [segments.Settled(one.held.job, one.held.index, one.found_ms or 0, cached=True) for one in group]
            self._store.run(segments.settle(token, clips))
            self._leases.drop(one.held for one in group)
            self.cached += len(clips)

    def _shelve(self, missing: Sequence[_Loaded], quarantined: bool, *, front: bool) -> None:
        fresh = []
        with self._change:
            for one in missing:
                twin = self._by_digest.get(one.segment.digest)
                if twin is not None and not quarantined and not twin.quarantined:
                    twin.held.append(one.held)  # also when it runs already: its clip settles this one too
                    continue
                key = one.segment.digest if twin is None else f"{one.segment.digest}/{one.held.job}/{one.held.index}"
                work = Work(Utterance(key, one.segment.text, one.speech), [one.held], quarantined)
                self._by_digest.setdefault(one.segment.digest, work)
                fresh.append(work)
            if front:
                self._ready.extendleft(reversed(fresh))
            else:
                self._ready.extend(fresh)
            self._change.notify_all()

    def lost(self, held: Collection[Held]) -> None:
        """These are with another worker by now, or unwanted. What already runs is finished: its clip is as good."""
        with self._change:
            self._ready = deque(work for work in self._ready if self._keep(work, held))
            self._change.notify_all()


def _voice_of(emotion: str | None) -> str | None:
    """The uploaded voice that an emotion is copied from, by digest."""
    return json.loads(emotion).get("voice") if emotion else None
