"""Answers leave at the end of a turn of the event loop: head and body of each together."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from api import connection
from api.envelope import Envelope
from tests.api.test_connection import HEAD, plug


class Noted(asyncio.Transport):
    """Notes what each system call would send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def writelines(self, pieces: object) -> None:
        assert isinstance(pieces, list)
        self.sent.append(b"".join(pieces))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def written(transport: Noted, *turns: list[bytes], closes: bool = False) -> list[list[bytes]]:
    """What has been sent before and after the end of each turn in which these pieces are written."""
    envelope = Envelope(transport, asyncio.get_running_loop())
    seen = []
    for pieces in turns:
        for piece in pieces:
            envelope.write(piece)
        if closes:
            envelope.close()
        seen.append(list(transport.sent))
        await asyncio.sleep(0)
        seen.append(list(transport.sent))
    return seen


def test_what_is_written_in_one_turn_leaves_at_its_end_in_one_piece() -> None:
    seen = asyncio.run(written(Noted(), [b"head ", b"body"], [b"more"]))
    assert seen == [[], [b"head body"], [b"head body"], [b"head body", b"more"]]


def test_what_was_written_before_the_end_leaves_with_it() -> None:
    transport = Noted()
    assert asyncio.run(written(transport, [b"last words"], closes=True)) == [[b"last words"], [b"last words"]]
    assert transport.closed


def test_a_connection_that_was_lost_is_written_to_no_more() -> None:
    transport = Noted()
    transport.close()
    assert asyncio.run(written(transport, [b"too late"])) == [[], []]


def test_a_stream_that_never_waits_does_not_pile_up() -> None:
    before, _ = asyncio.run(written(Noted(), [b"." * 30_000] * 10))
    assert list(map(len, before)) == [90_000] * 3


def test_head_and_body_of_an_answer_leave_together(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    together = []

    class Counting(Envelope):
        def _send(self) -> None:
            together.append(len(self._pieces))
            super()._send()

    monkeypatch.setattr(connection, "Envelope", Counting)
    with plug(api.base_url.port or 0) as client:
        client.sendall(HEAD + b"\r\n")
        assert client.recv(65_536).endswith(b'"status":"ok"}')
    assert together[0] == 2
