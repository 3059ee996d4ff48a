"""The two runners: servers that they refuse, shared round trips, and the errors that they raise."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import redis
from redis.asyncio.connection import AbstractConnection

from farm.errors import BadInput, Misconfigured, StoreUnavailable
from farm.job import Due, Lane
from farm.store import SCHEMA, AsyncStore, News, Pressure, Store, jobs, outbox, registry, segments, tasks
from farm.store.call import Call
from tests.store.clocked import LEASE, Farm, new_job

NOWHERE = "redis://127.0.0.1:1/0"


# --- connecting -------------------------------------------------------------------------------------------------------


def test_the_error_for_a_missing_redis_names_the_setting() -> None:
    with pytest.raises(StoreUnavailable, match="FARM_REDIS_URL"):
        Store.connect(NOWHERE)


def test_wrong_credentials_are_misconfigured(own_redis: Callable[..., Any]) -> None:
    server = own_redis(aof=False)
    with server.client() as client:
        client.config_set("requirepass", "secret")
    with pytest.raises(Misconfigured, match="credentials"):
        Store.connect(server.url)
    Store.connect(server.url.replace("redis://", "redis://:secret@")).close()


def test_a_cluster_is_refused(own_redis: Callable[..., Any]) -> None:
    server = own_redis(**{"cluster-enabled": "yes"})
    with pytest.raises(Misconfigured, match="cluster"):
        Store.connect(server.url)


def test_a_redis_that_evicts_is_refused(own_redis: Callable[..., Any]) -> None:
    server = own_redis(maxmemory="100mb")
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(Misconfigured, match="noeviction"):
        Store.connect(server.url)


def test_a_server_that_is_too_old_is_refused(redis_url: str) -> None:
    class Aged(Store):
        def _execute(self, *command: Any) -> Any:
            answer = super()._execute(*command)
            return {**answer, "redis_version": "6.0.16"} if command == ("INFO",) else answer

    with pytest.raises(Misconfigured, match=r"6\.0\.16 is too old"):
        Aged.connect(redis_url)


def test_data_of_a_newer_farm_is_refused(redis_url: str) -> None:
    Store.connect(redis_url).close()
    with redis.Redis.from_url(redis_url) as client:
        assert client.get("f:schema") == str(SCHEMA).encode()
        client.set("f:schema", SCHEMA + 1)
    with pytest.raises(Misconfigured, match="newer farm"):
        Store.connect(redis_url)


# --- errors -----------------------------------------------------------------------------------------------------------


def test_scripts_are_loaded_again_after_redis_dropped_them(farm: Farm) -> None:
    farm.accept("job_a")
    farm.redis.script_flush()
    farm.accept("job_b")
    assert farm.record("job_b").id == "job_b"


def test_a_redis_that_goes_away_is_unavailable_until_it_is_back(own_redis: Callable[..., Any]) -> None:
    server = own_redis(aof=True)
    store = Store.connect(server.url)
    store.run(jobs.accept(new_job()))
    server.stop()
    with pytest.raises(StoreUnavailable, match="can't be reached"):
        store.run(jobs.record("job_a"))
    server.start()
    assert store.run(jobs.record("job_a")) is not None
    store.close()


def test_the_error_for_a_replica_names_it(own_redis: Callable[..., Any], redis_server: Any) -> None:
    server = own_redis()
    store = Store.connect(server.url)
    with server.client() as client:
        client.replicaof("127.0.0.1", redis_server.port)
        with pytest.raises(StoreUnavailable, match="replica"):
            store.run(jobs.accept(new_job()))
    store.close()


def test_a_bug_in_a_script_raises_the_error_of_redis(redis_url: str) -> None:
    store = Store.connect(redis_url)
    with pytest.raises(redis.ResponseError):
        store.run(Call("plan", (), bool))
    store.close()


# --- a full Redis -----------------------------------------------------------------------------------------------------


def test_a_full_redis_accepts_nothing_and_finishes_everything(
    own_redis: Callable[..., Any], farm_on: Callable[[str], Farm]
) -> None:
    farm = farm_on(own_redis().url)
    to_finish = farm.assembling("job_finish")
    to_redo = farm.assembling("job_redo")
    for number in range(9):
        farm.running(f"job_{number}", 32, on_error="skip")
    farm.running("job_fails", 1, tenant="bob")
    first, second, third = farm.claim(), farm.claim(), farm.claim()
    farm.run(segments.rescue(LEASE))
    farm.accept("job_stopped", retention_s=0, events=["canceled"])
    farm.run(jobs.cancel("job_stopped", "ann"))
    to_expire = farm.task(Due.EXPIRE, "job_stopped")
    to_deliver = farm.task(Due.DELIVER, "job_stopped.1")
    farm.accept("job_queued")
    to_abort = farm.task(Due.PLAN, "job_queued")
    farm.accept("job_planned")
    to_plan = farm.task(Due.PLAN, "job_planned")
    farm.accept("job_left")
    farm.redis.config_set("maxmemory", 100_000)

    for refused in (jobs.accept(new_job("job_new")), registry.put_voice("ann", "v", "{}")):
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            farm.run(refused)
    assert farm.store.pressure().full
    farm.run(registry.announce("m", "{}"))  # a worker can start, to drain it

    job, index = next((job, indices[0]) for job, indices in first.segments.items())
    assert farm.run(segments.begin(first.token, first.segments))
    assert farm.run(segments.renew(first.token, LEASE)).held
    assert farm.run(segments.settle(first.token, [segments.Settled(job, index, 100)])).counted == [True]
    job, index = next((job, indices[-1]) for job, indices in first.segments.items())
    assert farm.run(segments.fail(first.token, job, index, "bad"))
    assert farm.run(segments.release(second.token)) == len(second)
    assert len(farm.claim()) > 0
    farm.redis.config_set("maxmemory", 0)  # the test's clock is a key
    farm.clock.forward(LEASE)
    farm.redis.config_set("maxmemory", 100_000)
    assert farm.run(segments.rescue(LEASE)).segments >= len(third)
    assert farm.run(jobs.plan(to_plan.id, to_plan.token, 3))
    assert farm.run(jobs.redo(to_redo.id, to_redo.token, [0])) == 1
    assert farm.run(jobs.finish(to_finish.id, to_finish.token, "{}"))
    assert farm.run(jobs.abort(to_abort.id, Due.PLAN, to_abort.token, "{}"))
    assert farm.run(outbox.delivered(to_deliver, '{"tries": 1}', None, outcome="delivered"))
    assert farm.run(jobs.expire(to_expire.id, to_expire.token, 60))
    (task,) = farm.run(tasks.take([Due.PLAN], want=9, lease_ms=LEASE))
    assert farm.run(tasks.done(task, 100))
    assert farm.run(jobs.cancel("job_5", "ann"))
    assert farm.run(jobs.forget("job_6", "ann"))
    assert farm.run(registry.lock("keeper", "me", 1000))
    farm.run(registry.beat("w", "{}", 1000))
    assert farm.run(registry.workers()) == ["{}"]


def test_pressure_is_full_from_four_fifths_on() -> None:
    assert Pressure(80, 100).full
    assert not Pressure(79, 100).full
    assert not Pressure(10**12, 0).full, "no limit"


def test_pressure_is_crowded_from_seven_tenths_on() -> None:
    assert (Pressure(70, 100).crowded, Pressure(69, 100).crowded, Pressure(10**12, 0).crowded) == (True, False, False)


# --- group commit -----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_concurrent_calls_share_two_round_trips(redis_url: str) -> None:
    store = await AsyncStore.connect(redis_url)
    await store.run(jobs.accept(new_job("job_first")))  # loads the script
    trips: list[int] = []
    send = store._send

    async def counting(calls: Any, **more: Any) -> Any:
        trips.append(len(calls))
        return await send(calls, **more)

    store._send = counting  # type: ignore[method-assign]
    accepted = await asyncio.gather(*(store.run(jobs.accept(new_job(f"job_{number}"))) for number in range(100)))
    assert [job.id for job in accepted] == [f"job_{number}" for number in range(100)]
    assert trips == [50, 50]
    await store.close()


@pytest.mark.anyio
async def test_calls_wait_together_while_all_connections_are_busy(redis_url: str) -> None:
    store = await AsyncStore.connect(redis_url)
    await store.run(registry.models())  # loads the script
    trips: list[int] = []
    gate, send = asyncio.Event(), store._send

    async def slow(calls: Any, **more: Any) -> Any:
        trips.append(len(calls))
        await gate.wait()
        return await send(calls, **more)

    store._send = slow  # type: ignore[method-assign]
    tasks = []
    for _ in range(7):
        tasks.append(asyncio.create_task(store.run(registry.models())))
        for _ in range(3):
            await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*tasks) == [{}] * 7
    assert trips == [1, 1, 5]
    await store.close()


@pytest.mark.anyio
async def test_an_error_goes_to_the_call_that_caused_it(redis_url: str) -> None:
    store = await AsyncStore.connect(redis_url)
    await store.run(jobs.accept(new_job("job_a", idempotency_key="k", request_digest="d")))
    calls = [
        jobs.accept(new_job("job_b", idempotency_key="k", request_digest="e")),
        jobs.accept(new_job("job_c")),
        Call("plan", (), bool),
        jobs.accept(new_job("job_d", idempotency_key="k", request_digest="d")),
    ]
    reused, fresh, broken, replayed = await asyncio.gather(*(store.run(call) for call in calls), return_exceptions=True)
    assert isinstance(reused, BadInput)
    assert isinstance(broken, redis.ResponseError)
    assert (fresh.id, fresh.replayed, replayed.id, replayed.replayed) == ("job_c", False, "job_a", True)
    await store.close()


@pytest.mark.anyio
async def test_scripts_are_loaded_again_for_all_calls_of_a_pipeline(redis_url: str) -> None:
    store = await AsyncStore.connect(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()
    calls = [*(jobs.accept(new_job(f"job_{number}")) for number in range(5)), registry.models()]
    answers = await asyncio.gather(*(store.run(call) for call in calls))
    assert [answer.id for answer in answers[:-1]] == [f"job_{number}" for number in range(5)]
    await store.close()


@pytest.mark.anyio
async def test_a_canceled_caller_does_not_disturb_the_others(redis_url: str) -> None:
    store = await AsyncStore.connect(redis_url)
    leaving = asyncio.create_task(store.run(jobs.accept(new_job("job_a"))))
    staying = asyncio.create_task(store.run(jobs.accept(new_job("job_b"))))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).id == "job_b"
    assert (await store.run(registry.models())) == {}
    await store.close()


@pytest.mark.anyio
async def test_a_connection_that_is_lost_just_before_it_is_used_is_made_anew(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvloop raises a RuntimeError there, which redis-py passes on."""
    store = await AsyncStore.connect(redis_url)
    send, lost = AbstractConnection._send_packed_command, iter([True])

    async def lose_one(self: AbstractConnection, command: Any) -> None:
        if next(lost, False):
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
        await send(self, command)

    monkeypatch.setattr(AbstractConnection, "_send_packed_command", lose_one)
    assert await store.run(jobs.record("job_none")) is None
    assert next(lost, None) is None
    await store.close()


