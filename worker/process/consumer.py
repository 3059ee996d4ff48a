"""Celery's consumer with steady pauses: in an outage it tries the broker every second.

Celery's own pauses grow by two seconds each time, up to thirty. After an outage of half a minute, idle workers slept
on for twelve seconds.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.utils.dispatch import Signal
from celery.worker.consumer import Consumer

_PAUSE = 1.0  # seconds between two tries

started = Signal(name="consumer_started")


class SteadyConsumer(Consumer):
    """Sends `started` when the pool runs and before the broker has answered, which may take as long as an outage."""

    def start(self) -> None:
        started.send(sender=self)
        super().start()

    def ensure_connected(self, conn: Any) -> Any:
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=_PAUSE, interval_step=0, interval_max=_PAUSE
        )
        return super().ensure_connected(conn)
