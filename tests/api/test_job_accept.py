from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import httpx
import pytest

from farm.errors import StorageUnavailable, StoreUnavailable
from farm.job import Due
from farm.layout import text_key
from farm.order import INLINE_BYTES
from farm.storage import LocalStorage, Storage
from farm.store import jobs, registry, tasks
from farm.text_document import read_text
from tests.api.backstage import Backstage

NIGHT = {"input": "It was a dark and stormy night."}


def test_a_job_is_accepted_with_its_address_and_all_names_resolved(api: httpx.Client, backstage: Backstage) -> None:
    answer = api.post("/v1/jobs", json={**NIGHT, "metadata": {"book": "Clifford"}, "custom_id": "line 1"})
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == job["status_url"] == f"{api.base_url}/v1/jobs/{job['id']}"
    assert answer.headers["retry-after"].isdecimal()
    assert (job["status"], job["model"], job["language"], job["voice"]) == ("queued", "espeak", "en-us", "en-us")
    assert (job["characters"], job["metadata"], job["custom_id"]) == (31, {"book": "Clifford"}, "line 1")
    shown = api.get(answer.headers["location"]).json()
    shown.pop("created_at"), job.pop("created_at")
    assert shown == job
    assert backstage.store.run(jobs.text(job["id"])) == '{"chapters":[{"input":"It was a dark and stormy night."}]}'


@pytest.mark.parametrize(
    ("asked", "language", "voice"),
    [
        ({"language": "DE"}, "de", "de"),
        ({"language": "de-AT"}, "de", "de"),
        ({"language": "en"}, "en-us", "en-us"),
        ({"language": "en-GB"}, "en-gb", "en-gb"),
        ({"voice": "de"}, "de", "de"),
        ({"language": "en-us", "voice": "de"}, "en-us", "de"),
    ],
)
def test_language_and_voice_complete_each_other(
    api: httpx.Client, asked: dict[str, str], language: str, voice: str
) -> None:
    job = api.post("/v1/jobs", json={**NIGHT, **asked}).json()
    assert (job["language"], job["voice"]) == (language, voice)


