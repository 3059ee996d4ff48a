from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from farm.store import Store, registry
from farm.wire import Worker
from tests.api.backstage import ESPEAK, LEASE_MS, Backstage
from tests.api.conftest import Served
from tests.api.test_access import make_key
from tests.patience import patient
from tests.until import until

NIGHT = {"input": "It was a dark night. The rain fell in torrents."}


def test_models_are_as_their_workers_announced_them(api: httpx.Client) -> None:
    found = api.get("/v1/models").json()["data"]
    assert [model["name"] for model in found] == ["espeak", "indextts-2"]
    assert found[0].items() >= ESPEAK.model_dump(mode="json").items()


def test_the_queue_shows_depths_and_workers(api: httpx.Client, backstage: Backstage) -> None:
    job = api.post("/v1/jobs", json={**NIGHT, "priority": "bulk"}).json()["id"]
    backstage.plan(job)
    api.post("/v1/jobs", json=NIGHT)
    now = "2026-01-01T00:00:00Z"
    worker = Worker(id="w", kind="render", model="espeak", started_at=now, seen_at=now, segments_per_second=2)
    backstage.store.run(registry.beat("w", worker.model_dump_json(), LEASE_MS))
    queue = api.get("/v1/queue").json()
    assert (queue["jobs"]["queued"], queue["jobs"]["running"], queue["due"]["plan"]) == (1, 1, 1)
    assert queue["models"]["espeak"] == {
        "ready": {"interactive": 0, "normal": 0, "bulk": 2}, "leased": 0, "segments_per_second": 2.0, "workers": 1,
    }  # fmt: skip
    assert [each["id"] for each in queue["workers"]] == ["w"]


def test_only_an_operators_key_sees_totals_workers_and_the_depth_of_others(
    store: Store, served: Callable[..., Served], backstage: Backstage
) -> None:
    api = served()
    now = "2026-01-01T00:00:00Z"
    worker = Worker(
        id="gpu-7.internal-0a1b2c", kind="render", model="espeak", started_at=now, seen_at=now, segments=9,
        segments_per_second=2, device="cuda:3", memory_bytes=7_000, facts={"memory": "80 GB"}, real_time_factor=0.5,
    )  # fmt: skip
    store.run(registry.beat(worker.id, worker.model_dump_json(), LEASE_MS))
    keys = {tenant: make_key(store, tenant, tenant, operator=tenant == "ops") for tenant in ("ops", "default", "ann")}
    with api.client(headers=keys["ops"]) as operator, api.client(headers=keys["ann"]) as ann:
        backstage.plan(operator.post("/v1/jobs", json=NIGHT | {"priority": "bulk"}).json()["id"])
        backstage.plan(ann.post("/v1/jobs", json=NIGHT).json()["id"])
        seen, whole = ann.get("/v1/queue").json(), operator.get("/v1/queue").json()
        assert (whole["jobs"]["running"], whole["workers"][0]["id"]) == (2, worker.id)
        assert whole["models"]["espeak"]["ready"] == {"interactive": 0, "normal": 2, "bulk": 2}
        assert (seen["jobs"], seen["due"], seen["workers"]) == ({}, {}, [])
        assert seen["models"]["espeak"] == {
            "ready": {"interactive": 0, "normal": 2, "bulk": 0}, "leased": 0, "segments_per_second": 2.0, "workers": 0,
        }  # fmt: skip
        assert operator.get("/metrics").status_code == 200
        for key in ("ann", "default"):
            refused = ann.get("/metrics", headers=keys[key])
            assert (refused.status_code, refused.json()["code"]) == (403, "operator_only")


def test_a_farm_that_is_well_is_ready(api: httpx.Client) -> None:
    assert api.get("/healthz").json() == {"status": "ok"}
    ready = api.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]) == (200, {"redis": "ok", "storage": "ok", "workers": "ok"})


def test_an_api_on_another_storage_than_the_workers_is_not_ready(api: httpx.Client, store: Store) -> None:
    store.run(registry.adopt_storage_mark("of another storage"))
    while (ready := api.get("/readyz")).status_code == 200:  # pytest's timeout is the limit
        time.sleep(0.1)  # the API looks at storage every few seconds, and tells only who asks
    checks = ready.json()["checks"]
    assert checks["redis"] == "ok"
    assert "FARM_STORAGE_URL" in checks["storage"]
    assert "`farm adopt-storage`" in checks["storage"]


