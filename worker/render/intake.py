"""Claim-ahead: the next batch is claimed and loaded while the engine is busy with this one.

        claim ──> load (loader.py) ──> ready ──> take() ──> begin ──> engine ──> finished()
        (a thread of its own, up to one batch ahead)

take() claims interactive work first and puts that work before all other, so a single line waits only for the running
batch. Segments that share a digest are rendered once. A segment that cost a worker before is quarantined: quarantine.py
has the rule.

The feed is over when the store has nothing and all clips are settled. Until then each settled clip may make room for
work of a tenant that has as many segments in hand as it may have.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from types import TracebackType

from farm.errors import StorageUnavailable, StoreUnavailable
from farm.store import Store, segments
from worker.engine import Utterance
from worker.render.batch_spans import BatchSpans
from worker.render.leases import Held, Leases, by_token
from worker.render.loader import Loader
from worker.render.quarantine import batch_is_ready, may_begin
from worker.render.work import Work

log = logging.getLogger(__name__)

_POLL = 0.05  # seconds between two claims while the engine is busy and the store has nothing
_PAUSE = 1.0  # seconds without claims after store or storage could not be reached


class Intake:
    """The engine's feed. At most `capacity` pieces of work are ready, beside those that run."""

    def __init__(
        self, store: Store, leases: Leases, loader: Loader, spans: BatchSpans,
        *, model: str, worker: str, capacity: int, lease_ms: int,
    ) -> None:  # fmt: skip
        self._store, self._leases, self._loader, self._spans = store, leases, loader, spans
        self._model, self._worker, self._capacity, self._lease_ms = model, worker, capacity, lease_ms
        self._ready: deque[Work] = deque()
        self._again: deque[tuple[Work, Utterance]] = deque()  # taken before, and wanted once more
        self._express: set[str] = set()  # jobs of the interactive lane with ready work, as far as express claims tell
        self._running: dict[str, Work] = {}
        self._by_digest: dict[str, Work] = {}  # ready or running
        self._pieces: deque[Utterance] = deque()  # of work that runs and is made once more (retakes.py)
        self._begun: dict[Held, bool] = {}  # segments that began and may be unsettled -> whether they are quarantined
        self._dry = False  # the last claim found nothing
        self._dropped = False  # since the last claim some segments are no longer held
        self._over = False
        self._change = threading.Condition()  # guards all of the above
        self._one_claim = threading.Lock()  # held from a claim until its work is ready; taken before `_change`
        self._thread = threading.Thread(target=self._claiming, name="claim-ahead", daemon=True)
        self.last_take = time.monotonic()
        self.takes = 0
        self.taken = 0
        self.waited = 0.0  # seconds that the engine spent in take()
        self.fault: Exception | None = None  # the error that ended claiming
        leases.listen(self)

    def __enter__(self) -> Intake:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()
        left = [*self._ready, *(work for work, _ in self._again)]
        self._leases.give_back(held for work in left for held in work.held)
        self._ready.clear()
        self._again.clear()

    def stop(self) -> None:
        """No further claims; from now on take() answers with nothing."""
        with self._change:
            self._over = True
            self._change.notify_all()

    # --- the engine's side ----------------------------------------------------------------------------------------

    def take(self, count: int, *, wait: bool) -> Sequence[Utterance]:
        asked = time.monotonic()
        begun: list[Work] = []
        while not begun:
            with self._change:
                while wait and not (self._over or self._pieces or self._again or self._batch_is_ready(count)):
                    self._change.wait()
                if self._pieces:
                    return [self._pieces.popleft() for _ in range(min(count, len(self._pieces)))]
                if self._over or not (self._ready or self._again):
                    return []
                if self._again:
                    return self._take_again(count)
            self._top_up(count)
            begun = self._begin(count)
            if not wait:
                break
        self.last_take = time.monotonic()
        if begun:
            self.takes += 1
            self.taken += len(begun)
            self.waited += time.monotonic() - asked
            self._spans.taken(begun)
        return [work.utterance for work in begun]

    def again(self, work: Work, utterance: Utterance) -> bool:
        """One more take of work that is finished: this utterance, whose key is its own, goes before all other work. It
        belongs to the attempt that has begun. False once the drain is over."""
        with self._change:
            if self._over:
                return False
            self._again.append((work, utterance))
            self._change.notify_all()
            return True

    def _take_again(self, count: int) -> list[Utterance]:
        """Called with `_change` held."""
        taken = [self._again.popleft() for _ in range(min(count, len(self._again)))]
        self.last_take = time.monotonic()
        for work, utterance in taken:
            work.begun_at = self.last_take
            self._running[utterance.key] = work
        return [utterance for _, utterance in taken]

    def finished(self, key: str) -> Work:
        """The engine has made the clip of this utterance, or failed to."""
        with self._change:
            work = self._running.pop(key)
            work.rendered_s = time.monotonic() - work.begun_at
            self._forget(work)
            self._change.notify_all()
        self._spans.finished(key)
        return work

    def add_pieces(self, pieces: Sequence[Utterance]) -> None:
        """Utterances that belong to work that runs. The engine gets them before all other work, also when no more of
        that comes; and at once, if it waits."""
        with self._change:
            self._pieces.extend(pieces)
            self._change.notify_all()

    @property
    def has_pieces(self) -> bool:
        return bool(self._pieces)

    def running_work(self, key: str) -> Work:
        """The work of an utterance that was taken and is not finished."""
        with self._change:
            return self._running[key]

    def fail_running(self, reason: str) -> None:
        """The engine broke down: the segments that run lose their attempt now, and not when their leases run out. This
        worker claims none of them again."""
        broken = self._stop_running()
        try:
            for held in broken:
                self._store.run(segments.fail(held.token, held.job, held.index, reason))
        except StoreUnavailable as error:
            log.warning("segments lose their attempt when their leases run out, not now: %s", error)
        self._leases.drop(broken)

    def spare_running(self) -> None:
        """The device broke down: the segments that run go back and lose nothing. This worker claims none of them
        again."""
        self._leases.give_back(self._stop_running())

    def _stop_running(self) -> list[Held]:
        self.stop()
        with self._change:
            stopped = [held for work in self._running.values() for held in work.held]
            for work in self._running.values():
                self._forget(work)
                self._spans.finished(work.id)
            self._running.clear()
        return stopped

    @property
    def running(self) -> int:
        return len(self._running)

    def _begin(self, count: int) -> list[Work]:
        """Begins work from the front of what is ready. From here on a lost worker burns an attempt of its segments, and
        of no others."""
        with self._change:
            chosen = [self._ready.popleft() for _ in range(may_begin(*self._flags(), count))]
            beginning = {held: work.quarantined for work in chosen for held in work.held}
            self.last_take = time.monotonic()  # before anything runs: the wait for it was no hang of the engine
            for work in chosen:
                work.begun_at = self.last_take
                self._running[work.id] = work
            self._begun.update(beginning)
            self._change.notify_all()
        if not chosen:
            return []
        try:
            refused = beginning.keys() - self._begin_in_store(beginning)
        except StoreUnavailable as error:
            log.warning("rendering on without the store: %s", error)  # settle is retried; the lease's grace covers us
            return chosen
        self._leases.drop(refused)
        with self._change:
            for work in chosen:
                self._remove_segments(work, refused)
                if not work.held:
                    del self._running[work.id]
            return [work for work in chosen if work.held]

    def _begin_in_store(self, held: Iterable[Held]) -> set[Held]:
        """The segments that may start. The others are no longer held, or no longer wanted."""
        granted: set[Held] = set()
        for token, by_job in by_token(held).items():
            for job, indices in self._store.run(segments.begin(token, by_job)).items():
                granted.update(Held(token, job, index) for index in indices)
        return granted

    # --- the rule of quarantine, asked with `_change` held ----------------------------------------------------------

    def _batch_is_ready(self, count: int) -> bool:
        return batch_is_ready(*self._flags(), size=min(count, self._capacity), dry=self._dry)

    def _unsettled(self) -> dict[Held, bool]:
        """What began and is not settled yet. Once it is, there may be work of a tenant that has as many segments in
        hand as it may have."""
        self._begun = {held: quarantined for held, quarantined in self._begun.items() if self._leases.has(held)}
        return self._begun

    def _flags(self) -> tuple[list[bool], list[bool]]:
        """Whether each is quarantined: the work that is ready, and all that runs, or began and is not settled."""
        running = [work.quarantined for work in self._running.values()]
        return [work.quarantined for work in self._ready], [*running, *self._unsettled().values()]

    # --- the claiming side ----------------------------------------------------------------------------------------

    def _claiming(self) -> None:
        while True:
            with self._change:
                while not self._over and len(self._ready) >= self._capacity:
                    self._change.wait()
                if self._over:
                    return
                want = self._capacity - len(self._ready)
                self._dropped = False
            try:
                found = self._claim(want)
            except (StoreUnavailable, StorageUnavailable) as error:
                log.warning("claiming pauses: %s", error)
                self._rest(_PAUSE)
            except Exception as error:
                self.fault = error
                self.stop()
            else:
                self._note_claim(found)
                if not found:
                    self._rest(_POLL, until=lambda: self._dropped)

    def _note_claim(self, found: bool) -> None:
        with self._change:
            self._dry = not found
            claims_again = self._dropped  # what was settled since that claim may have made room for more
            if self._dry and not (claims_again or self._ready or self._running or self._unsettled()):
                self._over = True  # the drain is done; the next wake starts another
            self._change.notify_all()

    def _top_up(self, count: int) -> None:
        """Interactive work that arrived since the batch was claimed goes to its front."""
        try:
            self._claim(count, express=True)
        except (StoreUnavailable, StorageUnavailable) as error:
            log.warning("no interactive top-up: %s", error)

    def _claim(self, want: int, *, express: bool = False) -> bool:
        """Whether the store had something. The work is ready by then: express work at the front."""
        with self._one_claim:
            grant = self._store.run(
                segments.claim(self._model, want=want, worker=self._worker, lease_ms=self._lease_ms, express=express)
            )
            if grant is None:
                return False
            loaded = self._loader.load(grant)
            with self._change:
                fresh = [work for work in loaded if not self._shares_a_clip(work)]
                if express:
                    self._put_first(fresh, grant.segments)
                else:
                    self._ready.extend(fresh)
                self._change.notify_all()
            return True

    def _put_first(self, fresh: Sequence[Work], jobs: Iterable[str]) -> None:
        """Before all other work, and behind what of the same kind is ready: a listener waits for the first segment of
        a text, so the later ones must not overtake it. Called with `_change` held."""
        self._express.update(jobs)
        first, others = deque(fresh), deque[Work]()
        for work in reversed(self._ready):
            is_express = any(held.job in self._express for held in work.held)
            (first if is_express else others).appendleft(work)
        self._ready = first + others
        self._express = {held.job for work in first for held in work.held}

    def _rest(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        with self._change:
            self._change.wait_for(lambda: self._over or until(), seconds)

    # --- segments of a piece of work, changed with `_change` held -----------------------------------------------------

    def _shares_a_clip(self, work: Work) -> bool:
        """Whether plain work with this digest is ready or runs: its clip then settles these segments as well."""
        twin = self._by_digest.setdefault(work.digest, work)
        if twin is work or twin.quarantined or work.quarantined:
            return False
        twin.held.extend(work.held)
        return True

    def _remove_segments(self, work: Work, gone: Collection[Held]) -> None:
        work.held = [held for held in work.held if held not in gone]
        if not work.held:
            self._forget(work)

    def _forget(self, work: Work) -> None:
        if self._by_digest.get(work.digest) is work:
            del self._by_digest[work.digest]

    # --- what the leases report ---------------------------------------------------------------------------------------

    def segments_lost(self, held: Collection[Held]) -> None:
        """Work without segments is not begun. Work that runs already is finished: its clip is as good for others."""
        with self._change:
            for work in self._ready:
                self._remove_segments(work, held)
            self._ready = deque(work for work in self._ready if work.held)
            self._change.notify_all()

    def segments_dropped(self) -> None:
        """Others may have waited for this: a quarantined segment, or those of a tenant that had too many in hand."""
        with self._change:
            self._dropped = True
            self._change.notify_all()
