"""Webhooks from the outbox to a receiver: what they say, and that none is tried for ever."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from standardwebhooks import Webhook, WebhookVerificationError

from farm import wire
from farm.job import Due, Lane, new_id
from farm.layout import lines_key
from farm.order import Order, write_lines
from farm.spec import BatchSpec, Spec
from farm.store import batches, jobs, outbox, quotas, tasks
from farm.text_document import write_text
from farm.webhooks.schedule import SCHEDULE_S, Record
from farm.webhooks.secrets import secret_for
from farm.wire import Delivery
from tests.flow.house import House, Unwell
from tests.webhook.conftest import SECRET
from tests.webhook.listener import Listener, Temper, answers
from worker.engine import Notice, NoticeCode
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


def test_a_webhook_says_how_many_segments_somebody_should_listen_to(
    house: House, listen: Callable[[Temper], Listener]
) -> None:
    receiver = listen(answers(204))
    hook, lines = wire.Webhook(url=receiver.url), io.BytesIO()
    text = "It came in.\n\nThe ships sank.\n\nMore ships came."
    spec = Spec(language="en-us", voice="en-us", webhook=hook)
    document = write_text([wire.Chapter.model_construct(input=text)])
    write_lines([Order(new_id("job"), "espeak", Lane.BULK, spec, document, len(text), retention_s=3600)], lines)
    batch, of_batch = new_id("batch"), BatchSpec(webhook=hook, models=["espeak"]).model_dump_json()
    house.storage.put(lines_key(batch), lines.getvalue())
    house.store.run(batches.accept(batches.NewBatch(batch, "default", 1, of_batch, retention_s=3600, webhook=True)))
    odd = Unwell(house.engine, stumbles_at="ships", warns=Notice(NoticeCode.NOISE, "half of it"))  # type: ignore[arg-type]
    house.desk.drain()
    house.renderer(odd).drain()
    house.desk.drain()
    said = {event["type"]: event["data"]["needs_review"] for event in map(payload, receiver.requests)}
    assert said == {"job.succeeded": 2, "batch.completed": 2}


def test_a_receiver_with_a_date_beyond_all_years_is_counted_like_any_other(
    house: House, listen: Callable[[Temper], Listener]
) -> None:
    receiver = listen(answers(503, "Retry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT"))
    job = house.submit(input="Just a line.", webhook={"url": receiver.url})
    house.store.run(jobs.cancel(job, "default"))
    house.desk.drain()
    (delivery,) = deliveries(house, job)
    assert [attempt.status_code for attempt in delivery.attempts] == [503]
    assert house.store.run(tasks.next_due((Due.DELIVER,)))[Due.DELIVER] > 1000


def test_a_delivery_that_the_farm_itself_can_not_make_is_abandoned_in_the_end(
    redis_url: str, tmp_path: Path, espeak: Espeak
) -> None:
    house = House(redis_url, tmp_path / "storage", espeak)  # a desk without the secret that the API had
    job = house.submit(input="Just a line.", webhook={"url": "https://example.com/"})
    house.store.run(jobs.cancel(job, "default"))
    house.desk.drain()
    (first,) = deliveries(house, job)
    assert "FARM_WEBHOOK_SECRET" in (first.attempts[0].error or "")
    for _ in range(len(SCHEDULE_S) - 1):
        with redis.Redis.from_url(redis_url) as client:  # it is due before its time
            client.zadd("f:due:deliver:normal:default", {f"{job}.1": 0})
            client.zadd("f:desk:deliver:normal", {"default": 0})
        house.desk.drain()
    (last,) = deliveries(house, job)
    assert (last.status, len(last.attempts)) == ("abandoned", len(SCHEDULE_S))
    assert house.store.run(tasks.next_due((Due.DELIVER,))) == {}
    house.close()


def test_for_a_day_after_a_rotation_a_receiver_verifies_with_either_secret(
    house: House, listen: Callable[[Temper], Listener]
) -> None:
    receiver = listen(answers(204))
    old, new = (secret_for("default", SECRET, generation) for generation in (0, 1))
    house.submit(input="The tide went out.", webhook={"url": receiver.url})
    house.finish()
    assert verified_by(receiver.requests[0]) == [old]
    house.store.run(quotas.rotate_secret("default"))
    house.submit(input="Nobody saw it go.", webhook={"url": receiver.url})
    house.finish()
    assert len(signatures(receiver.requests[1])) == 2
    assert verified_by(receiver.requests[1]) == [old, new]
    only_first = with_signature(receiver.requests[1], signatures(receiver.requests[1])[0])
    assert verified_by(only_first) == [new], "the new one stands first"


def verified_by(request: bytes) -> list[str]:
    """Those of the first three secrets with which the official library verifies a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = (line.partition(": ") for line in head.decode().splitlines()[1:])
    headers = {name.lower(): value for name, _, value in lines}
    found = []
    for generation in range(3):
        secret = secret_for("default", SECRET, generation)
        with suppress(WebhookVerificationError):
            Webhook(secret).verify(body, headers)
            found.append(secret)
    return found


def signatures(request: bytes) -> list[str]:
    found = re.search(rb"webhook-signature: ([^\r]+)", request, re.IGNORECASE)
    assert found is not None
    return found[1].decode().split(" ")


def with_signature(request: bytes, signature: str) -> bytes:
    return re.sub(
        rb"(webhook-signature: )[^\r]+", lambda found: found[1] + signature.encode(), request, flags=re.IGNORECASE
    )