def test_a_long_text_is_in_storage_before_its_job_is_accepted(api: httpx.Client, backstage: Backstage) -> None:
    text = "Ä" * (INLINE_BYTES // 2)  # short in characters, long in bytes
    job = api.post("/v1/jobs", json={"chapters": [{"title": "One", "input": text, "voice": "de"}]}).json()
    assert backstage.store.run(jobs.text(job["id"])) is None
    (chapter,) = read_text(backstage.storage.get(text_key(job["id"])))
    assert (chapter.title, chapter.input, chapter.voice) == ("One", text, "de")


@pytest.mark.parametrize(
    ("path", "body", "verb"),
    [
        ("/v1/jobs", {"input": "a" * (INLINE_BYTES + 1)}, "farm.store.jobs.accept"),
        ("/v1/batches", {"jobs": [{"input": "One."}]}, "farm.store.batches.accept"),
    ],
)
def test_objects_written_before_accept_are_drafts_until_accepted(
    api: httpx.Client, backstage: Backstage, monkeypatch: pytest.MonkeyPatch, path: str, body: object, verb: str
) -> None:
    def lost(_: object) -> NoReturn:
        raise StoreUnavailable("Redis went away")

    assert api.post(path, json=body).status_code == 202
    assert not backstage.store.run(tasks.next_due((Due.DRAFT,)))
    monkeypatch.setattr(verb, lost)
    assert api.post(path, json=body).status_code == 503
    assert backstage.store.run(tasks.next_due((Due.DRAFT,)))


def test_a_spec_keeps_what_is_not_a_default_and_nothing_else(api: httpx.Client, backstage: Backstage) -> None:
    job = api.post("/v1/jobs", json={**NIGHT, "speed": 1.5, "output": {"format": "flac"}, "on_error": "skip"}).json()
    record_spec = backstage.spec(job["id"]).to_json()
    assert record_spec == (
        '{"language":"en-us","voice":"en-us","speed":1.5,"output":{"format":"flac"},"on_error":"skip"}'
    )


def test_the_same_key_is_the_same_job(api: httpx.Client, backstage: Backstage) -> None:
    key = {"Idempotency-Key": "chapter one"}
    first = api.post("/v1/jobs", json=NIGHT, headers=key)
    again = api.post("/v1/jobs", json=NIGHT, headers=key)
    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert sum(backstage.store.run(registry.backlog()).jobs.values()) == 1


def test_the_same_key_with_another_request_is_refused(api: httpx.Client) -> None:
    key = {"Idempotency-Key": "chapter one"}
    api.post("/v1/jobs", json=NIGHT, headers=key)
    answer = api.post("/v1/jobs", json={"input": "Another night."}, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_a_key_whose_request_is_still_in_flight_is_refused(api: httpx.Client, backstage: Backstage) -> None:
    body = b'{"input":"%s"}' % (b"Long enough for storage. " * 400)
    digest = hashlib.sha256(b"job\n" + body).hexdigest()
    assert backstage.store.run(jobs.reserve("default", "chapter one", digest)) is None
    headers = {"Idempotency-Key": "chapter one", "Content-Type": "application/json"}
    answer = api.post("/v1/jobs", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_use")


def test_of_many_requests_with_one_key_one_is_accepted(api: httpx.Client, backstage: Backstage) -> None:
    body = {"input": "Long enough for storage. " * 400}

    def submit(_: int) -> httpx.Response:
        return api.post("/v1/jobs", json=body, headers={"Idempotency-Key": "the book"})

    with ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(submit, range(24)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    assert sum(backstage.store.run(registry.backlog()).jobs.values()) == 1


def test_a_key_is_free_again_when_storage_refused_the_text(
    serve: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = serve()
    body, key = {"input": "Long. " * 2_000}, {"Idempotency-Key": "the book"}
    put = LocalStorage.put

    def full(self: Storage, *args: object) -> None:
        raise StorageUnavailable("the disk is full")

    monkeypatch.setattr(LocalStorage, "put", full)
    refused = api.post("/v1/jobs", json=body, headers=key)
    assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
    assert refused.json()["retryable"]
    assert refused.headers["retry-after"].isdecimal()
    assert api.get("/v1/jobs").json()["data"] == []
    monkeypatch.setattr(LocalStorage, "put", put)
    assert api.post("/v1/jobs", json=body, headers=key).status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_a_key_that_is_none_is_refused(api: httpx.Client, key: str) -> None:
    answer = api.post("/v1/jobs", json=NIGHT, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_idempotency_key")


def test_a_key_whose_job_was_deleted_is_free_again(api: httpx.Client) -> None:
    key = {"Idempotency-Key": "chapter one"}
    job = api.post("/v1/jobs", json=NIGHT, headers=key).json()["id"]
    api.delete(f"/v1/jobs/{job}")
    answer = api.post("/v1/jobs", json=NIGHT, headers=key)
    assert answer.status_code == 202
    assert answer.json()["id"] != job


def test_prefer_wait_answers_with_the_finished_job(api: httpx.Client, backstage: Backstage) -> None:
    answers = []

    def submit() -> None:
        answers.append(api.post("/v1/jobs", json=NIGHT, headers={"Prefer": "respond-async, wait=20"}))

    waiting = threading.Thread(target=submit)
    waiting.start()
    job = ""
    while not job:
        job = next((found["id"] for found in api.get("/v1/jobs").json()["data"]), "")
    backstage.succeed(job)
    waiting.join()
    (answer,) = answers
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert answer.headers["preference-applied"] == "wait=20"


def test_prefer_wait_that_times_out_answers_with_the_jobs_address(api: httpx.Client) -> None:
    answer = api.post("/v1/jobs", json=NIGHT, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert answer.headers["location"].endswith(answer.json()["id"])


def test_urls_are_as_the_operator_says_that_clients_reach_us(serve: Callable[..., httpx.Client]) -> None:
    api = serve(public_url="https://farm.example.com/tts/")
    job = api.post("/v1/jobs", json=NIGHT).json()
    assert job["status_url"] == f"https://farm.example.com/tts/v1/jobs/{job['id']}"
