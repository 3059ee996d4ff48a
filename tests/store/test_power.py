"""Synchronous commit: an accepted job is on the disk of Redis before the answer.

Needs a server with WAITAOF: FARM_TEST_REDIS, or a valkey-server or redis-server >= 7.2 on the PATH. These tests can't
show that the disk itself keeps its data in a power cut.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from farm.errors import Misconfigured, StoreUnavailable
from farm.store import AsyncStore, jobs, registry
from farm.store.runner import check_sync
from tests.conftest import RedisServer, redis_executable
from tests.store.clocked import new_job


@pytest.fixture
def syncing(own_redis: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch) -> Callable[..., RedisServer]:
    def start(**config: object) -> RedisServer:
        for found in (redis_executable(), shutil.which("valkey-server"), shutil.which("redis-server")):
            if found is None:
                continue
            monkeypatch.setenv("FARM_TEST_REDIS", found)
            server = own_redis(**{"aof": True, "appendfsync": "always", **config})
            with server.client() as client:
                if "waitaof" in {name.lower() for name in client.command()}:
                    return server
            server.stop()
        pytest.skip("needs a Redis >= 7.2 or a Valkey: name one by FARM_TEST_REDIS")

    return start


def calls_of(server: RedisServer, command: str) -> int:
    with server.client() as client:
        return int(client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


@pytest.mark.anyio
async def test_an_accepted_job_is_in_the_file_before_the_answer(
    syncing: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server = syncing()
    store = await AsyncStore.connect(server.url, synchronous=True)
    await asyncio.gather(*(store.run(jobs.accept(new_job(f"job_{number}"))) for number in range(50)))
    copied = tmp_path / "copied"
    shutil.copytree(server.folder, copied)
    await store.close()
    other = RedisServer(copied, aof=True)
    try:
        again = await AsyncStore.connect(other.url)
        found = await asyncio.gather(*(again.run(jobs.record(f"job_{number}")) for number in range(50)))
        assert None not in found
        await again.close()
    finally:
        other.stop()


@pytest.mark.anyio
async def test_one_wait_serves_all_calls_of_a_flight_and_reading_does_not_wait(
    syncing: Callable[..., RedisServer],
) -> None:
    server = syncing()
    store = await AsyncStore.connect(server.url, synchronous=True)
    await store.run(registry.models())
    assert calls_of(server, "waitaof") == 0
    await store.run(jobs.accept(new_job("job_first")))  # loads the script, and waits twice
    before = calls_of(server, "waitaof")
    await asyncio.gather(*(store.run(jobs.accept(new_job(f"job_{number}"))) for number in range(20)))
    assert calls_of(server, "waitaof") == before + 1
    await store.close()


@pytest.mark.anyio
async def test_without_the_setting_no_call_waits_for_the_disk(syncing: Callable[..., RedisServer]) -> None:
    server = syncing()
    store = await AsyncStore.connect(server.url)
    await store.run(jobs.accept(new_job()))
    assert calls_of(server, "waitaof") == 0
    await store.close()


@pytest.mark.anyio
async def test_a_job_that_is_not_on_the_disk_in_time_is_an_error_and_is_accepted_once_when_sent_again(
    syncing: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.store.runner._SYNC_MS", 50)
    server = syncing()
    store = await AsyncStore.connect(server.url, synchronous=True)
    wanted = {"idempotency_key": "key", "request_digest": "digest"}
    with server.client() as client:
        client.config_set("appendfsync", "no")
        for id in ("job_a", "job_b"):
            refused, read = await asyncio.gather(
                store.run(jobs.accept(new_job(id, **wanted))), store.run(registry.models()), return_exceptions=True
            )
            assert isinstance(refused, StoreUnavailable)
            assert (refused.code, refused.retryable, read) == ("not_durable", True, {})
        client.config_set("appendfsync", "always")
    monkeypatch.setattr("farm.store.runner._SYNC_MS", 10_000)
    accepted = await store.run(jobs.accept(new_job("job_c", **wanted)))
    assert (accepted.id, accepted.replayed) == ("job_a", True)
    await store.close()


@pytest.mark.anyio
async def test_a_full_redis_still_cancels_jobs(syncing: Callable[..., RedisServer]) -> None:
    server = syncing()
    store = await AsyncStore.connect(server.url, synchronous=True)
    await store.run(jobs.accept(new_job()))
    with server.client() as client:
        client.config_set("maxmemory", 100_000)
    assert await store.run(jobs.cancel("job_a", "ann")) == "queued"
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await store.run(jobs.accept(new_job("job_b")))
    await store.close()


@pytest.mark.anyio
async def test_a_server_that_cannot_wait_is_refused_at_the_start(own_redis: Callable[..., RedisServer]) -> None:
    with pytest.raises(Misconfigured, match="FARM_SYNCHRONOUS_COMMIT"):
        await AsyncStore.connect(own_redis(aof=False).url, synchronous=True)


@pytest.mark.parametrize(
    ("version", "valkey", "aof", "fsync", "says"),
    [
        ("6.2.14", None, 1, "always", "needs Redis 7.2"),
        ("7.4.1", None, 0, "always", "appendonly yes"),
        ("8.2.0", None, 1, "no", "appendfsync always"),
        ("7.4.1", None, 1, "everysec", "before everysec has synced"),
        ("7.2.4", "9.0.0", 1, "everysec", "Valkey 9.0.0 answers"),
        ("7.4.1", None, 1, "always", None),
        ("7.2.4", "8.0.1", 1, "always", None),
        ("8.2.0", None, 1, "everysec", None),
    ],
)
def test_servers_that_can_wait_for_the_disk(
    version: str, valkey: str | None, aof: int, fsync: str, says: str | None
) -> None:
    info = {"redis_version": version, "aof_enabled": aof} | ({"valkey_version": valkey} if valkey else {})
    if says is None:
        check_sync(info, {"appendfsync": fsync})
    else:
        with pytest.raises(Misconfigured, match=says):
            check_sync(info, {"appendfsync": fsync})


@pytest.mark.anyio
async def test_a_wait_that_redis_refuses_is_an_error(syncing: Callable[..., RedisServer]) -> None:
    server = syncing()
    store = await AsyncStore.connect(server.url, synchronous=True)
    with redis.Redis.from_url(server.url) as client:
        client.config_set("appendonly", "no")
    with pytest.raises(StoreUnavailable, match="not on its disk"):
        await store.run(jobs.accept(new_job()))
    await store.close()
