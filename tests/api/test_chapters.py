"""Chapters as files of their own: their list, their audio and subtitles, and their place in archives."""

from __future__ import annotations

import hashlib
import io
import zipfile

import httpx
import pytest

from farm.layout import RESULTS, result_prefix
from tests.api.backstage import Backstage

AUDIO = bytes(range(256)) * 8
TITLES = ["The Lamp", "The Letter", "The Storm"]


def submitted(api: httpx.Client, **said: object) -> str:
    output = {"subtitles": ["vtt"], "per_chapter": True}
    return str(api.post("/v1/jobs", json={"input": "One.", "output": output, **said}).json()["id"])


@pytest.fixture
def job(api: httpx.Client, backstage: Backstage) -> str:
    job = submitted(api)
    backstage.succeed(job, AUDIO, chapters=TITLES)
    return job


def test_a_job_says_where_its_chapters_are_and_each_of_them_what_it_is(api: httpx.Client, job: str) -> None:
    answer = api.get(api.get(f"/v1/jobs/{job}").json()["result"]["chapters_url"])
    assert answer.status_code == 200, answer.text
    chapters = answer.json()["data"]
    assert [chapter["title"] for chapter in chapters] == TITLES
    assert [chapter["name"] for chapter in chapters] == ["01 The Lamp.mp3", "02 The Letter.mp3", "03 The Storm.mp3"]
    for number, chapter in enumerate(chapters):
        data = api.get(chapter["audio_url"]).content
        assert data == AUDIO + b"%d" % number
        assert (chapter["index"], chapter["bytes"]) == (number, len(data))
        assert chapter["sha256"] == hashlib.sha256(data).hexdigest()
        assert (chapter["duration_seconds"], chapter["loudness_lufs"], chapter["passed"]) == (1.5, -20.5, None)
        subtitles = api.get(chapter["subtitles"]["vtt"])
        assert (subtitles.content, subtitles.headers["content-type"]) == (
            b"WEBVTT\n\n%d" % number,
            "text/vtt; charset=utf-8",
        )


def test_the_list_comes_in_pages(api: httpx.Client, job: str) -> None:
    titles, after = [], {}
    for more in (True, True, False):
        page = api.get(f"/v1/jobs/{job}/chapters", params={"limit": 1, **after}).json()
        titles += [chapter["title"] for chapter in page["data"]]
        assert page["has_more"] is more
        after = {"after": page["next_cursor"]}
    assert titles == TITLES
    beyond = api.get(f"/v1/jobs/{job}/chapters", params={"after": "2"}).json()
    assert (beyond["data"], beyond["has_more"]) == ([], False)
    assert api.get(f"/v1/jobs/{job}/chapters", params={"after": "x"}).status_code == 422


def test_a_chapter_comes_in_part_or_not_again_and_its_length_without_it(api: httpx.Client, job: str) -> None:
    path = f"/v1/jobs/{job}/chapters/2/audio"
    whole = api.get(path)
    assert whole.headers["content-type"] == "audio/mpeg"
    assert whole.headers["content-disposition"] == f'attachment; filename="{job}-03.mp3"'
    part = api.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, AUDIO[10:20])
    assert api.get(path, headers={"Range": "bytes=99999-"}).status_code == 416
    assert api.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    head = api.head(path)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(AUDIO) + 1))


@pytest.mark.parametrize("what", ["audio", "subtitles.vtt"])
def test_a_chapter_that_the_job_has_not_is_not_found(api: httpx.Client, job: str, what: str) -> None:
    answer = api.get(f"/v1/jobs/{job}/chapters/3/{what}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "has 3 chapters; the last of them is 2" in answer.json()["detail"]
    assert api.get(f"/v1/jobs/{job}/chapters/-1/{what}").status_code == 422


def test_a_chapter_of_which_nothing_was_heard_says_so(api: httpx.Client, backstage: Backstage) -> None:
    job = submitted(api)
    backstage.succeed(job, chapters=TITLES, unheard=[1])
    answer = api.get(f"/v1/jobs/{job}/chapters/1/audio")
    assert (answer.status_code, answer.json()["code"]) == (404, "chapter_unheard")
    assert api.get(f"/v1/jobs/{job}/chapters/2/audio").status_code == 200


def test_subtitles_that_were_not_asked_for_are_not_found(api: httpx.Client, job: str) -> None:
    answer = api.get(f"/v1/jobs/{job}/chapters/0/subtitles.srt")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_asked_for")
    assert api.get(f"/v1/jobs/{job}/chapters/0/subtitles.doc").status_code == 422


@pytest.mark.parametrize("path", ["chapters", "chapters/0/audio", "chapters/0/subtitles.vtt"])
def test_a_job_that_did_not_ask_for_files_of_chapters_says_how_to(
    api: httpx.Client, backstage: Backstage, path: str
) -> None:
    job = api.post("/v1/jobs", json={"input": "One."}).json()["id"]
    early = api.get(f"/v1/jobs/{job}/{path}")
    assert (early.status_code, early.json()["code"]) == (409, "not_ended")
    backstage.succeed(job, AUDIO)
    answer = api.get(f"/v1/jobs/{job}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_asked_for")
    assert "output.per_chapter" in answer.json()["detail"]
    assert api.get(f"/v1/jobs/{job}").json()["result"]["chapters_url"] is None


@pytest.mark.parametrize("path", ["chapters", "chapters/0/audio", "archive.zip"])
def test_a_result_that_storage_has_lost_is_gone(api: httpx.Client, job: str, backstage: Backstage, path: str) -> None:
    backstage.storage.delete(*(found.key for found in backstage.storage.list(result_prefix(job))))
    assert api.get(f"/v1/jobs/{job}/{path}").status_code == 410


def test_the_archive_of_a_job_has_its_chapters_in_their_order(api: httpx.Client, job: str) -> None:
    answer = api.get(f"/v1/jobs/{job}/archive.zip")
    assert answer.headers["content-length"] == str(len(answer.content))
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        parts = [name for name in archive.namelist() if "/chapters/" in name]
        assert [name.removeprefix(f"{job}/chapters/") for name in parts[::2]] == [
            "01 The Lamp.mp3", "02 The Letter.mp3", "03 The Storm.mp3"
        ]  # fmt: skip
        assert [name.removeprefix(f"{job}/chapters/") for name in parts[1::2]] == [
            "01 The Lamp.vtt", "02 The Letter.vtt", "03 The Storm.vtt"
        ]  # fmt: skip
        assert [archive.read(name) for name in parts[::2]] == [AUDIO + b"%d" % number for number in range(3)]


def test_deleting_a_job_deletes_its_chapters(api: httpx.Client, job: str, backstage: Backstage) -> None:
    assert len(list(backstage.storage.list(result_prefix(job)))) == 9
    assert api.delete(f"/v1/jobs/{job}").status_code == 204
    assert list(backstage.storage.list(RESULTS)) == []
