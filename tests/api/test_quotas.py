"""What a tenant may have at most: refusals with 429, the fields that tell of quotas, and what gives room again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile as sf

from api import rate_limit
from api.admission import Catalog
from api.speech.aliases import Aliases
from api.speech.request import SpeechRequest, wanted
from farm.job import Due, Lane
from farm.quota import CLIP_BYTES_PER_MS, DEFAULTS, Quota
from farm.storage import LocalStorage
from farm.store import Store, batches, quotas, registry, tasks
from tests.api.backstage import ESPEAK, Backstage
from tests.api.conftest import SECRET, Served
from tests.api.stage import Stage
from tests.api.test_access import make_key
from tests.patience import patient
from tests.store.quota_scan import counted, scanned
from worker.desk.batch import Unfolder

NIGHT = {"input": "It was a dark and stormy night."}
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


@pytest.fixture
def ann(store: Store, served: Callable[..., Served]) -> Iterator[httpx.Client]:
    with served().client(headers=make_key(store, "ann", "ann")) as client:
        yield client


@pytest.fixture
def limit(store: Store) -> Callable[..., None]:
    return lambda **limits: store.run(quotas.limit("ann", limits))


def refusal(answer: httpx.Response, *policies: str) -> dict[str, Any]:
    """The problem of a 429 about these quotas."""
    assert answer.status_code == 429, answer.text
    problem: dict[str, Any] = answer.json()
    assert (problem["type"], problem["code"]) == (QUOTA_EXCEEDED, "quota_exceeded")
    assert problem["violated-policies"] == list(policies)
    assert 0 < int(answer.headers["retry-after"]) <= 120
    assert (answer.headers.get("x-should-retry") == "false") == (not problem["retryable"])
    assert {"ratelimit", "ratelimit-policy"} <= answer.headers.keys()
    return problem


def items(field: str) -> dict[str, dict[str, int]]:
    """A list of strings with integer parameters (RFC 9651): name -> parameters."""
    found = {}
    for item in field.split(", "):
        name, *parameters = item.split(";")
        assert name == f'"{name[1:-1]}"'
        found[name[1:-1]] = {key: int(value) for key, _, value in (each.partition("=") for each in parameters)}
    return found


def test_every_good_answer_tells_of_the_quotas(ann: httpx.Client, limit: Callable[..., None]) -> None:
    limit(requests=10, characters=1_000)
    accepted = ann.post("/v1/jobs", json=NIGHT)
    policy = items(accepted.headers["ratelimit-policy"])
    assert policy == {
        "requests": {"q": 10, "w": 60}, "characters": {"q": 1_000}, "bytes": {"q": DEFAULTS[Quota.RECORDS]},
    }  # fmt: skip
    left = items(accepted.headers["ratelimit"])
    assert (left["requests"]["r"], left["characters"]["r"]) == (9, 1_000 - len(NIGHT["input"]))
    assert 0 < left["requests"]["t"] <= 60
    assert 0 < DEFAULTS[Quota.RECORDS] - left["bytes"]["r"] < 5_000
    assert items(ann.get("/v1/jobs").headers["ratelimit"]).keys() == left.keys()
    assert "ratelimit" not in ann.get("/healthz").headers
    assert "ratelimit" not in ann.get("/v1/jobs/job_0").headers


def test_a_speech_request_tells_of_what_is_left_after_it(
    ann: httpx.Client, limit: Callable[..., None], stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "_FRESH_S", patient(60))  # so that nobody asks the store in between
    limit(requests=10)
    before = ann.get("/v1/jobs")
    with stage.rendering():
        spoken = ann.post("/v1/audio/speech", json={"input": "One."})
    assert [items(each.headers["ratelimit"])["requests"]["r"] for each in (before, spoken)] == [10, 9]


def test_a_farm_without_keys_has_no_quotas(api: httpx.Client) -> None:
    for _ in range(3):
        accepted = api.post("/v1/jobs", json=NIGHT)
        assert accepted.status_code == 202
        assert "ratelimit" not in accepted.headers


def test_a_farm_with_keys_has_quotas_by_default(ann: httpx.Client) -> None:
    policy = items(ann.post("/v1/jobs", json=NIGHT).headers["ratelimit-policy"])
    assert {name: each["q"] for name, each in policy.items()} == {
        "requests": DEFAULTS[Quota.REQUESTS],
        "characters": DEFAULTS[Quota.CHARACTERS],
        "bytes": DEFAULTS[Quota.RECORDS],
    }


def test_characters_that_wait_are_bounded_until_jobs_end(
    ann: httpx.Client, limit: Callable[..., None], backstage: Backstage
) -> None:
    length = len(NIGHT["input"])
    limit(characters=2 * length)
    first, second = (ann.post("/v1/jobs", json=NIGHT).json()["id"] for _ in range(2))
    for path, body in (("/v1/jobs", NIGHT), ("/v1/batches", {"jobs": [NIGHT]})):
        answer = ann.post(path, json=body)
        assert refusal(answer, "characters")["retryable"]
        assert items(answer.headers["ratelimit"])["characters"]["r"] == 0
    backstage.succeed(first)
    third = ann.post("/v1/jobs", json=NIGHT)
    assert third.status_code == 202
    assert ann.post(f"/v1/jobs/{second}/cancel").status_code == 202
    assert ann.post("/v1/jobs", json=NIGHT).status_code == 202
    refusal(ann.post(f"/v1/jobs/{second}/retry"), "characters")
    assert ann.delete(f"/v1/jobs/{third.json()['id']}").status_code == 204
    assert ann.post(f"/v1/jobs/{second}/retry").status_code == 202
    assert counted(backstage.store, "ann")["characters"] == 2 * length
    assert counted(backstage.store, "ann") == scanned(backstage.store, "ann")


def test_what_can_never_fit_is_not_to_be_sent_again(ann: httpx.Client, limit: Callable[..., None]) -> None:
    limit(characters=10)
    problem = refusal(ann.post("/v1/jobs", json=NIGHT), "characters")
    assert not problem["retryable"]
    assert "send less" in problem["detail"]


def test_bytes_are_freed_by_deleting_and_not_by_waiting(
    ann: httpx.Client, limit: Callable[..., None], backstage: Backstage
) -> None:
    job = ann.post("/v1/jobs", json=NIGHT).json()["id"]
    backstage.succeed(job, audio=b"a" * 200_000)
    limit(bytes=200_000)
    answer = ann.post("/v1/jobs", json=NIGHT)
    assert not refusal(answer, "bytes")["retryable"]
    assert "delete" in answer.json()["detail"]
    assert ann.delete(f"/v1/jobs/{job}").status_code == 204
    assert ann.post("/v1/jobs", json=NIGHT).status_code == 202


def test_records_in_redis_have_a_smaller_limit_that_is_told_as_bytes(
    ann: httpx.Client, limit: Callable[..., None]
) -> None:
    limit(records=10_000)
    answers = [ann.post("/v1/jobs", json=NIGHT) for _ in range(8)]
    refused = next(answer for answer in answers if answer.status_code != 202)
    refusal(refused, "bytes")
    assert items(refused.headers["ratelimit-policy"])["bytes"]["q"] == 10_000


def test_requests_that_bring_work_are_counted_by_the_minute(
    ann: httpx.Client, limit: Callable[..., None], backstage: Backstage
) -> None:
    limit(requests=3)
    key = {"Idempotency-Key": "1"}
    job = ann.post("/v1/jobs", json=NIGHT, headers=key).json()["id"]
    assert ann.post("/v1/batches", json={"jobs": [NIGHT]}).status_code == 202
    assert ann.post("/v1/jobs", json={"input": ""}).status_code == 422, "not counted"
    assert upload(ann).status_code == 201
    answer = ann.post("/v1/jobs", json=NIGHT)
    assert refusal(answer, "requests")["retryable"]
    assert int(answer.headers["retry-after"]) <= 60
    assert refusal(upload(ann), "requests")
    assert ann.post("/v1/jobs", json=NIGHT, headers=key).json()["id"] == job, "an answer that was given before"
    assert ann.get("/v1/jobs").status_code == 200
    assert ann.post(f"/v1/jobs/{job}/cancel").status_code == 202, "what frees is never refused"
    assert ann.delete(f"/v1/jobs/{job}").status_code == 204


def test_a_long_text_and_a_batch_are_refused_before_they_are_stored(
    ann: httpx.Client, limit: Callable[..., None], backstage: Backstage
) -> None:
    limit(characters=10_000, bytes=20_000)
    refusal(ann.post("/v1/jobs", json={"input": "Long. " * 3_000}), "characters")
    refusal(ann.post("/v1/batches", json={"jobs": [NIGHT] * 100}), "bytes")
    refusal(ann.post("/v1/batches", json={"jobs": [{"input": "Long. " * 3_000}]}), "characters")
    assert list(backstage.storage.list("jobs/")) == list(backstage.storage.list("batches/")) == []
    assert counted(backstage.store, "ann") == scanned(backstage.store, "ann")


@pytest.mark.parametrize("text", ["Short. " * 20, "Long. " * 3_000], ids=["planned by the API", "planned by the desk"])
def test_speech_beyond_a_quota_is_refused_before_anything_is_stored(
    ann: httpx.Client, limit: Callable[..., None], backstage: Backstage, text: str
) -> None:
    limit(characters=100)
    refusal(ann.post("/v1/audio/speech", json={"input": text}), "characters")
    assert list(backstage.storage.list("")) == []


def test_text_and_plan_of_a_speech_request_count(ann: httpx.Client, stage: Stage, backstage: Backstage) -> None:
    with stage.rendering():
        assert ann.post("/v1/audio/speech", json={"input": "One."}).status_code == 200
    used = counted(backstage.store, "ann")
    clip = 500 * CLIP_BYTES_PER_MS
    assert used["bytes"] - used["records"] == clip + sum(found.size for found in backstage.storage.list("jobs/"))


def test_a_recording_counts_until_it_is_deleted(
    ann: httpx.Client, limit: Callable[..., None], backstage: Backstage
) -> None:
    assert upload(ann).status_code == 201
    (stored,) = backstage.storage.list("voices/")
    assert counted(backstage.store, "ann")["bytes"] == stored.size
    limit(bytes=stored.size + 10)
    refusal(upload(ann, "other"), "bytes")


def test_a_lane_above_the_highest_is_a_wrong_priority(ann: httpx.Client, limit: Callable[..., None]) -> None:
    limit(lane="normal")
    body = {**NIGHT, "priority": "interactive"}
    while ann.post("/v1/jobs", json=body).status_code == 202:  # limits are read every two seconds; pytest's timeout
        pass
    single, batch = ann.post("/v1/jobs", json=body), ann.post("/v1/batches", json={"jobs": [NIGHT, body]})
    for answer, pointer in ((single, "/priority"), (batch, "/jobs/1/priority")):
        assert answer.status_code == 422
        assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert single.json()["code"] == "lane_not_allowed"
    for lane in ("normal", "bulk"):
        assert ann.post("/v1/jobs", json={**NIGHT, "priority": lane}).status_code == 202


def test_the_quotas_of_one_tenant_are_not_anothers(ann: httpx.Client, store: Store, limit: Callable[..., None]) -> None:
    limit(requests=1)
    bobs, second = make_key(store, "bob", "bob"), make_key(store, "ann 2", "ann")
    assert ann.post("/v1/jobs", json=NIGHT).status_code == 202
    refusal(ann.post("/v1/jobs", json=NIGHT), "requests")
    with httpx.Client(base_url=ann.base_url, headers=bobs, trust_env=False) as bob:
        assert bob.post("/v1/jobs", json=NIGHT).status_code == 202
    with httpx.Client(base_url=ann.base_url, headers=second, trust_env=False) as other:
        assert other.post("/v1/jobs", json=NIGHT).status_code == 429, "keys of one tenant share its quotas"


def flood(client: httpx.Client) -> httpx.Response:
    """70 kB that once asked for 93 MB of records: 3,000 jobs, each with 25 kB of metadata and a URL of 1.9 kB."""
    defaults = {
        "metadata": {f"field {number}": "\N{SNOWMAN}" * 500 for number in range(16)},
        "webhook": {"url": "https://example.com/" + "x" * 1900},
    }
    form = {"defaults": json.dumps(defaults, ensure_ascii=False)}
    return client.post("/v1/batches", files={"file": b'{"input":"x"}\n' * 3_000}, data=form)


def test_a_flood_by_one_tenant_ends_at_its_quota_and_others_go_on(
    serve: Callable[..., httpx.Client], own_redis: Callable[..., Any], tmp_path: Path
) -> None:
    """With the limits that every tenant has by default."""
    redis = own_redis(maxmemory="1gb")
    with closing(Store.connect(redis.url)) as store, redis.client() as client:
        store.run(registry.announce(ESPEAK.name, ESPEAK.model_dump_json()))
        bob, ann = (make_key(store, tenant, tenant) for tenant in ("bob", "ann"))
        api = serve(redis_url=redis.url, storage_url=f"file://{tmp_path}", webhook_secret=SECRET)
        api.headers.update(bob)
        assert flood(api).status_code == 202
        charge = counted(store, "bob")["records"]
        before = client.info("memory")["used_memory"]
        first = flood(api).json()["id"]
        for batch in (first, *(each.removeprefix("f:b:") for each in map(bytes.decode, client.keys("f:b:*")))):
            unfold(store, batch, folder=tmp_path)
        records = counted(store, "bob")["records"] // 2
        used = client.info("memory")["used_memory"] - before
        assert used < 2 * records, "Redis needs no more than what is counted"
        assert DEFAULTS[Quota.RECORDS] < 0.4 * 10**9, "which leaves others more than half of 800 MB"

        # As if it had been sent for hours.
        client.hset("f:quota:bob", "records", DEFAULTS[Quota.RECORDS] - charge - 1)
        assert flood(api).status_code == 202
        refused = flood(api)
        assert not refusal(refused, "bytes")["retryable"]
        assert api.post("/v1/jobs", json=NIGHT, headers=ann).status_code == 202
        assert api.post(f"/v1/batches/{first}/cancel").status_code == 202
        assert api.delete(f"/v1/batches/{first}").status_code == 202


def unfold(store: Store, batch: str, folder: Path) -> None:
    """As the desk does it."""
    unfolder = Unfolder(store, LocalStorage(folder))
    record = store.run(batches.record(batch))
    while record is not None and record.waiting:
        for task in store.run(tasks.take((Due.BATCH,), want=9, lease_ms=60_000)):
            unfolder.unfold(task)
        record = store.run(batches.record(batch))


def upload(client: httpx.Client, name: str = "mine") -> httpx.Response:
    """A voice of two seconds."""
    file = io.BytesIO()
    tone = 0.3 * np.sin(np.arange(2 * 24_000) * 2 * np.pi * 220 / 24_000)
    sf.write(file, tone, 24_000, format="WAV")
    return client.post(
        "/v1/voices", data={"name": name, "consent": "true"}, files={"audio": ("v.wav", file.getvalue())}
    )


@pytest.mark.parametrize("lane", list(Lane))
def test_a_speech_request_takes_the_highest_lane_that_its_tenant_may_use(lane: Lane) -> None:
    catalog = Catalog(
        cards={ESPEAK.name: ESPEAK}, default_model=ESPEAK.name, uploads={}, signs_webhooks=False, allow=(),
        retention_s=3600, highest=lane,
    )  # fmt: skip
    asked = wanted(SpeechRequest(model="tts-1", input="Hello.", voice="alloy"), catalog, Aliases({}), 3600)
    assert asked.order.lane is lane
