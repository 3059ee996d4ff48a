"""The receiver of the examples, fed by the real sender."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.patience import patient
from worker.webhooks.post import Message, Sender

To = Callable[[str], Message]


@pytest.fixture
def receiver(to: To) -> Iterator[Any]:
    path = Path(__file__).parents[2] / "examples" / "receiver.py"
    spec = importlib.util.spec_from_file_location("examples_receiver", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.Receiver(to("").secrets[0]) as running:
        yield running


def deliver(sender: Sender, message: Message, age: timedelta = timedelta()) -> int | None:
    return sender.attempt(message, datetime.now(UTC) - age).attempt.status_code


def test_a_verified_event_is_collected_and_waited_for(receiver: Any, sender: Sender, to: To) -> None:
    assert deliver(sender, to(receiver.url)) == 204
    assert receiver.wait_for(lambda events: len(events) == 1, timeout=patient(5))
    assert receiver.events[0]["type"] == "job.succeeded"


def test_a_duplicate_is_acknowledged_and_collected_once(receiver: Any, sender: Sender, to: To) -> None:
    again = to(receiver.url)
    for message in (again, again, replace(again, id="job_2.0")):
        assert deliver(sender, message) == 204
    assert len(receiver.events) == 2


def test_a_forged_or_stale_event_is_refused(receiver: Any, sender: Sender, to: To) -> None:
    assert deliver(sender, replace(to(receiver.url), secrets=("whsec_" + "Zm9yZ2Vk" * 4,))) == 401
    assert deliver(sender, to(receiver.url), age=timedelta(minutes=6)) == 401
    assert httpx.post(receiver.url, content=b"{}", headers={"webhook-signature": "nonsense"}).status_code == 401
    assert httpx.post(receiver.url, content=b"x" * 20_001).status_code == 413
    assert receiver.events == []
    assert receiver.refused == 3


def test_waiting_for_an_event_times_out(receiver: Any) -> None:
    assert not receiver.wait_for(lambda events: bool(events), timeout=0.01)
