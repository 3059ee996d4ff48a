"""Webhooks from the outbox to a receiver: what they say, and that none is tried for ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from farm.store import outbox
from farm.webhooks.schedule import Record
from farm.wire import Delivery
from tests.flow.house import House, Unwell
from tests.webhook.conftest import SECRET
from tests.webhook.listener import Listener, Temper, answers
from worker.engines.espeak.engine import Espeak


@pytest.fixture
def house(redis_url: str, tmp_path: Path, espeak: Espeak) -> Iterator[House]:
    house = House(
        redis_url, tmp_path / "storage", espeak, webhook_secret=SECRET, webhook_allow=["127.0.0.0/8"],
    )  # fmt: skip
    yield house
    house.close()


@pytest.fixture
def listen() -> Iterator[Callable[[Temper], Listener]]:
    listeners: list[Listener] = []

    def start(temper: Temper) -> Listener:
        listeners.append(Listener(temper))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close()


def deliveries(house: House, job: str) -> list[Delivery]:
    found = house.store.run(outbox.deliveries(job)) or []
    return [Record.read(each.record, ending=each.event, url="").shown(each.id, None) for each in found]


def payload(request: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.partition(b"\r\n\r\n")[2])
    return found


def test_a_webhook_names_the_text_that_failed_its_job(house: House, listen: Callable[[Temper], Listener]) -> None:
    receiver = listen(answers(204))
    chapters = [{"input": "The tide went out."}, {"title": "Two", "input": "It came in.\n\nThe ships sank."}]
    job = house.submit(chapters=chapters, webhook={"url": receiver.url})
    unwell = Unwell(house.engine, stumbles_at="ships")  # type: ignore[arg-type]
    house.desk.drain()
    for _ in range(3):
        house.renderer(unwell).drain()
    house.desk.drain()
    (request,) = receiver.requests
    said = payload(request)
    assert (said["type"], said["data"]["id"]) == ("job.failed", job)
    error = said["data"]["error"]
    assert (error["code"], error["chapter"], error["chapter_title"]) == ("segment_failed", 1, "Two")
    assert (error["start"], error["end"], error["text"]) == (13, 28, "The ships sank.")
    assert house.outcome(job).text == "The ships sank."
    assert [each.status for each in deliveries(house, job)] == ["delivered"]
