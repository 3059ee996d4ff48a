"""Wake-ups: Celery messages that tell workers to look for work.

A wake-up may be lost, doubled or late, because the store holds the truth and the keeper wakes queues with work again.
So a caller never waits and never gets an error. A daemon thread sends at most twenty wake-ups a second to a queue, as
one `send_task` costs 0.4 ms of CPU. A broker that is down is logged once.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from celery import Celery

from farm.redis_address import RedisAddress

log = logging.getLogger(__name__)

DESK_QUEUE = "desk"
RENDER_TASK = "worker.app.render"
DESK_TASK = "worker.app.desk"

_INTERVAL = 0.05  # seconds between two wake-ups of one queue
_PAUSE = 1.0  # seconds without sending, after the broker could not be reached
_ENOUGH = 20  # wake-ups in a queue, above which none is added. An expiry would do the same, but it trusts two clocks


def render_queue(model: str) -> str:
    return f"render.{model}"


def celery_app(broker_url: str, **settings: Any) -> Celery:
    """Every Celery app of the farm. A message is acknowledged early and has no result, no retry and no countdown. The
    broker's database may be emptied at any time. Call environment.drop_strange() before."""
    app = Celery("farm", set_as_current=False, fixups=[])  # a fixup would read the settings of Django
    app.conf.update(celery_settings(broker_url), **settings)
    return app


class Waker:
    """Sends wake-ups from any thread. Make one for each process, because threads do not survive a fork."""

    def __init__(self, broker_url: str) -> None:
        self._app = celery_app(broker_url)
        self._wanted: set[str] = set()
        self._sent: dict[str, float] = {}
        self._closed = False
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    def wake(self, queue: str) -> None:
        """Makes the queue's workers look for work soon. Wake-ups of one queue that wait to be sent become one."""
        with self._change:
            if queue in self._wanted or self._closed:
                return
            self._wanted.add(queue)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="waker", daemon=True)
                self._thread.start()
            self._change.notify()

    def close(self, timeout: float = 2.0) -> None:
        """Sends the wake-ups that wait, for up to `timeout` seconds."""
        with self._change:
            self._closed = True
            self._change.notify()
        if self._thread is not None:
            self._thread.join(timeout)
        self._app.close()

    def _run(self) -> None:
        reachable = True
        while (queue := self._next()) is not None:
            try:
                self._send(queue)
            except Exception as error:  # any error of the transport: the keeper wakes the queue instead
                if reachable:
                    log.warning("no wake-ups for now, the broker can't be reached: %s", error)
                reachable = False
                with self._change:
                    self._change.wait_for(lambda: self._closed, _PAUSE)
            else:
                reachable = True

    def _next(self) -> str | None:
        """Waits for the next queue whose interval is over; None when closed and nothing is left."""
        with self._change:
            while True:
                now = time.monotonic()
                waits = {queue: self._sent.get(queue, 0.0) + _INTERVAL - now for queue in self._wanted}
                if not waits:
                    if self._closed:
                        return None
                    self._change.wait()
                    continue
                queue = min(waits, key=waits.__getitem__)
                if waits[queue] <= 0:
                    self._wanted.remove(queue)
                    self._sent[queue] = now
                    return queue
                self._change.wait(waits[queue])

    def _send(self, queue: str) -> None:
        task = DESK_TASK if queue == DESK_QUEUE else RENDER_TASK
        with self._app.producer_pool.acquire(block=True) as producer:
            channel: Any = producer.channel
            if channel.queue_declare(queue=queue).message_count < _ENOUGH:
                self._app.send_task(task, queue=queue, producer=producer, ignore_result=True, retry=False)
            else:
                self._sent[queue] += _PAUSE


def celery_settings(broker_url: str) -> dict[str, Any]:
    return {
        "broker_url": RedisAddress.read(broker_url, "FARM_BROKER_URL").kombu_url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_transport_options": {
            # No note in Redis of messages that are not acknowledged yet, because messages are hints. After an
            # acknowledgement that timed out, the message would stay in hand for ever, and the worker would fetch no
            # more.
            "ack_emulation": False,
            # Without these a half-open connection hung for more than 100 s; with them it recovers in 11 s.
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 5,
        },
        "task_acks_late": False,
        "task_ignore_result": True,
        "task_default_queue": DESK_QUEUE,
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
    }
