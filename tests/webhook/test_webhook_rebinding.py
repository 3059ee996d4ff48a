"""A name whose addresses change between two look-ups (DNS rebinding): the address that was checked is the one that is
dialled. The test's own resolver answers the whole process, so that no part of the sender could ask another one."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.webhooks.addresses import allowed_networks
from tests.webhook.conftest import SECRET
from tests.webhook.listener import Listener, answers
from tests.webhook.test_webhook_attempt import now
from worker.webhooks.post import Message, Sender

PUBLIC, INTERNAL = "127.0.0.1", "127.0.0.2"  # the test's farm may reach the first, and not the second
NAME = "rebind.test"


class Resolver:
    """Stands in the place of the system's own, and answers a look-up of NAME with the next of its replies."""

    def __init__(self, *replies: Sequence[str]) -> None:
        self.asked: Counter[str] = Counter()
        self._replies = iter(replies)
        self._system = socket.getaddrinfo

    def getaddrinfo(self, host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name != NAME:
            return self._system(host, port, *rest, **more)
        self.asked[name] += 1
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in next(self._replies)
        ]


@pytest.fixture(scope="module")
def receivers() -> Iterator[dict[str, Listener]]:
    """One at each address, on the same port."""
    public = Listener(answers(200), host=PUBLIC)
    internal = Listener(answers(200), host=INTERNAL, port=public.port)
    yield {PUBLIC: public, INTERNAL: internal}
    public.close()
    internal.close()


Attempt = Callable[..., tuple[Any, Resolver, list[str]]]


@pytest.fixture
def attempt(receivers: dict[str, Listener], monkeypatch: pytest.MonkeyPatch) -> Attempt:
    """attempt([reply, reply, …]) -> the attempt, the resolver, and the addresses that were reached."""
    sender = Sender(allowed_networks([f"{PUBLIC}/32"]))

    def run(replies: Sequence[Sequence[str]]) -> tuple[Any, Resolver, list[str]]:
        resolver = Resolver(*replies, *[[INTERNAL]] * 5)  # whoever asks again is led inside
        before = {address: len(receiver.requests) for address, receiver in receivers.items()}
        message = Message("job_1.0", f"http://{NAME}:{receivers[PUBLIC].port}/hook", b"{}", (SECRET,))
        with monkeypatch.context() as patched:
            patched.setattr(socket, "getaddrinfo", resolver.getaddrinfo)
            made = sender.attempt(message, now()).attempt
        reached = [address for address, count in before.items() if len(receivers[address].requests) > count]
        return made, resolver, reached

    return run


def test_the_address_that_was_checked_is_the_one_that_is_dialled(attempt: Attempt) -> None:
    """The first answer is good, and every later one leads inside."""
    made, resolver, reached = attempt([[PUBLIC]])
    assert (made.status_code, made.error) == (200, None)
    assert resolver.asked[NAME] == 1
    assert reached == [PUBLIC]


def test_every_attempt_looks_the_name_up_anew(attempt: Attempt) -> None:
    """So an address that was good yesterday gives no leave today."""
    assert attempt([[PUBLIC]])[2] == [PUBLIC]
    made, resolver, reached = attempt([[INTERNAL]])
    assert "resolves to a loopback address" in made.error
    assert (resolver.asked[NAME], reached) == (1, [])


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from([PUBLIC, INTERNAL]), min_size=1, max_size=3), min_size=1, max_size=3))
def test_whatever_a_name_server_answers_only_a_checked_address_is_reached(
    attempt: Attempt, replies: list[list[str]]
) -> None:
    made, resolver, reached = attempt(replies)
    assert resolver.asked[NAME] == 1
    assert reached == ([] if INTERNAL in replies[0] else [PUBLIC])
    assert (made.status_code == 200) == bool(reached)
