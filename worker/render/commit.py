"""Behind the engine: check and encode each clip, upload the clip, settle its segments. The engine goes on meanwhile.

        engine ──> put() ──> check + encode + upload (a pool, clips side by side) ──> settle (in groups, one thread)

An outage of storage or store is waited for: uploads and settles are tried again until they succeed, and no attempt is
burned. Only a worker that must end gives up. put() blocks while two batches are on their way and not settled. That
bounds the memory, and the number of clips that a killed worker leaves to be rendered again.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TypeVar

from farm.errors import StorageUnavailable, StoreUnavailable
from farm.layout import clip_key
from farm.sound.flac import encode
from farm.storage import Storage
from farm.store import Store, segments
from worker.engine import Clip, Failure, needs_review
from worker.render.batch_spans import Traces
from worker.render.leases import Held, Leases
from worker.render.sound_checks import checked
from worker.render.work import Work

log = logging.getLogger(__name__)
T = TypeVar("T")

_UPLOADS = 8
_GROUP = 64
_LONGEST_PAUSE = 1.0  # seconds between two tries, and so the longest wait of the engine after an outage


@dataclass(frozen=True, slots=True)
class _Stored:
    held: Sequence[Held]
    milliseconds: int
    rendered_s: float
    again: int
    warned: frozenset[str]  # codes


class Commit:
    """At most `room` pieces of work are on their way. `fault` is an error that is no outage; it ends the drain."""

    def __init__(
        self, store: Store, storage: Storage, leases: Leases, traces: Traces,
        wake_desk: Callable[[], object] = lambda: None, *, sample_rate: int, room: int,
    ) -> None:  # fmt: skip
        self._store, self._storage, self._leases, self._traces = store, storage, leases, traces
        self._wake_desk = wake_desk
        self._sample_rate = sample_rate
        self._room = threading.BoundedSemaphore(room)
        self._stored: queue.SimpleQueue[_Stored | None] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(_UPLOADS, "upload")
        self._settler = threading.Thread(target=self._settling, name="settle", daemon=True)
        self._gone = threading.Event()
        self.fault: BaseException | None = None
        self.settled = 0
        self.audio_ms = 0

    def __enter__(self) -> Commit:
        self._settler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        self._stored.put(None)
        self._settler.join()

    def give_up(self) -> None:
        """The worker must end: no further tries. Segments that are not settled by now are given back."""
        self._gone.set()

    def put(self, work: Work, outcome: Clip | Failure) -> None:
        """Accepts a finished piece of work. Blocks while there is no room."""
        self._room.acquire()
        self._pool.submit(self._store_outcome, work, outcome)

    def _store_outcome(self, work: Work, outcome: Clip | Failure) -> None:
        stored = None
        try:
            if isinstance(outcome, Failure):
                self._fail(work, outcome)
            else:
                stored = self._upload(work, outcome)
        except (StorageUnavailable, StoreUnavailable):
            self._leases.give_back(work.held)  # given up: an outage burns no attempt
        except BaseException as error:
            log.exception("a clip could not be stored")
            self._leases.drop(work.held)
            self.fault = error
        if stored is not None:
            self._stored.put(stored)
        else:
            self._room.release()

    def _upload(self, work: Work, clip: Clip) -> _Stored:
        clip = checked(clip, work.utterance, self._sample_rate)
        data = encode(clip.samples, self._sample_rate, map(str, clip.warnings), clip.spoken_characters)
        self._until_done(partial(self._storage.put, clip_key(work.digest), data, "audio/flac"), StorageUnavailable)
        milliseconds = round(len(clip.samples) * 1000 / self._sample_rate)
        codes = frozenset(notice.code for notice in clip.warnings)
        return _Stored(work.held, milliseconds, work.rendered_s, work.again, codes)

    def _fail(self, work: Work, failure: Failure) -> None:
        for held in work.held:
            log.warning("not rendered: %s", failure.error, extra=self._traces.ids(held.job))
            verb = segments.fail(held.token, held.job, held.index, str(failure))
            self._until_done(partial(self._store.run, verb), StoreUnavailable)
        self._leases.drop(work.held)
        self._wake_desk()  # the job may have failed, or ended without this segment

    def _settling(self) -> None:
        over = False
        while not over:
            group = [self._stored.get()]
            while len(group) < _GROUP and not self._stored.empty():
                group.append(self._stored.get())
            clips = [stored for stored in group if stored is not None]
            over = len(clips) < len(group)
            try:
                self._settle(clips)
            except StoreUnavailable:
                log.warning("given up; the clips are in storage and will be found there")
            except BaseException as error:
                log.exception("clips could not be settled")
                self._leases.drop(held for stored in clips for held in stored.held)
                self.fault = error
            finally:
                if clips:
                    self._room.release(len(clips))

    def _settle(self, group: Sequence[_Stored]) -> None:
        by_lease: dict[str, list[tuple[Held, _Stored]]] = {}
        made: dict[str, list[_Stored]] = {}
        for stored in group:
            for held in stored.held:
                by_lease.setdefault(held.token, []).append((held, stored))
            made.setdefault(stored.held[0].token, []).append(stored)
        for token, clips in by_lease.items():
            rows = [
                segments.Settled(held.job, held.index, stored.milliseconds, review=needs_review(stored.warned))
                for held, stored in clips
            ]
            rendered_s = [stored.rendered_s for stored in made.get(token, ())]
            warned = Counter(code for stored in made.get(token, ()) for code in stored.warned)
            again = sum(stored.again for stored in made.get(token, ()))
            verb = segments.settle(token, rows, rendered_s, warned, again)
            settlement = self._until_done(partial(self._store.run, verb), StoreUnavailable)
            self._leases.drop(held for held, _ in clips)
            if settlement.became_due:
                self._wake_desk()
            self.settled += sum(settlement.counted)
            self.audio_ms += sum(row.milliseconds for row, fresh in zip(rows, settlement.counted, strict=True) if fresh)

    def _until_done(self, act: Callable[[], T], outage: type[Exception]) -> T:
        pause = 0.25
        while True:
            try:
                return act()
            except outage as error:
                if self._gone.wait(pause):
                    raise
                log.warning("trying again: %s", error)
                pause = min(pause * 2, _LONGEST_PAUSE)
