"""The Celery app. Two tasks, both "drain until there is nothing left"; a message is only a hint.

    celery -A worker.app worker -Q render.<model> -P threads -c 1      python -m worker render
    celery -A worker.app worker -Q desk -P prefork -c 2                python -m worker desk

What a worker is follows from the queues that it consumes. A render worker loads its engine and announces its model
before it takes the first message; SIGTERM lets it finish the batch in flight and give the rest back.
"""

from __future__ import annotations

import logging
import mmap
import os
import sys
import threading
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from celery import Celery, signals

from farm.errors import EXIT_FAULT, EXIT_MISCONFIGURED, FarmError, Misconfigured
from farm.job import Due
from farm.settings import Settings, misspelt
from farm.storage import Storage, open_storage
from farm.store import Store, registry, tasks
from farm.wake import DESK_TASK, RENDER_TASK, Waker, celery_settings
from worker.engines import load
from worker.process.consumer import started as consumer_started
from worker.process.heartbeat import Heartbeat, new_worker_id
from worker.process.keeper import Keeper
from worker.process.standby import Standby
from worker.render.renderer import Renderer

if TYPE_CHECKING:
    from worker.desk.desk import Desk  # takes 2 s to load, which a render worker need not wait for

log = logging.getLogger(__name__)

settings = Settings.read()
app = Celery("farm")
app.conf.update(celery_settings(settings), worker_consumer="worker.process.consumer:SteadyConsumer")

_stopping = mmap.mmap(-1, 1)  # 1 once it is so; shared with the desk's pool, which the signal does not reach
_turn = threading.Lock()  # there is one engine, for a message and for the standby
_renderer: Renderer | None = None
_desk: Desk | None = None
_threads: list[Keeper | Heartbeat | Standby] = []


@app.task(name=RENDER_TASK)
def render() -> None:
    if _renderer is None:
        raise RuntimeError(f"this worker consumes no render queue; start one with -Q render.{settings.model}")
    try:
        with _turn:
            _renderer.drain()
    except Exception:
        log.critical("this worker ends", exc_info=True)
        logging.shutdown()
        os._exit(EXIT_FAULT)


@app.task(name=DESK_TASK)
def desk() -> None:
    global _desk
    if _desk is None:  # made here: connections and threads do not survive the pool's fork
        _desk = _new_desk()
    _desk.drain(lambda: _stopping[0] == 1)


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatter in ("celery.worker.strategy", "celery.app.trace"):  # a line per wake-up says nothing
        logging.getLogger(chatter).setLevel(logging.WARNING)
    for warning in misspelt(os.environ):
        log.warning(warning)


@signals.celeryd_after_setup.connect
def _take_up_role(instance: Any, **_: Any) -> None:
    """Ends the process where that fails: Celery logs what a receiver raises, and goes on with a worker that takes
    work and can't do it; of an exit it keeps the code to itself."""
    try:
        _equip(set(instance.app.amqp.queues.consume_from))
    except FarmError as error:
        print(f"error: {error.message}", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(EXIT_MISCONFIGURED if isinstance(error, Misconfigured) else EXIT_FAULT)
    except Exception:
        log.critical("this worker can't start", exc_info=True)
        logging.shutdown()
        os._exit(1)


def _equip(queues: set[str]) -> None:
    """Everything that lives as long as the worker: what it works with, and its threads beside Celery's."""
    global _renderer
    store = Store.connect(settings.redis_url)
    worker_id = new_worker_id()
    if any(queue.startswith("render.") for queue in queues):
        engine = load(settings)
        _renderer = Renderer(store, _storage(), engine, settings, worker_id)
        store.run(registry.announce(engine.card.name, engine.card.model_dump_json()))
        heartbeat = Heartbeat(store, worker_id, _renderer.figures, engine=engine)
        standby = Standby(settings.broker, partial(_has_segments, store), render)
    else:
        import worker.desk.desk  # noqa: F401  (before the pool forks, so that its processes share it)

        _storage()
        heartbeat = Heartbeat(store, worker_id)
        standby = Standby(settings.broker, partial(_has_due, store), _drain_desk)
    keeper = Keeper(store, Waker(settings.broker), worker=worker_id, lease_ms=round(settings.lease_seconds * 1000))
    _threads.extend((heartbeat, keeper, standby))


def _new_desk() -> Desk:
    from worker.desk.desk import Desk

    return Desk(Store.connect(settings.redis_url), _storage(), Waker(settings.broker), settings)


@cache
def _storage() -> Storage:
    """Opened before the pool forks: a child that opened a folder by itself might do so while it is not mounted."""
    return open_storage(settings)


@cache
def _parents_desk() -> Desk:
    """Of the pool's parent: its children have theirs."""
    return _new_desk()


def _drain_desk() -> None:
    _parents_desk().drain(lambda: _stopping[0] == 1)


def _has_segments(store: Store) -> bool:
    work = store.run(registry.backlog())
    return sum(work.ready.get(settings.model, {}).values()) + work.solo.get(settings.model, 0) > 0


def _has_due(store: Store) -> bool:
    return 0 in store.run(tasks.next_due(tuple(Due))).values()


@consumer_started.connect
def _begin(**_: Any) -> None:
    for thread in _threads:
        thread.start()


@signals.worker_shutting_down.connect
def _stop_claiming(**_: Any) -> None:
    _stopping[0] = 1
    if _renderer is not None:
        _renderer.stop()


@signals.worker_shutdown.connect
def _say_farewell(**_: Any) -> None:
    for thread in _threads:
        thread.stop()
    if _renderer is not None:
        _renderer.close()
        _renderer.engine.close()
