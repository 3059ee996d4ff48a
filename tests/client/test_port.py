"""The ports of the embedded farm's parts, which other programs must not get between two lives of a part."""

from __future__ import annotations

import socket
import sys
from contextlib import nullcontext

import pytest

from farm.embedded.port import HIGHEST, Port


def test_a_port_is_free_for_the_part_that_it_was_chosen_for() -> None:
    port = Port()
    for _ in range(2):  # a part that is started again binds it again
        with socket.create_server(("127.0.0.1", port.number)), socket.create_connection(("127.0.0.1", port.number)):
            pass


def test_nobody_answers_on_a_port_before_its_part_listens() -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", Port().number))


def test_no_other_program_gets_a_port_while_it_is_kept() -> None:
    refused = pytest.raises(OSError, match="in use") if sys.platform == "linux" else nullcontext()
    port = Port()
    with socket.create_server(("127.0.0.1", port.number)):
        pass
    with socket.socket() as other, refused:
        other.bind(("127.0.0.1", port.number))


def test_a_port_is_given_back_with_its_object() -> None:
    port = Port()
    number = port.number
    del port
    with socket.socket() as other:
        other.bind(("127.0.0.1", number))


def test_a_port_is_as_low_as_asked_for() -> None:
    highest = HIGHEST - 10_000
    assert all(Port(highest=highest).number <= highest for _ in range(50))
