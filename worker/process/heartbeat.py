"""A worker's heartbeat publishes its identity and its speed, as long as the worker lives.

/v1/queue, the estimate of a job's end and autoscaling read it. The heartbeat also notices that Redis was emptied, and
ends the worker. Its supervisor starts the worker again, which then announces itself and its model to the new Redis.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections import deque
from datetime import datetime
from functools import partial

import psutil

from farm import wire
from farm.errors import EXIT_FAULT, StoreReplaced, StoreUnavailable
from farm.store import Store, registry
from worker.process.storage_watch import StorageWatch
from worker.process.ticker import Ticker
from worker.render.renderer import Figures, Renderer

log = logging.getLogger(__name__)

_EVERY_S = 2.0
_TTL_MS = 10_000
_WINDOW = 30  # beats over which speed is averaged


def new_worker_id() -> str:
    """Host name and a fresh uuid: a restarted container keeps its host name, and is not the worker that died in it."""
    return f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"


class Heartbeat:
    """`renderer`: whose engine and figures to publish; a desk has none."""

    def __init__(self, store: Store, worker: str, storage: StorageWatch, renderer: Renderer | None = None) -> None:
        self._store, self._worker, self._storage, self._renderer = store, worker, storage, renderer
        self._started: datetime | None = None
        self._seen: deque[Figures] = deque([Figures()], maxlen=_WINDOW)
        self.ticker = Ticker(
            "heartbeat", _EVERY_S, self._beat, on_outage=partial(log.debug, "no heartbeat: %s"), at_once=True
        )

    def farewell(self) -> None:
        """Takes the worker off the list of the living. Call it after the ticker has ended."""
        try:
            self._store.run(registry.beat(self._worker, None, _TTL_MS))
        except (StoreUnavailable, StoreReplaced) as error:
            log.debug("no farewell: %s", error)

    def _beat(self) -> None:
        try:
            worker = self._describe(self._store.run(registry.clock()))  # this machine's own clock may be wrong
            self._store.run(registry.beat(self._worker, worker.model_dump_json(exclude_none=True), _TTL_MS))
        except StoreReplaced as error:
            log.critical("this worker ends: %s", error)
            logging.shutdown()
            os._exit(EXIT_FAULT)

    def _describe(self, now: datetime) -> wire.Worker:
        memory = psutil.Process().memory_info().rss
        self._started = started = self._started or now
        if self._renderer is None:
            return wire.Worker(
                id=self._worker, kind="desk", started_at=started, seen_at=now, memory_bytes=memory,
                storage_mark=self._storage.mark,
            )  # fmt: skip
        engine, figures = self._renderer.engine, self._renderer.figures()
        if figures != self._seen[-1]:  # an idle worker keeps its last measured speed
            self._seen.append(figures)
        recent = figures - self._seen[0]
        return wire.Worker(
            id=self._worker, kind="render", model=engine.card.name, device=engine.device,
            capacity=engine.capacity, facts=dict(self._renderer.facts()), storage_mark=self._storage.mark,
            started_at=started, seen_at=now, segments=figures.segments, memory_bytes=memory,
            segments_per_second=recent.segments / recent.seconds if recent.seconds else 0.0,
            real_time_factor=recent.seconds / recent.audio_seconds if recent.audio_seconds else None,
            batch_mean=recent.taken / recent.takes if recent.takes else None,
            idle_share=min(1.0, recent.waited / recent.seconds) if recent.seconds else None,
        )  # fmt: skip
