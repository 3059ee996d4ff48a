"""Receivers that stop with their test, and a sender that may reach them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from farm.webhooks.addresses import allowed_networks
from tests.webhook.listener import Listener, Temper
from worker.webhooks.post import Message, Sender

SECRET = "whsec_" + "c2VjcmV0" * 4
BODY = '{"type":"job.succeeded","timestamp":"2030-01-01T00:00:00Z","data":{"id":"job_1","title":"café"}}'.encode()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    with ExitStack() as stack:

        def start(
            temper: Temper, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
        ) -> Listener:
            listener = Listener(temper, host=host, port=port, tls=tls)
            stack.callback(listener.close)
            return listener

        yield start


@pytest.fixture(scope="session")
def sender() -> Sender:
    return Sender(allowed_networks(["127.0.0.0/8"]))


@pytest.fixture
def to() -> Callable[[str], Message]:
    return lambda url: Message("job_1.0", url, BODY, (SECRET,))
