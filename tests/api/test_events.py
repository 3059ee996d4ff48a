"""Server-sent events: each change of state once and in order, whoever was away, and nobody's but one's own."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import redis

from api import channels, event_stream
from farm.store import News, Store, registry
from tests.api.backstage import ESPEAK, Backstage
from tests.api.conftest import Served
from tests.api.test_access import make_key
from tests.patience import patient
from tests.until import until

NIGHT = {"input": "It was a dark night. The rain fell in torrents."}


@dataclass(frozen=True)
class Seen:
    event: str
    data: dict[str, Any]
    id: str | None


class Stream:
    """One open stream, read frame by frame."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        self._lines = answer.iter_lines()

    def __next__(self) -> Seen:
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line and fields:
                return Seen(fields["event"], json.loads(fields["data"]), fields.get("id"))
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
        raise StopIteration

    def until(self, status: str) -> list[Seen]:
        """All up to the first change to this status."""
        found = []
        while not (found and found[-1].event == "status" and found[-1].data["status"] == status):
            found.append(next(self))
        return found


@contextmanager
def follow(api: httpx.Client, path: str, **options: Any) -> Iterator[Stream]:
    with api.stream("GET", path, timeout=patient(30), **options) as answer:
        yield Stream(answer)


def submit(api: httpx.Client, **more: Any) -> str:
    return str(api.post("/v1/jobs", json={**NIGHT, **more}).json()["id"])


def statuses(seen: list[Seen]) -> list[tuple[str, str]]:
    return [(one.data["id"], one.data["status"]) for one in seen if one.event == "status"]


def test_a_job_is_followed_from_its_state_to_its_end(api: httpx.Client, backstage: Backstage) -> None:
    job = submit(api, custom_id="night")
    with follow(api, f"/v1/jobs/{job}/events") as stream:
        first = next(stream)
        assert (first.event, first.data["id"], first.data["status"]) == ("state", job, "queued")
        assert first.data["custom_id"] == "night"
        backstage.succeed(job)
        seen = stream.until("succeeded")
    assert statuses(seen) == [(job, "running"), (job, "assembling"), (job, "succeeded")]
    assert all(one.id for one in seen if one.event == "status")


