"""Sessions of browsers: a key becomes a cookie, which opens what the key opens and no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from types import SimpleNamespace

import httpx
import pytest

from api import browser_sessions
from farm.job import DEFAULT_TENANT
from farm.store import Store, registry
from tests.api.conftest import Served
from tests.api.test_access import NIGHT, make_key
from tests.patience import patient


@pytest.fixture
def server(store: Store, served: Callable[..., Served]) -> Served:
    make_key(store, "ann", "ann")
    return served()


@pytest.fixture
def browser(server: Served) -> Iterator[httpx.Client]:
    """Signed in as ann; sends Origin as the farm's own pages do."""
    with server.client(headers={"Origin": server.url}) as browser:
        assert browser.post("/v1/session", headers={"Authorization": "Bearer farm_ann"}).status_code == 201
        yield browser


def test_a_key_becomes_a_cookie_that_opens_what_the_key_opens(browser: httpx.Client) -> None:
    job = browser.post("/v1/jobs", json=NIGHT)
    assert job.status_code == 202
    assert [each["id"] for each in browser.get("/v1/jobs").json()["data"]] == [job.json()["id"]]
    shown = browser.get("/v1/session").json()
    assert (shown["signed_in"], shown["tenant"]) == (True, "ann")
    assert shown["expires_at"]


def test_scripts_and_other_sites_get_no_cookie(server: Served) -> None:
    with server.client() as client:
        answer = client.post("/v1/session", headers={"Authorization": "Bearer farm_ann"})
        cookie = next(iter(SimpleCookie(answer.headers["set-cookie"]).values()))
        assert (bool(cookie["httponly"]), cookie["samesite"], cookie["max-age"]) == (True, "strict", "43200")
        assert not cookie["secure"]
        https = {"Authorization": "Bearer farm_ann", "Origin": "https://farm.example"}
        behind_tls = client.post("/v1/session", headers=https)
        assert "secure" in behind_tls.headers["set-cookie"].lower()


def test_cookies_of_other_programs_on_the_same_host_do_not_sign_a_browser_out(server: Served) -> None:
    """A browser sends the cookies of all ports of a host, and other programs write what no standard allows."""
    with server.client(headers={"Origin": server.url}) as browser:
        answer = browser.post("/v1/session", headers={"Authorization": "Bearer farm_ann"})
        session = answer.headers["set-cookie"].partition(";")[0]
    for other in ('theme={"dark": true}', "a b=c d", "="):
        with server.client(headers={"Cookie": f"{other}; {session}"}) as client:
            assert client.get("/v1/jobs").status_code == 200, other


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": ""},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_write_by_cookie_needs_our_origin(browser: httpx.Client, headers: dict[str, str]) -> None:
    for method, path in (
        ("POST", "/v1/jobs"),
        ("DELETE", "/v1/voices/x"),
        ("POST", "/v1/session"),
        ("DELETE", "/v1/session"),
    ):
        answer = browser.request(method, path, json=NIGHT, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site"), path
    assert browser.get("/v1/jobs").json()["data"] == []


def test_a_write_by_cookie_without_any_origin_is_refused(browser: httpx.Client) -> None:
    del browser.headers["origin"]
    assert browser.post("/v1/jobs", json=NIGHT).json()["code"] == "cross_site"
    assert browser.get("/v1/jobs").status_code == 200


def test_a_key_in_the_request_counts_and_its_cookie_does_not(browser: httpx.Client, store: Store) -> None:
    bob = make_key(store, "bob", "bob")
    while browser.get("/v1/jobs", headers=bob).status_code == 401:  # pytest's timeout is the limit
        time.sleep(0.05)  # a key that was made just now may be unknown for a fifth of a second
    job = browser.post("/v1/jobs", json=NIGHT, headers=bob | {"Origin": "https://elsewhere.example"}).json()["id"]
    assert browser.get(f"/v1/jobs/{job}").status_code == 404
    assert browser.get(f"/v1/jobs/{job}", headers=bob).status_code == 200


def test_a_revoked_key_ends_its_sessions(server: Served, browser: httpx.Client, store: Store) -> None:
    store.run(registry.drop_key("ann"))
    _until_refused(browser)
    assert browser.get("/v1/session").json() == {
        "signed_in": False,
        "tenant": None,
        "operator": False,
        "expires_at": None,
    }


def test_who_signs_out_is_out_although_the_cookie_is_kept(server: Served, browser: httpx.Client) -> None:
    cookie = browser.cookies["farm_session"]
    assert browser.delete("/v1/session").status_code == 204
    assert "farm_session" not in browser.cookies
    with server.client(cookies={"farm_session": cookie}) as again:
        assert again.get("/v1/jobs").status_code == 401


def test_a_session_ends_after_twelve_hours(
    server: Served, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(browser_sessions, "time", SimpleNamespace(time=lambda: real() + 12 * 3600 - 60))
    assert browser.get("/v1/jobs").status_code == 200
    monkeypatch.setattr(browser_sessions, "time", SimpleNamespace(time=lambda: real() + 12 * 3600 + 1))
    assert browser.get("/v1/jobs").status_code == 401


def test_a_key_has_thirty_two_sessions_and_one_more_ends_the_oldest(
    server: Served, browser: httpx.Client, store: Store
) -> None:
    with server.client() as other:
        for _ in range(32):
            other.post("/v1/session", headers={"Authorization": "Bearer farm_ann"})
        assert other.get("/v1/jobs").status_code == 200
    assert browser.get("/v1/jobs").status_code == 401


@pytest.mark.parametrize("value", ["", "x", "a" * 64 + "." + "b" * 43, '"; farm_session', "é"])
def test_a_cookie_that_no_session_has_opens_nothing(server: Served, value: str) -> None:
    with server.client() as client:
        headers = [(b"cookie", b"farm_session=" + value.encode("latin-1"))]
        assert client.get("/v1/jobs", headers=headers).status_code == 401


def test_a_farm_without_keys_needs_no_session(api: httpx.Client) -> None:
    assert api.get("/v1/session").json() == {
        "signed_in": True,
        "tenant": DEFAULT_TENANT,
        "operator": True,
        "expires_at": None,
    }
    answer = api.post("/v1/session")
    assert (answer.status_code, "set-cookie" in answer.headers) == (201, False)


def test_a_stream_of_events_opens_by_cookie_and_ends_with_the_session(server: Served, browser: httpx.Client) -> None:
    async def listen() -> bool:
        cookies = dict(browser.cookies)
        own = {"Origin": server.url}
        async with httpx.AsyncClient(
            base_url=server.url, cookies=cookies, timeout=patient(30), trust_env=False
        ) as client:
            async with client.stream("GET", "/v1/events") as stream:
                assert stream.status_code == 200
                async for _ in stream.aiter_bytes():
                    await client.delete("/v1/session", headers=own)
        return True

    assert asyncio.run(listen())


def _until_refused(browser: httpx.Client) -> None:
    for _ in range(200):
        answer = browser.get("/v1/jobs", timeout=patient(30))
        if answer.status_code == 401:
            return
        time.sleep(0.05)  # the API reads its keys anew every 2 s, and announces nothing
    pytest.fail("the session outlives its key")
