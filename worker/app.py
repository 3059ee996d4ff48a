"""The Celery app. Two tasks, both "drain until there is nothing left"; a message is only a hint.

    celery -A worker.app worker -Q render.<model> -P threads -c 1      python -m worker render
    celery -A worker.app worker -Q desk -P prefork -c 2                python -m worker desk

The queues that a worker consumes decide its role (process/roles.py). A render worker loads its engine and announces its
model before it takes the first message. At SIGTERM it finishes the batch in flight and gives the rest back.

    celeryd_after_setup       the role is made      before the pool forks
    consumer_started          its threads begin     after the fork, and before the broker has answered
    worker_shutting_down      it takes no more      at SIGTERM
    worker_process_shutdown   its traces are sent   in each process of the pool, at its end
    worker_shutdown           it is closed          after the last task
"""

from __future__ import annotations

import logging
import os
from typing import Any

import celery.apps.worker
from celery import signals

from farm import environment, logs
from farm.errors import EXIT_FAULT, EXIT_MISCONFIGURED, FarmError, Misconfigured
from farm.settings import Settings, misspelt
from farm.wake import DESK_QUEUE, DESK_TASK, RENDER_TASK, celery_app
from worker.process.consumer import started as consumer_started
from worker.process.roles import DeskRole, RenderRole, Role, role_for

log = logging.getLogger(__name__)

settings = Settings.read()
logs.begin("worker")
environment.drop_strange()  # for a worker that the `celery` command starts
app = celery_app(
    settings.broker,
    worker_consumer="worker.process.consumer:SteadyConsumer",
    worker_enable_remote_control=settings.remote_control,
)
app.set_current()
role: Role | None = None


@app.task(name=RENDER_TASK)
def render() -> None:
    if not isinstance(role, RenderRole):
        raise RuntimeError(f"this worker consumes no render queue; start one with -Q render.{settings.model}")
    role.drain()


@app.task(name=DESK_TASK)
def desk() -> None:
    if not isinstance(role, DeskRole):
        raise RuntimeError("this worker does not consume the queue of the desk; start one with -Q desk")
    role.drain()


def lost_threads() -> list[str]:
    """What worker/health.py reports of this process: the threads that its role needs and that have ended."""
    return role.lost_threads() if role is not None else []


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    logs.configure(settings, "worker")
    if logs.is_json():
        # It prints "Warm shutdown", which is no event.
        celery.apps.worker.safe_say = lambda *_: None  # type: ignore[attr-defined]
    for warning in misspelt(os.environ):
        log.warning(warning)


@signals.celeryd_after_setup.connect
def _take_up_role(instance: Any, **_: Any) -> None:
    """Ends the process where that fails: Celery logs what a receiver raises, and goes on with a worker that takes
    work and can't do it. Celery drops the exit code of a SystemExit."""
    global role
    queues = set(instance.app.amqp.queues.consume_from)
    logs.configure(settings, "desk" if DESK_QUEUE in queues else "render")
    try:
        role = role_for(queues, settings)
    except FarmError as error:
        logs.last_words(f"error: {error.message}")
        os._exit(EXIT_MISCONFIGURED if isinstance(error, Misconfigured) else EXIT_FAULT)
    except Exception:
        log.critical("this worker can't start", exc_info=True)
        logging.shutdown()
        os._exit(1)


@consumer_started.connect
def _begin(**_: Any) -> None:
    if role is not None:
        role.begin()


@signals.worker_shutting_down.connect
def _stop(**_: Any) -> None:
    if role is not None:
        role.stop()


@signals.worker_process_shutdown.connect
def _end_process(**_: Any) -> None:
    if isinstance(role, DeskRole):
        role.end_process()


@signals.worker_shutdown.connect
def _close(**_: Any) -> None:
    if role is not None:
        role.close()
