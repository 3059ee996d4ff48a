"""Batches in a Redis that is nearly full: they wait for room, leave the rest to others, and can be canceled."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from farm.job import Due, Lane, Status, new_id
from farm.layout import CLIPS, lines_key, text_key
from farm.order import INLINE_BYTES, Order, write_lines
from farm.spec import Spec
from farm.store import batches, jobs, tasks
from farm.text_document import write_text
from farm.wire import Chapter
from tests.conftest import RedisServer
from tests.flow.house import House
from worker.desk.batch import Unfolder
from worker.desk.retention import Retention
from worker.engines.espeak.engine import Espeak

MAXMEMORY = 32_000_000
LINES = 1500


@pytest.fixture
def house(own_redis: Callable[..., RedisServer], tmp_path: Path, espeak: Espeak) -> Iterator[House]:
    house = House(own_redis(maxmemory=MAXMEMORY).url, tmp_path / "storage", espeak)
    yield house
    house.close()


@pytest.fixture
def unfolder(house: House) -> Unfolder:
    return Unfolder(house.store, house.storage)


def accept_batch(house: House, texts: list[str], trace: str | None = None) -> str:
    orders = []
    for text in texts:
        spec = Spec(language="en-us", voice="en-us")
        document = write_text([Chapter.model_construct(input=text)])
        orders.append(Order(new_id("job"), "espeak", Lane.BULK, spec, document, len(text), retention_s=3600))
    batch, file = new_id("batch"), io.BytesIO()
    total = write_lines(orders, file).count
    house.storage.put(lines_key(batch), file.getvalue())
    house.store.run(batches.accept(batches.NewBatch(batch, "default", total, "{}", retention_s=3600, trace=trace)))
    return batch


def record(house: House, batch: str) -> batches.BatchRecord:
    found = house.store.run(batches.record(batch))
    assert found is not None
    return found


def fill(house: House, share: float, *, but: int = 0) -> None:
    """Fills Redis up to a share of its limit, but for so many bytes."""
    used = house.store.pressure().used_bytes
    redis_of(house).setrange("ballast", round(share * MAXMEMORY) - used - but, b"\0")


def redis_of(house: House) -> redis.Redis:
    return redis.Redis.from_url(house.settings.redis_url)


def unfold(house: House, unfolder: Unfolder, batch: str) -> None:
    """Once, as if it were due."""
    unfolder.unfold(tasks.Task(Due.BATCH, batch, "late"))


def test_a_batch_waits_while_redis_is_crowded_and_the_log_says_so_once(
    house: House, unfolder: Unfolder, caplog: pytest.LogCaptureFixture
) -> None:
    batch = accept_batch(house, ["One.", "Two."])
    fill(house, 0.75)
    for _ in range(3):
        unfold(house, unfolder, batch)
    assert record(house, batch).accepted == 0
    assert [line.levelname for line in caplog.records if batch in line.getMessage()] == ["WARNING"]
    redis_of(house).delete("ballast")
    unfold(house, unfolder, batch)
    assert record(house, batch).accepted == 2


def test_a_crowded_redis_is_looked_at_every_few_seconds(house: House) -> None:
    accept_batch(house, ["One."])
    fill(house, 0.75)
    house.desk.drain()
    assert house.store.run(tasks.next_due((Due.BATCH,)))[Due.BATCH] > 1000


def test_a_batch_leaves_room_for_the_jobs_of_others(house: House, unfolder: Unfolder) -> None:
    batch = accept_batch(house, ["One."] * LINES)
    fill(house, 0.7, but=400_000)
    unfold(house, unfolder, batch)
    found = record(house, batch)
    assert 0 < found.accepted < LINES
    assert not house.store.pressure().full
    house.submit(input="A line of somebody else.", tenant="bob", priority=Lane.INTERACTIVE)


def test_a_cancel_ends_a_batch_at_once_though_redis_is_full(house: House, unfolder: Unfolder) -> None:
    batch = accept_batch(house, ["One."] * LINES)
    fill(house, 0.7, but=400_000)
    unfold(house, unfolder, batch)
    made = record(house, batch).accepted
    redis_of(house).config_set("maxmemory", house.store.pressure().used_bytes - 1_000_000)
    assert house.store.run(batches.cancel(batch, "default"))
    found = record(house, batch)
    assert (found.waiting, found.counts[Status.CANCELED]) == (0, LINES - made)
    unfold(house, unfolder, batch)
    found = record(house, batch)
    assert (found.accepted, found.counts[Status.CANCELED], found.ended_ms is not None) == (made, LINES, True)


def test_a_deleted_batch_leaves_nothing_of_its_jobs(house: House) -> None:
    batch = accept_batch(house, ["The tide went out.", "It came in again.", "A long line." + " " * INLINE_BYTES])
    kept = house.submit(input="Somebody else's line.", tenant="bob")
    house.finish()
    house.store.run(batches.drop(batch, "default"))
    house.desk.drain()
    assert house.store.run(batches.record(batch)) is None
    assert house.store.run(jobs.page("default")) == []
    assert house.record(kept).status is Status.SUCCEEDED
    left = [found.key for found in house.storage.list("")]
    assert [key for key in left if kept not in key and not key.startswith(CLIPS)] == []
    assert len([key for key in left if key.startswith(CLIPS)]) == 1


def test_a_running_batch_is_deleted_however_often_its_desk_is_interrupted(house: House, unfolder: Unfolder) -> None:
    batch = accept_batch(house, ["One."] * 200)
    unfold(house, unfolder, batch)
    house.store.run(batches.drop(batch, "default"))
    retention = Retention(house.store, house.storage, record_days=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("worker.desk.retention._SLICE_S", 0.0)
        rounds = 0
        while tasks_due := house.store.run(tasks.take((Due.DELETE,), want=1, lease_ms=60_000)):
            retention.delete(tasks_due[0])
            rounds += 1
    assert rounds == 5  # four calls of 64 jobs, and one that finds none
    assert house.store.run(jobs.page("default")) == []


class Canceling:
    """The store, in which the batch is canceled just before its second job is accepted."""

    def __init__(self, house: House, batch: str) -> None:
        self._store, self._batch, self._seen = house.store, batch, 0

    def run(self, call: Any) -> Any:
        self._seen += call.verb == "accept"
        if call.verb == "accept" and self._seen == 2:
            self._store.run(batches.cancel(self._batch, "default"))
        return self._store.run(call)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_cancel_is_noticed_by_the_next_line_and_leaves_no_text(house: House) -> None:
    batch = accept_batch(house, ["One."] + ["A long line. " * (INLINE_BYTES // 12)] * 3)
    unfold(house, Unfolder(Canceling(house, batch), house.storage), batch)  # type: ignore[arg-type]
    found = record(house, batch)
    assert (found.accepted, found.skipped, found.ended_ms is not None) == (1, 3, True)
    assert [key.key for key in house.storage.list("jobs/")] == []


def test_a_long_line_has_its_text_in_storage(house: House, unfolder: Unfolder) -> None:
    batch = accept_batch(house, ["A long line. " * (INLINE_BYTES // 12)])
    unfold(house, unfolder, batch)
    (found,) = [key.key for key in house.storage.list("jobs/")]
    assert found == text_key(found.split("/")[1])
