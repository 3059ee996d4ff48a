"""A Redis that was emptied under a running API: it pretends neither to accept nor that a job never was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from farm.errors import EXIT_MISCONFIGURED
from farm.store import SCHEMA, Store, registry
from tests.api.backstage import ESPEAK
from tests.api.test_access import start_api

NIGHT = {"input": "It was a dark night."}


def announced(url: str) -> None:
    store = Store.connect(url)
    store.run(registry.announce(ESPEAK.name, ESPEAK.model_dump_json()))
    store.close()


def test_after_redis_was_emptied_every_route_says_so_until_the_api_is_started_again(
    serve: Callable[..., httpx.Client], own_redis: Callable[..., Any]
) -> None:
    redis = own_redis()
    announced(redis.url)
    api = serve(redis_url=redis.url)
    job = api.post("/v1/jobs", json=NIGHT).json()["id"]
    with redis.client() as client:
        client.flushdb()
    stranger = {"Authorization": "Bearer farm_unknown"}
    answers = [
        api.get(f"/v1/jobs/{job}"),
        api.get(f"/v1/jobs/{job}?wait=5"),
        api.get(f"/v1/jobs/{job}/audio"),
        api.get("/v1/jobs"),
        api.post("/v1/jobs", json=NIGHT),
        api.post("/v1/jobs", json={"input": "A long night. " * 2000}),
        api.post("/v1/batches", json={"jobs": [NIGHT]}),
        api.post(f"/v1/jobs/{job}/cancel"),
        api.delete(f"/v1/jobs/{job}"),
        api.get("/v1/voices"),
        api.get("/v1/jobs", headers=stranger),
        api.get("/v1/queue"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "store_replaced"), answer.text
        assert not answer.json()["retryable"]
        assert "retry-after" not in answer.headers
    ready = api.get("/readyz")
    assert ready.status_code == 503
    assert "restart the API and the workers" in ready.json()["checks"]["redis"]
    assert api.get("/healthz").status_code == 200

    announced(redis.url)
    assert api.post("/v1/jobs", json=NIGHT).status_code == 503, "somebody else began anew"
    again = serve(redis_url=redis.url)
    assert again.get(f"/v1/jobs/{job}").status_code == 404
    assert again.post("/v1/jobs", json=NIGHT).status_code == 202


@pytest.mark.parametrize(("schema", "says"), [(SCHEMA + 1, "newer farm"), (SCHEMA - 1, "older farm")])
def test_the_api_refuses_to_start_on_a_newer_schema(
    schema: int, says: str, own_redis: Callable[..., Any], tmp_path: Path
) -> None:
    redis = own_redis()
    with redis.client() as client:
        client.set("f:schema", schema)
    ended = start_api(redis.url, tmp_path)
    assert (ended.returncode, says in ended.stderr, "Traceback" in ended.stderr) == (EXIT_MISCONFIGURED, True, False)
