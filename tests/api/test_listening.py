"""Addresses for listening: whom they let in, until when, and what a job without a playlist answers. What is heard is
tested in tests/flow."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from api.listening import routes
from api.listening.tickets import SECONDS
from farm.errors import StorageUnavailable
from farm.job import Due
from farm.storage import LocalStorage
from farm.store import Store, jobs, registry, tasks
from tests.api.backstage import LEASE_MS, Backstage
from tests.api.conftest import Served
from tests.api.stage import Stage
from tests.api.test_access import make_key
from tests.patience import patient
from tests.until import until

TWO = {"input": "It was a dark night. Nobody spoke a word."}


@pytest.fixture
def server(store: Store, served: Callable[..., Served]) -> Served:
    make_key(store, "ann", "ann")
    make_key(store, "bob", "bob")
    return served(retention_days=1e-8)  # a millisecond, after which somebody has to expire a job


@pytest.fixture
def ann(server: Served) -> Iterator[httpx.Client]:
    with server.client(headers={"Authorization": "Bearer farm_ann"}) as client:
        yield client


@pytest.fixture
def player(server: Served) -> Iterator[httpx.Client]:
    """Without a key."""
    with server.client() as client:
        yield client


def heard(client: httpx.Client, backstage: Backstage, stage: Stage, count: int = 1) -> str:
    """A job of two segments, of which so many are rendered."""
    job = str(client.post("/v1/jobs", json=TWO).json()["id"])
    assert backstage.plan(job) == 2
    stage.render(count)
    return job


def address(client: httpx.Client, job: str) -> str:
    answer = client.get(f"/v1/jobs/{job}/stream.m3u8")
    assert answer.status_code == 307, answer.text
    return urljoin(str(answer.url), answer.headers["location"])


def parts(client: httpx.Client, url: str) -> list[str]:
    """The addresses of all that a playlist names."""
    listed = client.get(url)
    assert listed.status_code == 200, listed.text
    names = [line for line in listed.text.splitlines() if line and not line.startswith("#")]
    return [urljoin(url, name) for name in (*names, "init-22050.mp4")]


def expire(store: Store, job: str) -> None:
    taken: list[tasks.Task] = []
    while not taken:
        taken = list(store.run(tasks.take((Due.EXPIRE,), want=1, lease_ms=LEASE_MS)))
    assert store.run(jobs.expire(job, taken[0].token, 1000))


def test_an_address_lets_a_player_in_without_a_key(
    ann: httpx.Client, player: httpx.Client, backstage: Backstage, stage: Stage
) -> None:
    url = address(ann, heard(ann, backstage, stage))
    listed = player.get(url)
    assert listed.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert listed.headers["cache-control"] == "no-store"
    for part in parts(player, url):
        answer = player.get(part)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/mp4")
        assert answer.headers["cache-control"] == f"private, max-age={SECONDS}, immutable"


def test_head_answers_as_get_does(ann: httpx.Client, player: httpx.Client, backstage: Backstage, stage: Stage) -> None:
    job = heard(ann, backstage, stage)
    assert ann.head(f"/v1/jobs/{job}/stream.m3u8").status_code == 307
    url = address(ann, job)
    for each in (url, *parts(player, url)):
        whole, head = player.get(each), player.head(each)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(whole.content))


def test_an_address_says_nothing_of_the_key_and_opens_this_job_alone(
    ann: httpx.Client, player: httpx.Client, backstage: Backstage, stage: Stage
) -> None:
    one, other = (address(ann, heard(ann, backstage, stage)) for _ in range(2))
    assert "farm_ann" not in one
    tickets = [url.split("/")[-2].split(".") for url in (one, other)]
    mixed = ".".join((tickets[0][0], *tickets[1][1:]))
    longer = ".".join((tickets[0][0], f"{int(tickets[0][1], 16) + 1:x}", *tickets[0][2:]))
    for ticket in (mixed, longer, "-".join(tickets[0]), "x", "job_x.1.-." + "A" * 22):
        answer = player.get(f"/v1/listen/{ticket}/stream.m3u8")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), ticket
    job = tickets[0][0]
    for path in (f"/v1/jobs/{job}", f"/v1/jobs/{job}/audio", f"/v1/jobs/{job}/stream.m3u8"):
        assert player.get(path).status_code == 401


def test_another_tenants_job_has_no_address(
    server: Served, ann: httpx.Client, backstage: Backstage, stage: Stage
) -> None:
    job = heard(ann, backstage, stage)
    with server.client(headers={"Authorization": "Bearer farm_bob"}) as bob:
        for id in (job, "job_0000000000000000"):
            assert bob.get(f"/v1/jobs/{id}/stream.m3u8").status_code == 404
        url = address(ann, job)
        assert bob.get(url).status_code == 200  # the address counts, whoever has it; and no key beside it
        assert bob.get(url, headers={"Authorization": "Bearer wrong", "Cookie": "farm_session=x"}).status_code == 200


def test_an_address_ends_after_twelve_hours(
    server: Served, ann: httpx.Client, player: httpx.Client, backstage: Backstage, stage: Stage
) -> None:
    url = address(ann, heard(ann, backstage, stage))
    every = [url, *parts(player, url)]
    server.app.state.tickets.now = lambda: time.time() + SECONDS - patient(30)
    assert {player.get(each).status_code for each in every} == {200}
    server.app.state.tickets.now = lambda: time.time() + SECONDS
    for each in every:
        answer = player.get(each)
        assert (answer.status_code, answer.json()["code"]) == (401, "address_ended")


def test_an_address_dies_with_its_key(
    ann: httpx.Client, player: httpx.Client, backstage: Backstage, stage: Stage, store: Store
) -> None:
    url = address(ann, heard(ann, backstage, stage))
    assert player.get(url).status_code == 200
    store.run(registry.drop_key("ann"))
    until(lambda: player.get(url).status_code == 401)


def test_an_address_of_a_farm_without_keys_ends_with_the_first_key(
    serve: Callable[..., httpx.Client], backstage: Backstage, stage: Stage, store: Store
) -> None:
    api = serve()
    url = address(api, heard(api, backstage, stage))
    for key in ("farm_ann", "none"):  # players of a page may send one; it says nothing here
        assert api.get(url, headers={"Authorization": f"Bearer {key}"}).status_code == 200
    make_key(store, "ann", "ann")
    until(lambda: api.get(url).status_code == 401)


def test_two_apis_take_each_others_addresses(
    ann: httpx.Client, served: Callable[..., Served], backstage: Backstage, stage: Stage
) -> None:
    url = address(ann, heard(ann, backstage, stage))
    with served().client() as elsewhere:
        assert elsewhere.get(httpx.URL(url).path).status_code == 200


@pytest.mark.parametrize(
    ("end", "status", "code"), [("canceled", 409, "no_result"), ("failed", 409, "no_result"), ("expired", 410, "gone")]
)
def test_a_job_without_audio_says_so_at_both_addresses(
    ann: httpx.Client, player: httpx.Client, backstage: Backstage, stage: Stage, store: Store,
    end: str, status: int, code: str,
) -> None:  # fmt: skip
    job = heard(ann, backstage, stage, count=1 if end != "expired" else 2)
    url = address(ann, job)
    if end == "canceled":
        ann.post(f"/v1/jobs/{job}/cancel")
    elif end == "failed":
        stage.fail(stage.claim(), job, 1, "can't say that")
    else:
        backstage.finish(job)
        assert player.get(url).status_code == 200
        expire(store, job)
    for answer in (ann.get(f"/v1/jobs/{job}/stream.m3u8"), player.get(url)):
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_a_job_that_is_answered_clip_by_clip_has_no_list(api: httpx.Client, stage: Stage) -> None:
    with stage.rendering():
        job = api.post("/v1/audio/speech", json=TWO).headers["x-farm-job"]
    answer = api.get(f"/v1/jobs/{job}/stream.m3u8")
    assert (answer.status_code, answer.json()["code"]) == (409, "streamed")


def test_a_job_of_which_nothing_is_rendered_asks_for_patience(
    api: httpx.Client, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_FIRST_WAIT_S", 0.05)
    job = api.post("/v1/jobs", json=TWO).json()["id"]
    url = address(api, job)
    before = api.get(url)
    backstage.plan(job)
    for answer in (before, api.get(url)):
        assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_hear_yet")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("0-00000000-0-0-0.m4s", 410),
        ("2-end-0-0-0.m4s", 410),
        ("9-00000000-0-0-0.m4s", 410),
        ("999999999-end-0-9-0.m4s", 410),
        ("0-00000000-0-999999999999999-0.m4s", 200),  # silence, of ten seconds like any other
        ("0-00000000-0-0-0.mp4", 404),
        ("0-0-0-0-0.m4s", 404),
        ("-1-00000000-0-0-0.m4s", 404),
        ("init-1.mp4", 422),
        ("init-x.mp4", 422),
    ],
)
def test_a_fragment_that_there_is_not_is_refused(
    ann: httpx.Client, player: httpx.Client, backstage: Backstage, stage: Stage, name: str, status: int
) -> None:
    url = address(ann, heard(ann, backstage, stage))
    assert player.get(urljoin(url, name)).status_code == status


def test_a_log_has_no_address_that_lets_somebody_in(
    ann: httpx.Client, player: httpx.Client, backstage: Backstage, stage: Stage,
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    job = heard(ann, backstage, stage)
    url = address(ann, job)
    fragment = parts(player, url)[0]

    def lost(*_: Any) -> bytes:
        raise StorageUnavailable("the bucket can't be reached")

    monkeypatch.setattr(LocalStorage, "get", lost)
    with caplog.at_level(logging.INFO):
        assert player.get(fragment).status_code == 503
    # The log of this test has lines of its client too, and of uvicorn, which a farm tells to be silent.
    said = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("api.", "farm.")))
    assert f"/v1/listen/{job}" in said
    assert url.split("/")[-2].rsplit(".", 1)[1] not in said