def test_a_worker_on_another_storage_is_named_and_the_farm_stays_ready(api: httpx.Client, backstage: Backstage) -> None:
    backstage.store.run(registry.keep_storage_mark("of this farm"))
    known = backstage.store.run(registry.storage_mark())
    now = "2026-01-01T00:00:00Z"
    for id, mark in (("host-a-5e1f", known), ("host-b-77aa", "of another storage"), ("host-c-0b0b", None)):
        beat = Worker(id=id, kind="desk", started_at=now, seen_at=now, storage_mark=mark)
        backstage.store.run(registry.beat(id, beat.model_dump_json(), LEASE_MS))
    ready = api.get("/readyz")
    assert "on another storage than the farm's, and about to end: 77aa;" in ready.json()["checks"]["workers"]
    assert {worker["storage_mark"] for worker in api.get("/v1/queue").json()["workers"]} >= {known}


def test_without_redis_nothing_is_accepted_and_with_it_everything_goes_on(
    serve: Callable[..., httpx.Client], own_redis: Callable[..., Any]
) -> None:
    redis = own_redis(aof=True)
    announced(redis.url)
    api = serve(redis_url=redis.url)
    job = api.post("/v1/jobs", json=NIGHT).json()["id"]
    polls: list[httpx.Response] = []
    poll = threading.Thread(target=lambda: polls.append(api.get(f"/v1/jobs/{job}", params={"wait": 20})))
    poll.start()
    redis.kill()
    for method, path, body in (
        ("POST", "/v1/jobs", NIGHT), ("POST", "/v1/batches", {"jobs": [NIGHT]}), ("GET", f"/v1/jobs/{job}", None),
        ("GET", "/v1/queue", None),
    ):  # fmt: skip
        answer = api.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert answer.json()["retryable"]
        assert answer.headers["retry-after"].isdecimal()
    assert api.get("/healthz").status_code == 200
    unready = api.get("/readyz")
    assert (unready.status_code, unready.json()["checks"]["storage"]) == (503, "ok")
    redis.start()
    until(lambda: api.get(f"/v1/jobs/{job}").status_code == 200)
    assert api.post(f"/v1/jobs/{job}/cancel").status_code == 202
    poll.join()
    assert polls[0].status_code in (200, 503)
    assert api.post("/v1/jobs", json=NIGHT).status_code == 202


def test_a_redis_that_hangs_hangs_no_request(serve: Callable[..., httpx.Client], own_redis: Callable[..., Any]) -> None:
    redis = own_redis()
    announced(redis.url)
    api = serve(redis_url=redis.url)
    assert api.post("/v1/jobs", json=NIGHT).status_code == 202
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        answer = api.post("/v1/jobs", json=NIGHT)
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert time.monotonic() - started < patient(15)
    finally:
        os.kill(redis.pid, signal.SIGCONT)


def test_from_four_fifths_of_its_memory_on_redis_gets_no_new_work(
    serve: Callable[..., httpx.Client], own_redis: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    redis = own_redis(maxmemory="100mb")
    announced(redis.url)
    api = serve(redis_url=redis.url)
    job = api.post("/v1/jobs", json=NIGHT).json()["id"]
    with redis.client() as client:
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory", int(used * 1.1))
        assert api.get("/readyz").json()["checks"]["redis"].startswith("is nearly full")
        answer = api.post("/v1/jobs", json=NIGHT)
        assert (answer.status_code, answer.json()["code"]) == (503, "farm_full")
        assert not re.search(r"\d", answer.json()["detail"]), "how large the farm is, is nothing that a tenant is told"
        assert [line for line in caplog.messages if re.fullmatch(r"Redis is at [\d,]+ of [\d,]+ bytes: .*", line)]
        assert api.post("/v1/batches", json={"jobs": [NIGHT]}).status_code == 503
        assert api.get(f"/v1/jobs/{job}").status_code == 200
        assert api.post(f"/v1/jobs/{job}/cancel").status_code == 202
        client.config_set("maxmemory", int(used * 10))
        until(lambda: api.post("/v1/jobs", json=NIGHT).status_code == 202)


def test_a_storage_that_is_gone_is_told(serve: Callable[..., httpx.Client], tmp_path: Path) -> None:
    api = serve(storage_url=f"file://{tmp_path}/storage")
    shutil.rmtree(tmp_path / "storage")  # as when its disk is no longer mounted
    answer = api.post("/v1/jobs", json={"input": "Long. " * 2_000})
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert api.post("/v1/batches", json={"jobs": [NIGHT]}).status_code == 503
    ready = api.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["redis"]) == (503, "ok")
    assert ready.json()["checks"]["storage"] != "ok"
    assert api.get("/v1/jobs").json()["data"] == []
    assert api.post("/v1/jobs", json=NIGHT).status_code == 202  # a short text needs no storage


def announced(url: str) -> None:
    store = Store.connect(url)
    store.run(registry.announce(ESPEAK.name, ESPEAK.model_dump_json()))
    store.close()
