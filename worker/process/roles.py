"""The two roles of a worker process, and everything that lives as long as the process.

    made            connects, loads, announces; before Celery's pool forks      FarmError: this worker can't work
    begin           starts the threads beside Celery's; after the fork
    drain           works until nothing is left: for a message, or for the standby
    stop            takes no further work; what is under way is finished or given back
    close           ends the threads and the engine

Connections and threads do not survive a fork, and the desk's pool forks. So a desk's process makes its own at its first
drain, with its own tracing; the parent hands down only the imported code, the storage that it opened, and the byte that
says "stop".
"""

from __future__ import annotations

import ctypes
import gc
import logging
import mmap
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Set
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from farm.errors import EXIT_FAULT, Misconfigured
from farm.job import Due
from farm.settings import Settings
from farm.start import examine
from farm.storage import open_storage
from farm.store import Store, registry, tasks
from farm.tracing import opened
from farm.wake import DESK_QUEUE, Waker, render_queue
from worker.engine import DeviceFault
from worker.engines import load
from worker.process.heartbeat import Heartbeat, new_worker_id
from worker.process.keeper import Keeper
from worker.process.relapse import Relapse
from worker.process.standby import Standby
from worker.process.storage_watch import StorageWatch
from worker.render.check import opened as opened_check
from worker.render.renderer import Renderer

if TYPE_CHECKING:
    from worker.desk.desk import Desk  # takes 2 s to load, which a render worker need not wait for

log = logging.getLogger(__name__)

_ANSWER_S = 5.0  # for the storage watch, on which the end of the process waits
_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


class Role(ABC):
    def __init__(
        self, settings: Settings, store: Store, waker: Waker, worker: str, renderer: Renderer | None = None
    ) -> None:
        storage = StorageWatch(store, open_storage(settings, timeout=_ANSWER_S, attempts=1), settings)
        self._heartbeat = heartbeat = Heartbeat(store, worker, storage, renderer)
        self._standby = Standby(settings.broker, self.has_work, self.drain)
        keeper = Keeper(store, waker, worker=worker, lease_ms=round(settings.lease_seconds * 1000))
        self.tickers = (heartbeat.ticker, keeper.ticker, self._standby.ticker, storage.ticker)

    @abstractmethod
    def drain(self) -> None: ...

    @abstractmethod
    def has_work(self) -> bool: ...

    @abstractmethod
    def stop(self) -> None:
        """Called by a signal handler, so it must not wait."""

    def begin(self) -> None:
        for ticker in self.tickers:
            ticker.start()

    def lost_threads(self) -> list[str]:
        """Names of the threads that ended too early. Nobody starts them again: the process has to be restarted."""
        return [ticker.name for ticker in self.tickers if not ticker.alive]

    def close(self) -> None:
        for ticker in self.tickers:
            ticker.stop()
        for ticker in self.tickers:
            ticker.join()
        self._heartbeat.farewell()
        self._standby.close()


class RenderRole(Role):
    def __init__(self, settings: Settings) -> None:
        _keep_what_is_imported()
        self._model = settings.model
        self._store = Store.connect(settings.redis_url)
        self._turn = threading.Lock()  # there is one engine, for a message and for the standby
        worker = new_worker_id()
        self._relapse = Relapse(self._store, worker, settings.model)
        self._relapse.hold_back()
        engine = load(settings)
        check = opened_check(settings, engine.card)
        waker = Waker(settings.broker)
        wake_desk = partial(waker.wake, DESK_QUEUE)
        self._tracing = opened("render")
        storage = open_storage(settings)
        self._renderer = Renderer(self._store, storage, engine, settings, worker, wake_desk, self._tracing, check)
        card = self._renderer.card
        self._store.run(registry.announce(card.name, card.model_dump_json()))
        super().__init__(settings, self._store, waker, worker, self._renderer)
        self._relapse.begin()

    def drain(self) -> None:
        """An engine that raises ends the process, because nothing can be said of the engine's state."""
        try:
            with self._turn:
                self._renderer.drain()
        except Exception as error:
            log.critical("this worker ends", exc_info=True)
            if isinstance(error, DeviceFault):
                self._relapse.note(error)
            logging.shutdown()
            os._exit(EXIT_FAULT)

    def has_work(self) -> bool:
        work = self._store.run(registry.backlog())
        return sum(work.ready.get(self._model, {}).values()) + work.quarantined.get(self._model, 0) > 0

    def stop(self) -> None:
        self._renderer.stop()

    def close(self) -> None:
        super().close()
        self._renderer.close()
        self._renderer.engine.close()
        self._tracing.close()


class DeskRole(Role):
    def __init__(self, settings: Settings) -> None:
        import worker.desk.desk  # noqa: F401  (before the pool forks, so that its processes share the code)

        _keep_what_is_imported()
        _give_large_blocks_back()
        self._settings = settings
        self._store = Store.connect(settings.redis_url)
        # Opened before the pool forks: a child that opened a folder by itself might do so while it is not mounted.
        self._storage = open_storage(settings)
        self._stopping = mmap.mmap(-1, 1)  # shared with the pool, which SIGTERM does not reach; 1: stop
        self._desks: dict[int, Desk] = {}  # by process id: no process may use the desk of its parent
        super().__init__(settings, self._store, Waker(settings.broker), new_worker_id())

    def drain(self) -> None:
        desk = self._desks.get(os.getpid())
        if desk is None:
            desk = self._desks[os.getpid()] = self._new_desk()
        desk.drain(lambda: self._stopping[0] == 1)

    def has_work(self) -> bool:
        return 0 in self._store.run(tasks.next_due(tuple(Due))).values()

    def stop(self) -> None:
        self._stopping[0] = 1

    def _new_desk(self) -> Desk:
        from worker.desk.desk import Desk

        settings = self._settings
        store, waker = Store.connect(settings.redis_url), Waker(settings.broker)
        return Desk(store, self._storage, waker, settings, tracing=opened("desk"))

    def end_process(self) -> None:
        """At the end of a process of the pool."""
        desk = self._desks.pop(os.getpid(), None)
        if desk is not None:
            desk.close()


def _keep_what_is_imported() -> None:
    """Modules live as long as the process: the garbage collector need not go through them, now or at the end. Nor does
    it write into their memory, which the processes of a desk's pool share."""
    gc.freeze()
    gc.enable()


def _give_large_blocks_back() -> None:
    """Memory of 1 MB or more goes back to the system once it is free. glibc would take up to 32 MB from the heap of a
    thread, after the first such block was freed, and keep them: the samples of passages, in every thread that made one.
    Another C library has no such rule and no such call."""
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def role_for(queues: Set[str], settings: Settings) -> Role:
    """The role that a worker has by the queues that it consumes. Raises FarmError when it can't be taken up."""
    render = {queue for queue in queues if queue.startswith(render_queue(""))}
    if render and render != queues:
        raise Misconfigured(f"a worker has one role: start one with -Q {DESK_QUEUE} and another with -Q {min(render)}")
    examine(settings)
    return RenderRole(settings) if render else DeskRole(settings)
