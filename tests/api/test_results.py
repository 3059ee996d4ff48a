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


@pytest.mark.parametrize("wanted", ["bytes=99999-", "bytes=-0", "bytes=99999-999999,2048-", f"bytes={'9' * 5000}-"])
def test_the_refusal_of_a_part_says_how_long_the_file_is(api: httpx.Client, job: str, wanted: str) -> None:
    answer = api.get(f"/v1/jobs/{job}/audio", headers={"Range": wanted})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-range"] == f"bytes */{len(AUDIO)}"


@pytest.mark.parametrize(
    "wanted",
    [
        *("bytes=abc", "bytes", "bytes=", "bytes=-", "chunks=0-1", "bytes=5-2", "bytes=0-1,x", "bytes=1-2-3"),
        *("bytes=0.5-", "bytes=" + ",".join(f"{n}-{n}" for n in range(200))),
    ],
)
def test_a_malformed_range_is_ignored(api: httpx.Client, job: str, wanted: str) -> None:
    answer = api.get(f"/v1/jobs/{job}/audio", headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (200, AUDIO)


@pytest.mark.parametrize(
    ("wanted", "content"),
    [
        ("bytes=-10", AUDIO[-10:]),
        ("bytes=-99999", AUDIO),
        ("bytes=2000-", AUDIO[2000:]),
        (f"bytes=2000-{'9' * 5000}", AUDIO[2000:]),
        ("Bytes = 0-0", AUDIO[:1]),
        ("bytes=0-9,99999-", AUDIO[:10]),
    ],
)
def test_every_part_that_there_is_comes(api: httpx.Client, job: str, wanted: str, content: bytes) -> None:
    answer = api.get(f"/v1/jobs/{job}/audio", headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (206, content)


def test_two_parts_come_as_one_answer(api: httpx.Client, job: str) -> None:
    answer = api.get(f"/v1/jobs/{job}/audio", headers={"Range": "bytes=0-1,10-11"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges")


@pytest.mark.parametrize("what", ["audio", "manifest", "subtitles.vtt"])
def test_a_file_that_the_client_has_is_not_sent_again(api: httpx.Client, job: str, what: str) -> None:
    path = f"/v1/jobs/{job}/{what}"
    first = api.get(path)
    tag, date = first.headers["etag"], first.headers["last-modified"]
    for condition in (
        {"If-None-Match": tag},
        {"If-None-Match": f'"other", W/{tag}'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": date},
        {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT", "Range": "bytes=99999-"},
    ):
        answer = api.get(path, headers=condition)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        assert "content-length" not in answer.headers or answer.headers["content-length"] == "0"


@pytest.mark.parametrize(
    "condition",
    [
        {"If-None-Match": '"other"'},
        {"If-None-Match": '"other"', "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
        {"If-Modified-Since": "yesterday"},
        {"If-Modified-Since": "Fri, 31 Feb 2100 00:00:00 GMT"},
        {"Range": "bytes=99999-", "If-Range": '"other"'},
    ],
)
def test_a_changed_file_is_sent_whole(api: httpx.Client, job: str, condition: dict[str, str]) -> None:
    answer = api.get(f"/v1/jobs/{job}/audio", headers=condition)
    assert (answer.status_code, answer.content) == (200, AUDIO)


def test_head_of_a_bucket_is_answered_without_a_redirect(
    api: httpx.Client, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A presigned URL is good for a GET alone."""
    monkeypatch.setattr(LocalStorage, "url", lambda *_, **__: "https://bucket.example.com/audio")
    answer = api.head(f"/v1/jobs/{job}/audio")
    assert (answer.status_code, answer.headers["content-length"]) == (200, str(len(AUDIO)))
    assert answer.headers["content-type"] == "audio/mpeg"


def test_browsers_and_proxies_ask_again_for_what_may_be_replaced(api: httpx.Client, job: str) -> None:
    """Without a word of this a cache may keep a file for a tenth of its age."""
    tag = api.get(f"/v1/jobs/{job}/audio").headers["etag"]
    for path, kept in [
        (f"/v1/jobs/{job}", "private, no-cache"),
        (f"/v1/jobs/{job}/audio", "private, no-cache"),
        (f"/v1/jobs/{job}/manifest", "private, no-cache"),
        (f"/v1/jobs/{job}/archive.zip", "no-store"),
    ]:
        answer = api.get(path)
        assert answer.headers["cache-control"] == kept
        assert answer.headers["x-content-type-options"] == "nosniff"
    unchanged = api.get(f"/v1/jobs/{job}/audio", headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.headers["cache-control"]) == (304, "private, no-cache")


def test_manifest_and_subtitles_have_their_types(api: httpx.Client, job: str) -> None:
    manifest = api.get(f"/v1/jobs/{job}/manifest")
    assert (manifest.headers["content-type"], manifest.json()["job"]) == ("application/json", job)
    subtitles = api.get(f"/v1/jobs/{job}/subtitles.vtt")
    assert subtitles.headers["content-type"].startswith("text/vtt")
    assert subtitles.text == "WEBVTT\n"


@pytest.mark.parametrize("what", ["subtitles.srt", "subtitles.lrc", "subtitles.json", "readalong.epub"])
def test_what_was_not_asked_for_is_not_there(api: httpx.Client, job: str, what: str) -> None:
    answer = api.get(f"/v1/jobs/{job}/{what}")
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


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_a_read_along_of_a_format_that_no_reader_plays_is_refused(api: httpx.Client, format: str) -> None:
    answer = api.post("/v1/jobs", json={"input": "One.", "output": {"format": format, "also": ["epub"]}})
    assert (answer.status_code, answer.json()["code"]) == (422, "conflicting_fields")
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/output/also", "/output/format"]
    assert "ask for mp3, opus or m4b" in answer.json()["detail"]


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
