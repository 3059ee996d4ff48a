"""A store recognises its keyspace: it refuses one that was emptied, belongs to another farm or has another version."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
import redis

from farm.errors import Misconfigured, StoreReplaced
from farm.job import Due, Status
from farm.store import SCHEMA, AsyncStore, Store, batches, jobs, registry, segments, tasks
from tests.store.clocked import LEASE, Farm, new_job

BATCH = batches.NewBatch("batch_a", "ann", total=1, spec="{}", retention_s=60)


@pytest.mark.parametrize(
    "call",
    [
        jobs.accept(new_job("job_b")),
        batches.accept(BATCH),
        jobs.reserve("ann", "key", "digest"),
        registry.put_voice("ann", "v", "{}"),
        registry.put_key("digest", "ann", "laptop"),
        jobs.record("job_a"),
        registry.voices("ann"),
        registry.keys(),
        registry.backlog(),
        segments.claim("m", want=1, worker="w", lease_ms=LEASE),
        registry.beat("w", "{}", 1000),
        registry.lock("keeper", "w", 1000),
        registry.ping(),
    ],
    ids=lambda call: " ".join(map(str, (call.args if call.verb == "command" else (call.verb, *call.args))[:2])),
)
def test_an_emptied_redis_is_refused_by(call: Any, farm: Farm) -> None:
    farm.accept("job_a")
    farm.redis.flushdb()
    farm.clock.forward(0)
    with pytest.raises(StoreReplaced, match="restart the API and the workers"):
        farm.run(call)
    assert farm.redis.keys("f:*") == [], "nothing was half accepted"


def test_a_farm_on_an_empty_replica_goes_on_when_the_data_is_back(own_redis: Callable[..., Any]) -> None:
    # With everysec, Redis puts off a write while an earlier sync is under way, and a kill loses it.
    server = own_redis(aof=True, appendfsync="always")
    store = Store.connect(server.url)
    store.run(jobs.accept(new_job()))
    server.kill()
    (folder,) = server.folder.glob("append*")
    folder.rename(server.folder / "aside")
    server.start()
    with pytest.raises(StoreReplaced):
        store.run(jobs.record("job_a"))
    server.kill()
    if (made := server.folder / folder.name).is_dir():
        made.rename(server.folder / "empty")
    else:
        made.unlink(missing_ok=True)
    (server.folder / "aside").rename(made)
    server.start()
    assert store.run(jobs.record("job_a")) is not None
    store.close()


def test_a_start_on_an_emptied_redis_begins_an_empty_farm_and_logs_it(
    farm: Farm, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    farm.accept("job_a")
    farm.redis.flushdb()
    with caplog.at_level(logging.INFO, "farm.store"):
        fresh = Store.connect(redis_url)
    assert "an empty one begins" in caplog.text
    fresh.run(jobs.accept(new_job("job_b")))
    with pytest.raises(StoreReplaced):
        farm.run(jobs.record("job_b"))
    fresh.close()


def test_opening_an_existing_keyspace_logs_nothing(
    farm: Farm, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "farm.store"):
        Store.connect(redis_url).close()
    assert caplog.text == ""


@pytest.mark.anyio
async def test_every_call_of_a_pipeline_is_refused_by_an_emptied_redis(redis_url: str) -> None:
    store = await AsyncStore.connect(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    calls = [*(jobs.accept(new_job(f"job_{number}")) for number in range(5)), registry.keys()]
    answers = await asyncio.gather(*(store.run(call) for call in calls), return_exceptions=True)
    assert all(isinstance(answer, StoreReplaced) for answer in answers)
    await store.close()


# --- versions ---------------------------------------------------------------------------------------------------------


def test_a_keyspace_without_a_birth_mark_gets_one_and_its_jobs_go_on(
    farm: Farm, farm_on: Callable[[str], Farm], redis_url: str
) -> None:
    farm.running("job_a", 2)
    farm.accept("job_b")
    farm.redis.delete("f:born")
    now = farm_on(redis_url)
    assert now.redis.get("f:schema") == str(SCHEMA).encode()
    assert now.redis.get("f:born")
    assert now.claim().segments == {"job_a": [0, 1]}
    (task,) = now.run(tasks.take([Due.PLAN], want=9, lease_ms=LEASE))
    assert now.run(jobs.plan(task.id, task.token, 0))
    task = now.task(Due.ASSEMBLE, "job_b")
    assert now.run(jobs.finish(task.id, task.token, "{}"))
    assert now.record("job_b").status == Status.SUCCEEDED


def test_a_full_redis_can_be_opened(own_redis: Callable[..., Any]) -> None:
    server = own_redis()
    Store.connect(server.url).close()
    with server.client() as client:
        client.delete("f:born")
        client.config_set("maxmemory", 100_000)
        with pytest.raises(redis.OutOfMemoryError):
            client.set("x", 1)
        for _ in range(2):
            Store.connect(server.url).close()
        assert client.get("f:born")


@pytest.mark.parametrize(("schema", "says"), [(SCHEMA + 1, "newer farm"), (SCHEMA - 1, "older farm")])
def test_a_keyspace_of_another_version_is_refused_and_not_changed(schema: int, says: str, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        client.set("f:schema", schema)
        with pytest.raises(Misconfigured, match=says):
            Store.connect(redis_url)
        assert client.keys("f:*") == [b"f:schema"]