def test_the_state_is_followed_by_no_event_that_it_has(
    api: httpx.Client, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process may hear of the acceptance after the client has asked for the stream."""
    tell = channels.Channels.tell

    def tell_later(self: channels.Channels, news: News) -> None:
        asyncio.get_running_loop().call_later(0.3, tell, self, news)

    monkeypatch.setattr(channels.Channels, "tell", tell_later)
    job = submit(api)
    with follow(api, f"/v1/jobs/{job}/events") as stream:
        assert next(stream).data["status"] == "queued"
        backstage.succeed(job)
        assert statuses(stream.until("succeeded"))[0] == (job, "running")


def test_a_stream_of_everything_has_jobs_batches_and_progress(api: httpx.Client, backstage: Backstage) -> None:
    with follow(api, "/v1/events") as stream:
        assert next(stream).event == "state"
        job = submit(api)
        backstage.plan(job)
        backstage.render(job, 1)
        progress = next(one for one in iter(stream.__next__, None) if one.event == "progress")
        assert (progress.data["id"], progress.id) == (job, None)
        assert progress.data["progress"]["segments_done"] == 1
        backstage.render(job)
        backstage.finish(job)
        assert statuses(stream.until("succeeded"))[-1] == (job, "succeeded")
        api.delete(f"/v1/jobs/{job}")
        assert statuses(stream.until("deleted")) == [(job, "deleted")]


def test_a_batch_is_followed_with_its_jobs(api: httpx.Client, backstage: Backstage) -> None:
    batch = api.post("/v1/batches", json={"jobs": [NIGHT, NIGHT]}).json()["id"]
    with follow(api, f"/v1/batches/{batch}/events") as stream:
        first = next(stream)
        assert (first.data["id"], first.data["total"]) == (batch, 2)
        api.post(f"/v1/batches/{batch}/cancel")
        seen = stream.until("completed")
    assert statuses(seen)[-1] == (batch, "completed")


def test_who_was_away_gets_what_was_missed_once_and_in_order(api: httpx.Client, backstage: Backstage) -> None:
    job = submit(api)
    with follow(api, f"/v1/jobs/{job}/events") as stream:
        next(stream)
        backstage.plan(job)
        (planned,) = stream.until("running")
    other = submit(api)
    api.post(f"/v1/jobs/{other}/cancel")
    backstage.render(job)
    backstage.finish(job)
    for resumed in ({"headers": {"Last-Event-ID": planned.id}}, {"params": {"after": planned.id}}):
        with follow(api, f"/v1/jobs/{job}/events", **resumed) as stream:
            seen = stream.until("succeeded")
            assert [(one.event, one.data["status"]) for one in seen] == [
                ("status", "assembling"),
                ("status", "succeeded"),
            ]
    with follow(api, "/v1/events", params={"after": planned.id}) as stream:
        seen = stream.until("succeeded")
        assert statuses(seen) == [(other, "queued"), (other, "canceled"), (job, "assembling"), (job, "succeeded")]


def test_an_id_older_than_what_is_kept_begins_anew(
    session_api: Served, api: httpx.Client, backstage: Backstage, store: Store, redis_url: str
) -> None:
    job = submit(api)
    with follow(api, f"/v1/jobs/{job}/events") as stream:
        old = next(stream).id
    until_all_have_left(session_api)  # a channel with listeners has its own memory
    backstage.succeed(job)
    with redis.Redis.from_url(redis_url) as client:
        until_all_are_read(session_api, client)
        client.xtrim("f:ev", maxlen=1, approximate=False)
    with follow(api, f"/v1/jobs/{job}/events", params={"after": old}) as stream:
        reset = next(stream)
        assert (reset.event, reset.data["status"]) == ("reset", "succeeded")
        api.delete(f"/v1/jobs/{job}")
        assert statuses(stream.until("deleted"))[-1] == (job, "deleted")
        with pytest.raises(StopIteration):
            next(stream)


@pytest.mark.parametrize("after", ["x", "1", "1-", "-1-1", "99999999999999-0", "9" * 40, "1-1; 2-2"])
def test_an_id_that_no_event_has_is_refused(api: httpx.Client, after: str) -> None:
    for options in ({"params": {"after": after}}, {"headers": {"Last-Event-ID": after}}):
        answer = api.get("/v1/events", **options)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("path", ["/v1/jobs/job_0/events", "/v1/batches/batch_0/events"])
def test_an_unknown_id_is_refused_before_the_stream_begins(api: httpx.Client, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_a_tenant_hears_of_its_own_alone(served: Callable[..., Served], store: Store, backstage: Backstage) -> None:
    api = served()
    keys = {tenant: make_key(store, tenant, tenant) for tenant in ("ann", "bob")}
    with api.client(headers=keys["ann"]) as ann, api.client(headers=keys["bob"]) as bob:
        with follow(ann, "/v1/events") as stream:
            next(stream)
            theirs, own = submit(bob), submit(ann)
            assert statuses(stream.until("queued")) == [(own, "queued")]
        assert ann.get(f"/v1/jobs/{theirs}/events").status_code == 404


def test_a_revoked_key_closes_its_streams(served: Callable[..., Served], store: Store) -> None:
    api = served()
    key = make_key(store, "ann", "ann")
    make_key(store, "bob", "bob")
    with api.client(headers=key) as ann, follow(ann, "/v1/events") as stream:
        next(stream)
        store.run(registry.drop_key("ann"))
        with pytest.raises(StopIteration):
            next(stream)


def test_a_stream_outlives_an_outage_of_redis(
    serve: Callable[..., httpx.Client], own_redis: Callable[..., Any], settings: Any
) -> None:
    server = own_redis(aof=True)
    store = Store.connect(server.url)
    store.run(registry.announce(ESPEAK.name, ESPEAK.model_dump_json()))
    api = serve(redis_url=server.url)
    job = submit(api)
    with follow(api, f"/v1/jobs/{job}/events") as stream:
        next(stream)
        server.kill()
        assert api.get(f"/v1/jobs/{job}").status_code == 503
        server.start()
        until(lambda: api.post(f"/v1/jobs/{job}/cancel").status_code == 202)
        assert statuses(stream.until("canceled")) == [(job, "canceled")]
    store.close()


def test_a_restarted_api_goes_on_where_the_client_was(served: Callable[..., Served], backstage: Backstage) -> None:
    first = served()
    with first.client() as api:
        job = submit(api)
        with follow(api, f"/v1/jobs/{job}/events") as stream:
            last = next(stream).id
    first.stop()
    backstage.plan(job)
    with served().client() as api, follow(api, f"/v1/jobs/{job}/events", params={"after": last}) as stream:
        assert statuses(stream.until("running"))[-1] == (job, "running")
        backstage.render(job)
        backstage.finish(job)
        assert statuses(stream.until("succeeded"))[-1] == (job, "succeeded")


def test_an_idle_stream_is_heard_of(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "PING_SECONDS", 0)
    with api.stream("GET", "/v1/events", timeout=patient(30)) as answer:
        lines = answer.iter_lines()
        while next(lines) != ": ping":
            pass


def test_a_client_that_reads_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "STALL_SECONDS", 0.05)
    closed = threading.Event()

    async def frames() -> AsyncGenerator[bytes]:
        while True:
            yield event_stream.PING

    async def never() -> dict[str, Any]:
        return await asyncio.Future()

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Future()  # as uvicorn does while the client's window is full

    async def scenario() -> None:
        async with asyncio.timeout(patient(10)):
            await event_stream.EventStream(frames(), closed.set)({"request_id": "req_1"}, never, send)

    asyncio.run(scenario())
    assert closed.is_set()


def test_what_breaks_a_stream_is_raised_for_the_log() -> None:
    closed = threading.Event()

    async def frames() -> AsyncGenerator[bytes]:
        yield event_stream.PING
        raise ValueError("a fault of the farm")

    async def never() -> dict[str, Any]:
        return await asyncio.Future()

    async def send(message: MutableMapping[str, Any]) -> None:
        pass

    with pytest.raises(ValueError, match="a fault of the farm"):
        asyncio.run(event_stream.EventStream(frames(), closed.set)({"request_id": "req_1"}, never, send))
    assert closed.is_set()


def test_a_tenant_has_so_many_streams_and_no_more(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MOST_LISTENERS", 1)
    with follow(api, "/v1/events") as stream:
        next(stream)
        refused = api.get("/v1/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_listeners")


def test_nothing_is_kept_for_those_who_have_left(session_api: Served, api: httpx.Client) -> None:
    for _ in range(3):
        with follow(api, "/v1/events") as stream:
            next(stream)
    until_all_have_left(session_api)


def until_all_have_left(api: Served) -> None:
    while api.app.state.farm.watch.channels.listeners:  # pytest's timeout is the limit
        time.sleep(0.01)  # the server learns from the socket that a client left, and announces nothing


def until_all_are_read(api: Served, client: redis.Redis) -> None:
    """An API that is behind by less than the store keeps reads all events. A test that trims them waits for that."""
    ((latest, _),) = client.xrevrange("f:ev", count=1)
    until(lambda: api.app.state.farm.watch.channels.latest == latest.decode())


def test_a_slow_listener_reads_what_its_channel_no_longer_has(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel keeps one event: the others come from the store."""
    monkeypatch.setattr(channels, "_KEPT", 1)
    monkeypatch.setattr(channels, "_Channel", lambda dropped: channels_of_one(dropped))
    jobs = [submit(api) for _ in range(3)]
    with follow(api, "/v1/events") as stream:
        next(stream)
        for job in jobs:
            api.post(f"/v1/jobs/{job}/cancel")
        ends: list[tuple[str, str]] = []
        while len(ends) < len(jobs):  # how each was accepted may still have to be told
            ends += [each for each in statuses([next(stream)]) if each[1] == "canceled"]
        assert ends == [(job, "canceled") for job in jobs]


def channels_of_one(dropped: str) -> Any:
    return CHANNEL(events=deque(maxlen=1), dropped=dropped)


CHANNEL = channels._Channel
