"""A worker's heartbeat: who it is and how fast it is, published while it lives.

/v1/queue, the ETA and autoscaling read it. It is also what notices that Redis was emptied, and ends the worker: whoever
supervises starts it again, and so it announces itself and its model where the farm goes on.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections import deque
from collections.abc import Callable
from datetime import datetime

import psutil

from farm import wire
from farm.errors import EXIT_FAULT, StoreReplaced, StoreUnavailable
from farm.store import Store, registry
from worker.engine import Engine
from worker.render.renderer import Figures

log = logging.getLogger(__name__)

_EVERY = 2.0
_TTL_MS = 10_000
_WINDOW = 30  # beats over which speed is averaged


def new_worker_id() -> str:
    """Host name and a fresh uuid: a restarted container keeps its host name, and must not pass for its dead self."""
    return f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"


class Heartbeat:
    def __init__(
        self, store: Store, worker: str, figures: Callable[[], Figures] | None = None,
        *, engine: Engine | None = None,
    ) -> None:  # fmt: skip
        self._store, self._worker, self._figures = store, worker, figures
        self._engine = engine
        self._started: datetime | None = None
        self._seen: deque[Figures] = deque([Figures()], maxlen=_WINDOW)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beating, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _beating(self) -> None:
        while True:
            try:
                told = self._describe(self._store.run(registry.clock()))  # this machine's own clock may be wrong
                self._store.run(registry.beat(self._worker, told.model_dump_json(exclude_none=True), _TTL_MS))
            except StoreUnavailable as error:
                log.debug("no heartbeat: %s", error)
            except StoreReplaced as error:
                log.critical("this worker ends: %s", error)
                logging.shutdown()
                os._exit(EXIT_FAULT)
            if self._over.wait(_EVERY):
                break
        try:
            self._store.run(registry.beat(self._worker, None, _TTL_MS))
        except (StoreUnavailable, StoreReplaced) as error:
            log.debug("no farewell: %s", error)

    def _describe(self, now: datetime) -> wire.Worker:
        memory = psutil.Process().memory_info().rss
        self._started = started = self._started or now
        if self._figures is None or self._engine is None:
            return wire.Worker(id=self._worker, kind="desk", started_at=started, seen_at=now, memory_bytes=memory)
        figures = self._figures()
        if figures != self._seen[-1]:  # an idle worker keeps its last measured speed
            self._seen.append(figures)
        recent = figures - self._seen[0]
        return wire.Worker(
            id=self._worker, kind="render", model=self._engine.card.name, device=self._engine.device,
            capacity=self._engine.capacity, facts=dict(self._engine.facts()),
            started_at=started, seen_at=now, segments=figures.segments, memory_bytes=memory,
            segments_per_second=recent.segments / recent.seconds if recent.seconds else 0.0,
            real_time_factor=recent.seconds / recent.audio_seconds if recent.audio_seconds else None,
            batch_mean=recent.taken / recent.takes if recent.takes else None,
            idle_share=min(1.0, recent.waited / recent.seconds) if recent.seconds else None,
        )  # fmt: skip
