from __future__ import annotations

import hashlib
import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile as sf

from api.refusals import Refusals
from farm.errors import EXIT_MISCONFIGURED
from farm.store import Store, registry
from tests import program
from tests.api.backstage import Backstage
from tests.api.conftest import Served
from tests.until import until

NIGHT = {"input": "It was a dark and stormy night."}


def make_key(store: Store, name: str, tenant: str, *, operator: bool = False) -> dict[str, str]:
    digest = hashlib.sha256(f"farm_{name}".encode()).hexdigest()
    assert store.run(registry.put_key(digest, tenant, name, operator=operator))
    return {"Authorization": f"Bearer farm_{name}"}


@pytest.fixture
def ann(store: Store, served: Callable[..., Served]) -> Iterator[httpx.Client]:
    headers = make_key(store, "ann", "ann")
    with served().client(headers=headers) as client:
        yield client


@pytest.fixture
def bob(store: Store, ann: httpx.Client) -> Iterator[httpx.Client]:
    headers = make_key(store, "bob", "bob")
    with httpx.Client(base_url=ann.base_url, headers=headers, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("given", [None, "Bearer wrong", "Basic farm_ann", "Bearer", "farm_ann"])
def test_a_farm_with_keys_refuses_requests_without_one(ann: httpx.Client, given: str | None) -> None:
    headers = {"Authorization": given} if given else {}
    for path in ("/v1/jobs", "/v1/queue", "/v1/nothing", "/metrics"):
        answer = httpx.get(f"{ann.base_url}{path}", headers=headers, trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "given",
    [b"Bearer \xe9", "Bearer é".encode(), b"Bearer\tfarm_bob", b"Bearer farm_ann farm_ann", b"Bearer " + b"x" * 60_000],
    ids=["latin-1", "utf-8", "a tab", "two keys", "60 kB"],
)
def test_a_header_that_holds_no_key_is_refused_like_a_wrong_one(ann: httpx.Client, given: bytes) -> None:
    answer = httpx.get(f"{ann.base_url}/v1/jobs", headers=[(b"Authorization", given)], trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_networks_that_webhooks_may_reach_without_keys_are_closed_by_the_first_key(
    store: Store, served: Callable[..., Served]
) -> None:
    server = served(webhook_allow_keyless=("127.0.0.0/8",))
    body = NIGHT | {"webhook": {"url": "http://127.0.0.1:9/"}}
    with server.client() as anybody:
        assert anybody.post("/v1/jobs", json=body).status_code == 202
    with server.client(headers=make_key(store, "ann", "ann")) as ann:
        refused = ann.post("/v1/jobs", json=body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/webhook/url")
    assert "FARM_WEBHOOK_ALLOW" in refused.json()["detail"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
def test_probes_and_documentation_need_no_key(ann: httpx.Client, path: str) -> None:
    assert httpx.get(f"{ann.base_url}{path}", trust_env=False).status_code == 200


def test_an_idempotency_key_is_its_tenants_own(ann: httpx.Client, bob: httpx.Client) -> None:
    key = {"Idempotency-Key": "1"}
    hers, his = (client.post("/v1/jobs", json=NIGHT, headers=key) for client in (ann, bob))
    assert (hers.status_code, his.status_code) == (202, 202)
    assert hers.json()["id"] != his.json()["id"]


def test_a_key_opens_as_soon_as_it_is_made(ann: httpx.Client, store: Store) -> None:
    assert ann.get("/v1/jobs").status_code == 200
    store.run(registry.put_key(hashlib.sha256(b"fk_new").hexdigest(), "new", "new"))
    # Well below the age at which keys are read again anyway.
    until(lambda: ann.get("/v1/jobs", headers={"Authorization": "Bearer fk_new"}).status_code == 200, 1)


def test_a_revoked_key_opens_no_longer(ann: httpx.Client, bob: httpx.Client, store: Store) -> None:
    assert bob.get("/v1/jobs").status_code == 200
    store.run(registry.drop_key("bob"))
    until(lambda: bob.get("/v1/jobs").status_code == 401)
    assert ann.get("/v1/jobs").status_code == 200


def test_a_farm_whose_last_key_was_revoked_stays_closed_until_it_is_opened(
    served: Callable[..., Served], store: Store
) -> None:
    key = make_key(store, "ann", "ann")
    store.run(registry.drop_key("ann"))
    with served().client() as api:
        for headers in ({}, key, {"X-Forwarded-For": "10.0.0.1"}):
            assert api.get("/v1/jobs", headers=headers).status_code == 401
        store.run(registry.open_without_keys())
        until(lambda: api.get("/v1/jobs").status_code == 200)


@pytest.mark.parametrize("given", ["Bearer farm_unknown", "Bearer", "Basic YW5uOmFubg==", "farm_unknown", ""])
def test_a_farm_without_keys_refuses_a_key(api: httpx.Client, given: str) -> None:
    """Whoever sends one takes the farm for closed."""
    answer = api.get("/v1/jobs", headers={"Authorization": given})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_refused_requests_are_logged_once_a_minute_with_their_number_and_without_the_key(
    ann: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        httpx.get(f"{ann.base_url}/v1/jobs", headers={"Authorization": "Bearer guessed"}, trust_env=False)
    told = [record.getMessage() for record in caplog.records if record.name == "api.refusals"]
    assert told == ["refused a request of 127.0.0.1: this API key is not known; `farm keys list` shows which are"]
    assert "guessed" not in caplog.text


def test_the_count_of_refusals_follows_a_minute_later(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([0, 1, 59, 60, 61, 130])
    refusals = Refusals(lambda: next(times, 200))
    for _ in range(6):
        refusals.note("10.0.0.1", "why")
    for number in range(5000):
        refusals.note(f"10.1.{number // 256}.{number % 256}", "why")
    told = [record.getMessage() for record in caplog.records][:4]
    assert told == [
        "refused a request of 10.0.0.1: why",
        "refused 3 further requests of 10.0.0.1, the latest: why",
        "refused 2 further requests of 10.0.0.1, the latest: why",
        "refused a request of 10.1.0.0: why",
    ]
    assert len(refusals._seen) == 1000


@pytest.mark.parametrize("tenant", ["a/../b", "team/../x", ".hidden", "x" * 300, "back\\slash"])
def test_a_tenant_of_before_names_were_checked_has_voices(
    served: Callable[..., Served], store: Store, tenant: str
) -> None:
    headers = make_key(store, "odd", tenant)
    with served().client(headers=headers) as client:
        form = {"name": "mine", "consent": "true"}
        made = client.post("/v1/voices", data=form, files={"audio": ("v.wav", _speech())})
        assert made.status_code == 201, made.text
        assert client.delete("/v1/voices/mine").status_code == 204


def _speech() -> bytes:
    """Two seconds of a tone that is loud enough."""
    file = io.BytesIO()
    tone = 0.3 * np.sin(np.arange(2 * 24_000) * 2 * np.pi * 220 / 24_000)
    sf.write(file, tone, 24_000, format="WAV")
    return file.getvalue()


def test_without_keys_everything_belongs_to_the_tenant_default(api: httpx.Client, backstage: Backstage) -> None:
    api.post("/v1/jobs", json=NIGHT)
    assert backstage.store.run(
        registry.put_voice("default", "anna", '{"digest":"d","seconds":1,"created_ms":1,"notes":[]}')
    )
    assert api.get("/v1/voices/anna").status_code == 200


@pytest.mark.parametrize("host", ["evil.example.com", "192.0.2.7:8000", ""])
def test_without_keys_a_name_that_was_made_to_resolve_here_does_not_enter(api: httpx.Client, host: str) -> None:
    answer = api.get("/v1/jobs", headers={"Host": host})
    assert answer.status_code in (400, 401)


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "farm.example.com"])
def test_without_keys_our_own_names_do(serve: Callable[..., httpx.Client], host: str) -> None:
    api = serve(public_url="https://farm.example.com")
    assert api.get("/v1/jobs", headers={"Host": host}).status_code == 200


def start_api(redis_url: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    farm = {"FARM_REDIS_URL": redis_url, "FARM_STORAGE_URL": f"file://{folder}"}
    return program.run("api", env=os.environ | farm | environment)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_without_keys_the_api_refuses_to_be_reached_by_others(redis_url: str, tmp_path: Path, host: str) -> None:
    ended = start_api(redis_url, tmp_path, FARM_HOST=host)
    assert ended.returncode == EXIT_MISCONFIGURED
    assert "farm keys create" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"FARM_PORT": "many"}, "FARM_PORT"),
        ({"FARM_WEBHOOK_ALLOW": "not a network"}, "FARM_WEBHOOK_ALLOW"),
        ({"FARM_REDIS_URL": "redis://127.0.0.1:1/0"}, "Redis"),
        ({"FARM_SYNCHRONOUS_COMMIT": "yes"}, "FARM_SYNCHRONOUS_COMMIT"),
    ],
)
def test_a_wrong_setting_is_named_at_the_start(
    redis_url: str, tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    ended = start_api(redis_url, tmp_path, **environment)
    assert ended.returncode != 0
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X-Forwarded-For": "10.0.0.1"}, "proxied"),
        ({"X-Forwarded-Host": "farm.example"}, "proxied"),
        ({"Forwarded": "for=10.0.0.1"}, "proxied"),
        ({"Via": "1.1 proxy"}, "proxied"),
        ({"Origin": "https://evil.example"}, "cross_site"),
        ({"Origin": "null"}, "cross_site"),
        ({"Sec-Fetch-Site": "cross-site"}, "cross_site"),
        ({"Sec-Fetch-Site": "same-site"}, "cross_site"),
    ],
)
def test_a_farm_without_keys_answers_neither_proxies_nor_pages_of_other_sites(
    api: httpx.Client, headers: dict[str, str], code: str
) -> None:
    """A page can send a form with a batch in it to this machine, and its browser asks nobody before."""
    for answer in (
        api.get("/v1/jobs", headers=headers),
        api.post("/v1/batches", files={"file": ("jobs.jsonl", b'{"input":"x"}')}, headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, code)
    assert api.get("/v1/jobs").json()["data"] == []


def test_a_page_of_the_farm_itself_may_use_a_farm_without_keys(api: httpx.Client) -> None:
    own = {"Origin": f"http://127.0.0.1:{api.base_url.port}", "Sec-Fetch-Site": "same-origin"}
    assert api.post("/v1/jobs", json=NIGHT, headers=own).status_code == 202


def test_with_a_key_proxies_and_pages_are_answered(ann: httpx.Client) -> None:
    headers = {"X-Forwarded-For": "10.0.0.1", "Origin": "https://dashboard.example"}
    assert ann.get("/v1/jobs", headers=headers).status_code == 200


@pytest.mark.parametrize(("trusted", "scheme"), [((), "http"), (("10.0.0.0/8",), "http"), (("127.0.0.1",), "https")])
def test_only_a_proxy_that_the_operator_named_is_believed_how_its_client_came(
    serve: Callable[..., httpx.Client], store: Store, trusted: tuple[str, ...], scheme: str
) -> None:
    key = make_key(store, "ann", "ann")
    answer = serve(trusted_proxies=trusted).post(
        "/v1/jobs",
        json={"input": "By way of a proxy."},
        headers=key | {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"},
    )
    assert answer.json()["status_url"].startswith(f"{scheme}://")


@pytest.mark.parametrize("host", ["[", "[zz]:1", "a]b", "[::1", "::1]:80", "[v1.x]:1", "\xff", "a b", ""])
def test_a_malformed_host_is_not_this_farm(api: httpx.Client, host: str) -> None:
    answer = api.get("/v1/jobs", headers={"Host": host.encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert api.get("/healthz", headers={"Host": host.encode("latin-1")}).status_code == 200


@pytest.mark.parametrize("host", ["[", "[zz]:1", "a]b", "localhost:abc", "a b", "user@farm", "farm/x", "\xff", ""])
def test_a_malformed_host_gets_into_no_url(ann: httpx.Client, host: str) -> None:
    answer = ann.post("/v1/jobs", json=NIGHT, headers={"Host": host.encode("latin-1")})
    assert answer.headers["location"].startswith(f"{ann.base_url}/v1/jobs/")
    assert answer.json()["status_url"] == answer.headers["location"]
