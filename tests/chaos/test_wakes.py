"""A wake-up is a hint: a lost one costs nothing, but a worker that no longer hears the next ones would stand still."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from kombu import Connection, Consumer, Queue
from kombu.message import Message

from farm.wake import celery_settings
from tests.chaos.proxy import Proxy
from tests.patience import patient

WITHIN_S = 10


@pytest.fixture
def line(redis_url: str) -> Iterator[Proxy]:
    port = urlsplit(redis_url).port
    assert port is not None
    with Proxy(port) as line:
        yield line


def test_a_worker_hears_the_next_wake_up_after_a_lost_acknowledgement(redis_url: str, line: Proxy) -> None:
    settings = celery_settings(f"redis://127.0.0.1:{line.port}/1")
    queue, heard = Queue("desk"), list[Message]()
    worker = Connection(
        settings["broker_url"], transport_options={**settings["broker_transport_options"], "socket_timeout": 1}
    )
    with worker, Connection(f"redis://127.0.0.1:{line.port}/1") as user, worker.channel() as channel:
        consumer = Consumer(channel, [queue], on_message=heard.append, prefetch_count=1)
        consumer.consume()
        user.SimpleQueue("desk").put("one")
        worker.drain_events(timeout=patient(WITHIN_S))
        with line.during(line.hang):
            heard[0].ack_log_error(logging.getLogger(__name__), worker.connection_errors)
        user.SimpleQueue("desk").put("two")
        worker.drain_events(timeout=patient(WITHIN_S))
        assert [message.payload for message in heard] == ["one", "two"]
