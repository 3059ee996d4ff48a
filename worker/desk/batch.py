"""Unfolds a batch: each of its lines becomes a job, and a canceled batch has its jobs canceled.

A long batch is unfolded in slices, so that other tasks have their turn between them. The count of accepted jobs is the
bookmark, so a desk that takes over goes on where the last one stopped. While Redis is crowded no batch is unfolded any
further: what room there is belongs to jobs that come one by one, and to the work on what was accepted.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from dataclasses import replace

from farm.errors import Conflict, NotFound, ObjectMissing
from farm.layout import batch_cover_key, book_cover_key, book_key, lines_key, text_key
from farm.order import LineBook, Order, read_lines
from farm.storage import Storage
from farm.store import Store, batches, jobs, tasks
from farm.tracing import OFF, Tracing

log = logging.getLogger(__name__)

_SLICE_S = 2.0
_JOBS_A_LOOK = 100  # accepted between two looks at the memory of Redis, in which they take some 200 kB
_CROWDED_MS = 5_000  # until the next look at a crowded Redis
_CANCELED_AT_ONCE = 100  # jobs of one call; Redis is busy with them for some milliseconds


class Crowded(Exception):
    """Redis has no room for further jobs of batches."""


class Unfolder:
    def __init__(self, store: Store, storage: Storage, tracing: Tracing = OFF) -> None:
        self._store, self._storage, self._tracing = store, storage, tracing
        self._waiting: set[str] = set()  # batches of which the log says already that they wait

    def unfold(self, task: tasks.Task) -> None:
        batch = self._store.run(batches.record(task.id))
        if batch is None:
            self._store.run(tasks.done(task))
            return
        end = time.monotonic() + _SLICE_S
        try:
            over = self._accept_some(batch, end)
        except Crowded:
            self._remark(batch)
            self._store.run(tasks.done(task, again_ms=_CROWDED_MS))
            return
        self._waiting.discard(batch.id)
        batch = self._store.run(batches.record(task.id))
        if batch is not None and batch.canceled:
            over = self._cancel_some(batch.id, end)
        self._store.run(tasks.done(task, again_ms=None if over else 0))

    def _accept_some(self, batch: batches.BatchRecord, end: float) -> bool:
        """Accepts jobs until `end`. Returns whether every line is a job, or need not become one."""
        if not batch.waiting:
            return True
        self._look_for_room()
        with self._storage.open(lines_key(batch.id)) as file:
            shared = None if batch.shared is None else json.loads(batch.shared)
            for number, order in enumerate(read_lines(file, skip=batch.accepted, shared=shared), 1):
                new = jobs.NewJob.of(order, batch.tenant, batch=batch.id, shared=shared, trace=batch.trace)
                if not self._accept_traced(order, new):
                    return True
                if time.monotonic() > end:
                    return False
                if number % _JOBS_A_LOOK == 0:
                    self._look_for_room()
        return True

    def _accept_traced(self, order: Order, new: jobs.NewJob) -> bool:
        """Each job of a batch has a trace of its own, linked to the request: 50,000 jobs in one could be read by
        nobody. Where nothing is traced, all of them keep what the request has sent."""
        if not self._tracing.on:
            return self._accept(order, new)
        links = [] if new.trace is None else [new.trace]
        with self._tracing.step("accept", links=links, job_id=new.id, batch_id=new.batch or "") as span:
            return self._accept(order, replace(new, trace=span.traceparent))

    def _accept(self, order: Order, new: jobs.NewJob) -> bool:
        """False when the batch was canceled or deleted meanwhile."""
        parts = {} if order.inline else {text_key(order.id): (order.text.encode(), "application/json")}
        if order.book is not None and new.batch is not None:
            parts |= self._book_of(order.id, order.book, new.batch)
        for key, (data, kind) in parts.items():
            self._storage.put(key, data, kind)
        try:
            self._store.run(jobs.accept(new))
        except (Conflict, NotFound):
            self._storage.delete(*parts)
            return False
        return True

    def _book_of(self, job: str, book: LineBook, batch: str) -> dict[str, tuple[bytes, str]]:
        """The objects that the job keeps of its document, with their types. A cover that storage has lost is left out,
        as assembly does."""
        parts = {book_key(job): (book.metadata.encode(), "application/json")}
        if book.cover_bytes:
            with suppress(ObjectMissing):
                cover = self._storage.get(batch_cover_key(batch, book.document))
                parts[book_cover_key(job)] = cover, book.cover_type
        return parts

    def _look_for_room(self) -> None:
        if self._store.pressure().crowded:
            raise Crowded

    def _remark(self, batch: batches.BatchRecord) -> None:
        """Once a batch, however often it is looked at."""
        if batch.id not in self._waiting:
            self._waiting.add(batch.id)
            log.warning(
                "%s waits with %d of its %d jobs: Redis is nearly full; let it drain or give it more memory",
                *(batch.id, batch.waiting, batch.total),
            )

    def _cancel_some(self, batch: str, end: float) -> bool:
        """Cancels jobs until `end`. Returns whether all of the batch have ended."""
        line: int | None = 0
        while line is not None:
            if time.monotonic() > end:
                return False
            line = self._store.run(batches.cancel_jobs(batch, after=line, limit=_CANCELED_AT_ONCE))
        return True
