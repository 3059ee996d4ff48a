from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest

from farm.job import Due
from farm.layout import result_prefix
from farm.storage import LocalStorage
from farm.store import jobs, tasks
from tests.api.backstage import LEASE_MS, Backstage

AUDIO = bytes(range(256)) * 8


@pytest.fixture
def job(api: httpx.Client, backstage: Backstage) -> str:
    job = api.post("/v1/jobs", json={"input": "One.", "output": {"subtitles": ["vtt"]}}).json()["id"]
    backstage.succeed(job, AUDIO)
    return str(job)


def test_audio_comes_as_a_file_with_its_name_and_type(api: httpx.Client, job: str) -> None:
    answer = api.get(f"/v1/jobs/{job}/audio")
    assert (answer.status_code, answer.content) == (200, AUDIO)
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["content-disposition"] == f'attachment; filename="{job}.mp3"'


def test_a_part_of_the_audio_can_be_asked_for(api: httpx.Client, job: str) -> None:
    answer = api.get(f"/v1/jobs/{job}/audio", headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, AUDIO[10:20])
    assert answer.headers["content-range"] == f"bytes 10-19/{len(AUDIO)}"


def test_a_part_behind_the_end_is_refused(api: httpx.Client, job: str) -> None:
    assert api.get(f"/v1/jobs/{job}/audio", headers={"Range": "bytes=99999-"}).status_code == 416


def test_manifest_and_subtitles_have_their_types(api: httpx.Client, job: str) -> None:
    manifest = api.get(f"/v1/jobs/{job}/manifest")
    assert (manifest.headers["content-type"], manifest.json()["job"]) == ("application/json", job)
    subtitles = api.get(f"/v1/jobs/{job}/subtitles.vtt")
    assert subtitles.headers["content-type"].startswith("text/vtt")
    assert subtitles.text == "WEBVTT\n"


def test_subtitles_that_were_not_asked_for_are_not_there(api: httpx.Client, job: str) -> None:
    answer = api.get(f"/v1/jobs/{job}/subtitles.srt")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_asked_for")


def test_a_bucket_is_redirected_to(api: httpx.Client, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def presigned(self: LocalStorage, key: str, *, seconds: int = 900, filename: str | None = None) -> str:
        return f"https://bucket.example.com/{key}?name={filename}&seconds={seconds}"

    monkeypatch.setattr(LocalStorage, "url", presigned)
    answer = api.get(f"/v1/jobs/{job}/audio")
    assert answer.status_code == 307
    there = urlsplit(answer.headers["location"])
    assert (there.hostname, there.query) == ("bucket.example.com", f"name={job}.mp3&seconds=900")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("what", ["audio", "manifest", "subtitles.vtt"])
def test_before_the_end_there_is_no_result(api: httpx.Client, what: str) -> None:
    job = api.post("/v1/jobs", json={"input": "One."}).json()["id"]
    answer = api.get(f"/v1/jobs/{job}/{what}")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_ended")
    api.post(f"/v1/jobs/{job}/cancel")
    answer = api.get(f"/v1/jobs/{job}/{what}")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_result")
    assert "/retry" in answer.json()["detail"]


def test_after_its_retention_a_result_is_gone(serve: Callable[..., httpx.Client], backstage: Backstage) -> None:
    api = serve(retention_days=1e-8)  # a millisecond
    job = api.post("/v1/jobs", json={"input": "One."}).json()["id"]
    backstage.succeed(job)
    taken = []
    while not taken:
        taken = backstage.store.run(tasks.take((Due.EXPIRE,), want=1, lease_ms=LEASE_MS))
    assert backstage.store.run(jobs.expire(job, taken[0].token, 1000))
    shown = api.get(f"/v1/jobs/{job}").json()
    assert (shown["status"], shown["result"]) == ("expired", None)
    answer = api.get(f"/v1/jobs/{job}/audio")
    assert (answer.status_code, answer.json()["code"]) == (410, "gone")


def test_a_result_that_storage_has_lost_is_gone(api: httpx.Client, backstage: Backstage, job: str) -> None:
    backstage.storage.delete(*(found.key for found in backstage.storage.list(result_prefix(job))))
    assert api.get(f"/v1/jobs/{job}/audio").status_code == 410
