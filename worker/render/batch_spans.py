"""One span for each batch that an engine takes, from the taking to its last clip, with links to the jobs of the batch.

A batch mixes jobs, so its span can't belong to the trace of one of them. The traces of jobs are asked for when their
segments are claimed, away from the engine's thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from farm.errors import StoreUnavailable
from farm.logs import ids_of
from farm.store import Store, jobs
from farm.tracing import OFF, Span, Tracing, trace_id
from worker.render.work import Work

_KEPT = 10_000  # jobs whose traces are remembered


class Traces:
    """job -> its traceparent, of the jobs of which segments were claimed lately."""

    def __init__(self, store: Store, tracing: Tracing = OFF) -> None:
        self._store, self._on = store, tracing.on
        self._known: OrderedDict[str, str | None] = OrderedDict()

    def learn(self, claimed: Iterable[str]) -> None:
        """An outage of the store is no error here: without a trace there is no link."""
        if not self._on:
            return
        for job in claimed:
            if job not in self._known:
                try:
                    self._known[job] = self._store.run(jobs.trace(job))
                except StoreUnavailable:
                    return
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)

    def of(self, job: str) -> str | None:
        return self._known.get(job)

    def ids(self, job: str) -> dict[str, str]:
        """What an event of the log says of a job."""
        found = trace_id(self.of(job))
        return ids_of(job) | ({"trace_id": found} if found else {})


class BatchSpans:
    """Safe to call from several threads."""

    def __init__(self, traces: Traces, tracing: Tracing = OFF, **attributes: str) -> None:
        self._traces, self._tracing, self._attributes = traces, tracing, attributes
        self._lock = threading.Lock()
        self._running: dict[str, _Batch] = {}  # by the id of each piece of its work that runs

    def taken(self, works: Sequence[Work]) -> None:
        """The engine has these from now on."""
        if not self._tracing.on:
            return
        of_jobs = dict.fromkeys(held.job for work in works for held in work.held)
        links = [trace for job in of_jobs if (trace := self._traces.of(job)) is not None]
        span = self._tracing.begin(
            "render batch", links=links, clips=len(works), segments=sum(len(work.held) for work in works),
            jobs=len(of_jobs), **self._attributes,
        )  # fmt: skip
        batch = _Batch(span, {work.id for work in works})
        with self._lock:
            self._running.update(dict.fromkeys(batch.left, batch))

    def finished(self, id: str) -> None:
        """The engine has made the clip of this piece of work, or failed to, or will never."""
        if not self._running:
            return
        with self._lock:
            batch = self._running.pop(id, None)
            if batch is None:
                return
            batch.left.discard(id)
            over = not batch.left
        if over:
            batch.span.end()


class _Batch:
    def __init__(self, span: Span, left: set[str]) -> None:
        self.span, self.left = span, left
