from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from farm.wake import DESK_QUEUE, Waker, celery_app, render_queue
from tests.until import until


@pytest.fixture
def broker(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def test_a_wake_arrives_on_its_queue(redis_url: str, broker: redis.Redis) -> None:
    waker = Waker(redis_url)
    waker.wake(DESK_QUEUE)
    waker.wake(render_queue("espeak"))
    until(lambda: broker.llen("desk") == 1 and broker.llen("render.espeak") == 1)
    waker.close()


def test_a_message_is_read_as_json_and_never_unpickled() -> None:
    """Whoever may write to the broker could run code in a worker that unpickles."""
    assert set(celery_app("redis://127.0.0.1:9/0").conf.accept_content) == {"json"}


def test_wakes_of_one_moment_are_one_and_the_last_of_them_is_sent(redis_url: str, broker: redis.Redis) -> None:
    waker = Waker(redis_url)
    waker.wake("desk")
    until(lambda: broker.llen("desk") == 1)
    for _ in range(1000):
        waker.wake("desk")
    until(lambda: broker.llen("desk") == 2)
    waker.close()
    assert broker.llen("desk") < 5


def test_a_queue_without_a_reader_does_not_grow(redis_url: str, broker: redis.Redis) -> None:
    for _ in range(50):
        broker.lpush("desk", "{}")
    waker = Waker(redis_url)
    waker.wake("desk")
    waker.wake("render.espeak")
    until(lambda: broker.llen("render.espeak"))
    waker.close()
    assert broker.llen("desk") == 50


def test_without_a_broker_waking_neither_blocks_nor_fails_and_goes_on_when_it_is_back(
    own_redis: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    server = own_redis()
    waker = Waker(server.url)
    waker.wake("desk")
    with server.client() as client:
        until(lambda: client.llen("desk"))
    server.kill()
    waker.wake("desk")
    until(lambda: "broker can't be reached" in caplog.text)
    server.start()
    with server.client() as client:

        def woken() -> bool:
            waker.wake("desk")
            return client.llen("desk") > 0

        until(woken)
    waker.close()
    assert caplog.text.count("broker can't be reached") == 1