@pytest.mark.anyio
async def test_an_outage_fails_every_call_and_the_next_ones_succeed(own_redis: Callable[..., Any]) -> None:
    server = own_redis(aof=True)
    store = await AsyncStore.connect(server.url)
    server.stop()
    results = await asyncio.gather(*(store.run(registry.models()) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(result, StoreUnavailable) for result in results)
    with pytest.raises(StoreUnavailable):
        await store.pressure()
    server.start()
    assert await store.run(registry.models()) == {}
    await store.close()


@pytest.mark.anyio
async def test_both_stores_refuse_the_same_servers(redis_url: str) -> None:
    with pytest.raises(StoreUnavailable):
        await AsyncStore.connect(NOWHERE)
    with redis.Redis.from_url(redis_url) as client:
        client.set("f:schema", SCHEMA + 1)
    with pytest.raises(Misconfigured):
        await AsyncStore.connect(redis_url)


@pytest.mark.anyio
async def test_a_listener_gets_events_when_they_happen(redis_url: str) -> None:
    store = await AsyncStore.connect(redis_url)
    await store.run(jobs.accept(new_job("job_a")))
    assert await store.events("$", 0) == []
    listening = asyncio.create_task(store.events("$", 10_000))
    while not listening.done():
        await store.run(jobs.accept(new_job("job_b")))
        await store.run(jobs.cancel("job_b", "ann"))
        await asyncio.sleep(0)
    assert {event.owner for event in await listening} == {"job_b"}
    past = await store.events("0", 0)
    assert [(event.owner, event.status) for event in past] == [
        *(("job_a", "queued"), ("job_b", "queued"), ("job_b", "canceled")),
    ]
    assert await store.events(past[0].id, 0) == past[1:]
    await store.close()


@pytest.mark.anyio
async def test_as_many_as_like_look_at_the_events_at_once(redis_url: str) -> None:
    """All listeners come back at once after a restart of the API, and a pool has 100 connections."""
    store = await AsyncStore.connect(redis_url)
    await store.run(jobs.accept(new_job("job_a")))
    await store.run(jobs.cancel("job_a", "ann"))
    kept = await asyncio.gather(*(store.events_kept() for _ in range(1_000)))
    ((first, last),) = set(kept)
    between = await asyncio.gather(*(store.events_between(first, last, 9) for _ in range(1_000)))
    assert {tuple((event.id, event.status) for event in page) for page in between} == {((last, "canceled"),)}
    await store.close()


@pytest.mark.anyio
async def test_a_listener_gets_an_empty_list_when_nothing_happens(redis_url: str) -> None:
    store = await AsyncStore.connect(redis_url)
    assert await store.events("$", 30) == []
    await store.close()


def test_the_error_of_a_dead_segment_is_valid_json_for_any_text(farm: Farm) -> None:
    error = 'quote " backslash \\ newline \n snowman ☃' + "x" * 2000
    farm.running(segments=1, lane=Lane.BULK)
    grant = farm.run(segments.claim("m", want=1, worker="w", lease_ms=LEASE))
    farm.run(segments.fail(grant.token, "job_a", 0, error), MAX_ATTEMPTS=1)
    assert json.loads(farm.record().outcome or "")["message"] == error[:1000]


# --- a process without file descriptors -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_process_without_file_descriptors_is_told_as_an_outage(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def exhausted(*_: Any, **__: Any) -> Any:
        raise OSError(number, "Too many open files")

    async def ask() -> None:
        store = await AsyncStore.connect(redis_url)
        monkeypatch.setattr(store._client, "execute_command", exhausted)
        monkeypatch.setattr(store._client, "pipeline", exhausted)
        with pytest.raises(StoreUnavailable, match="no file descriptors left"):
            await store.pressure()
        with pytest.raises(StoreUnavailable, match="no file descriptors left"):
            await store.run(registry.ping())
        await store.close()

    with closing(Store.connect(redis_url)) as store, monkeypatch.context() as patched:
        patched.setattr(store._client, "execute_command", exhausted)
        with pytest.raises(StoreUnavailable, match="no file descriptors left"):
            store.run(registry.ping())
    asyncio.run(ask())


@pytest.mark.anyio
async def test_one_reader_hears_of_events_and_of_fresh_clips(farm: Farm, redis_url: str) -> None:
    store = await AsyncStore.connect(redis_url)
    farm.running(segments=2)
    news = await store.news(("0", "0"), 0)
    assert ([event.status for event in news.events], news.settled) == (["queued", "running"], [])
    listening = asyncio.create_task(store.news(news.after, 10_000))
    while not listening.done():
        farm.run(segments.settle("0", [segments.Settled("job_a", 0, 100)]))
        await asyncio.sleep(0)
    heard = await listening
    assert (heard.events, [moved.owner for moved in heard.settled]) == ([], ["job_a"])
    assert await store.news(heard.after, 0) == News([], [], heard.after)
    await store.close()
