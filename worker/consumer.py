"""Celery's consumer, but steady in an outage: it looks for the broker every second. Celery's own waits grow by two
seconds each time, up to thirty, so that after an outage of half a minute idle workers slept on for twelve seconds."""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.worker.consumer import Consumer

_PAUSE = 1.0  # seconds between two tries


class SteadyConsumer(Consumer):
    def ensure_connected(self, conn: Any) -> Any:
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=_PAUSE, interval_step=0, interval_max=_PAUSE
        )
        return super().ensure_connected(conn)
