from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest

from farm.layout import clip_key, plan_key
from farm.plan_reader import PlanReader
from farm.removal import remove_objects
from farm.store import jobs, registry, segments
from farm.wire import Worker
from tests.api.backstage import LEASE_MS, Backstage
from tests.patience import patient
from tests.until import until

NIGHT = {"input": "It was a dark night. The rain fell in torrents. A gust of wind swept up the streets."}


def submit(api: httpx.Client, **asked: Any) -> str:
    answer = api.post("/v1/jobs", json={**NIGHT, **asked})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_a_job_is_shown_from_queued_to_its_end(api: httpx.Client, backstage: Backstage) -> None:
    job = submit(api)
    total = backstage.plan(job)
    assert total == 3
    shown = api.get(f"/v1/jobs/{job}").json()
    assert (shown["status"], shown["progress"]["segments_total"], shown["queue_position"]) == ("running", 3, 0)
    assert shown["started_at"] is not None
    backstage.render(job, 1)
    shown = api.get(f"/v1/jobs/{job}").json()
    assert (shown["progress"]["percent"], shown["progress"]["audio_seconds"]) == (33.3, 1.5)
    assert shown["queue_position"] is None
    backstage.render(job)
    assert api.get(f"/v1/jobs/{job}").json()["status"] == "assembling"
    backstage.finish(job)
    answer = api.get(f"/v1/jobs/{job}")
    shown = answer.json()
    assert (shown["status"], shown["progress"]["percent"], shown["error"]) == ("succeeded", 100.0, None)
    assert shown["result"]["audio_url"] == f"{api.base_url}/v1/jobs/{job}/audio"
    assert shown["result"]["subtitles"] == {"vtt": f"{api.base_url}/v1/jobs/{job}/subtitles.vtt"}
    assert shown["result"]["expires_at"] > shown["ended_at"]
    assert "retry-after" not in answer.headers


def test_a_failed_job_says_why(api: httpx.Client, backstage: Backstage) -> None:
    job = submit(api)
    backstage.fail(job)
    shown = api.get(f"/v1/jobs/{job}").json()
    assert (shown["status"], shown["result"]) == ("failed", None)
    assert shown["error"] == {
        "code": "unspeakable", "message": "nothing in it can be spoken", "segment": None, "text": None,
        "chapter": None, "chapter_title": None, "start": None, "end": None,
    }  # fmt: skip


def test_position_and_eta_come_from_the_queue_and_the_workers_speed(api: httpx.Client, backstage: Backstage) -> None:
    first, second = submit(api), submit(api)
    backstage.plan(first)
    backstage.plan(second)
    shown = api.get(f"/v1/jobs/{second}").json()
    assert (shown["queue_position"], shown["eta_seconds"]) == (1, None)
    now = "2026-01-01T00:00:00Z"
    worker = Worker(id="w", kind="render", model="espeak", started_at=now, seen_at=now, segments_per_second=2)
    backstage.store.run(registry.beat("w", worker.model_dump_json(), LEASE_MS))
    until(lambda: api.get(f"/v1/jobs/{second}").json()["eta_seconds"] is not None)  # speeds are a second old at most
    assert api.get(f"/v1/jobs/{second}").json()["eta_seconds"] == 3.0  # six segments wait, at two a second


def test_a_long_poll_answers_at_the_jobs_end(api: httpx.Client, backstage: Backstage) -> None:
    job = submit(api)
    answers = []

    def wait() -> None:
        started = time.monotonic()
        answers.append((api.get(f"/v1/jobs/{job}", params={"wait": 50}).json()["status"], time.monotonic() - started))

    crowd = [threading.Thread(target=wait) for _ in range(5)]
    for each in crowd:
        each.start()
    backstage.succeed(job)
    for each in crowd:
        each.join()
    assert [status for status, _ in answers] == ["succeeded"] * 5
    assert max(seconds for _, seconds in answers) < patient(4)  # sooner than looking again by itself


def test_a_long_poll_that_times_out_answers_with_the_open_job(api: httpx.Client) -> None:
    job = submit(api)
    started = time.monotonic()
    assert api.get(f"/v1/jobs/{job}", params={"wait": "0.5"}).json()["status"] == "queued"
    assert 0.5 <= time.monotonic() - started < patient(5)


def test_a_long_poll_on_a_job_that_has_ended_answers_at_once(api: httpx.Client, backstage: Backstage) -> None:
    job = submit(api)
    backstage.succeed(job)
    started = time.monotonic()
    assert api.get(f"/v1/jobs/{job}", params={"wait": 60}).json()["status"] == "succeeded"
    assert time.monotonic() - started < patient(5)


@pytest.mark.parametrize("wait", ["61", "-1", "nan", "soon"])
def test_a_wait_that_is_none_is_refused(api: httpx.Client, wait: str) -> None:
    answer = api.get("/v1/jobs/job_0000000000000000", params={"wait": wait})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/wait")


def test_jobs_are_listed_newest_first_and_page_by_page(api: httpx.Client) -> None:
    jobs = [submit(api) for _ in range(5)]
    found: list[str] = []
    after = None
    for _ in range(3):
        page = api.get("/v1/jobs", params={"limit": 2, **({"after": after} if after else {})}).json()
        found += [job["id"] for job in page["data"]]
        after = page["next_cursor"]
    assert found == jobs[::-1]
    assert (page["has_more"], after) == (False, None)


def test_a_list_is_filtered_by_status_metadata_and_batch(api: httpx.Client, backstage: Backstage) -> None:
    one = submit(api, metadata={"book": "a", "chapter": "1"})
    two = submit(api, metadata={"book": "a", "chapter": "2"})
    submit(api, metadata={"book": "b", "chapter": "1"})
    backstage.store.run(jobs.cancel(two, "default"))

    def listed(**filters: str) -> list[str]:
        return [job["id"] for job in api.get("/v1/jobs", params=filters).json()["data"]]

    assert listed(status="canceled") == [two]
    assert listed(**{"metadata[book]": "a"}) == [two, one]
    assert listed(**{"metadata[book]": "a", "metadata[chapter]": "1"}) == [one]
    assert listed(**{"metadata[book]": "a", "limit": "1"}) == [two]
    assert listed(batch="batch_0000000000000000") == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("limit=0", "/limit"), ("limit=101", "/limit"), ("after=%21", "/after"), ("after=QUJD", "/after"),
     ("status=done", "/status")],
)  # fmt: skip
def test_a_list_names_a_wrong_parameter(api: httpx.Client, query: str, pointer: str) -> None:
    answer = api.get(f"/v1/jobs?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


def test_an_open_job_can_be_canceled_once(api: httpx.Client) -> None:
    job = submit(api)
    answer = api.post(f"/v1/jobs/{job}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "canceled")
    again = api.post(f"/v1/jobs/{job}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "already_ended")


def test_a_job_that_ended_incomplete_can_be_retried(api: httpx.Client, backstage: Backstage) -> None:
    job = submit(api)
    assert api.post(f"/v1/jobs/{job}/retry").status_code == 409
    api.post(f"/v1/jobs/{job}/cancel")
    answer = api.post(f"/v1/jobs/{job}/retry")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    backstage.succeed(job)
    assert api.post(f"/v1/jobs/{job}/retry").status_code == 409


def test_deleting_a_job_leaves_nothing_of_it_in_storage(api: httpx.Client, backstage: Backstage) -> None:
    job = submit(api)
    backstage.succeed(job)
    for digest in clip_digests(backstage, job):
        backstage.storage.put(clip_key(digest), b"clip")
    assert len(list(backstage.storage.list(""))) == 3 + 3 + 3
    assert api.delete(f"/v1/jobs/{job}").status_code == 204
    assert [found.key for found in backstage.storage.list("")] == []
    assert api.get(f"/v1/jobs/{job}").status_code == 404
    assert api.delete(f"/v1/jobs/{job}").status_code == 404


def test_objects_written_while_a_job_is_deleted_are_deleted_too(
    api: httpx.Client, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(api)
    late = iter([plan_key(job)])

    def remove(*arguments: Any, **options: Any) -> None:
        remove_objects(*arguments, **options)
        for key in late:
            backstage.storage.put(key, b"{}")

    monkeypatch.setattr("api.jobs.remove_objects", remove)
    assert api.delete(f"/v1/jobs/{job}").status_code == 204
    assert next(late, None) is None
    assert [found.key for found in backstage.storage.list("")] == []


def test_deleting_a_job_that_is_rendered_takes_its_work_away(api: httpx.Client, backstage: Backstage) -> None:
    job = submit(api)
    backstage.plan(job)
    assert api.delete(f"/v1/jobs/{job}").status_code == 204
    assert backstage.store.run(segments.claim("espeak", want=32, worker="w", lease_ms=LEASE_MS)) is None


def test_segments_are_listed_from_the_plan_while_it_runs_and_from_the_manifest_after(
    api: httpx.Client, backstage: Backstage
) -> None:
    job = submit(api)
    assert api.get(f"/v1/jobs/{job}/segments").status_code == 409
    backstage.plan(job)
    page = api.get(f"/v1/jobs/{job}/segments", params={"limit": 2}).json()
    assert [row["text"] for row in page["data"]] == ["It was a dark night.", "The rain fell in torrents."]
    rest = api.get(f"/v1/jobs/{job}/segments", params={"after": page["next_cursor"]}).json()
    assert ([row["index"] for row in rest["data"]], rest["has_more"]) == ([2], False)
    backstage.render(job)
    backstage.finish(job)
    (row,) = api.get(f"/v1/jobs/{job}/segments").json()["data"]
    assert (row["offset_ms"], row["duration_ms"], row["cached"]) == (0, 1500, True)


def test_the_clip_of_a_segment_is_read_alone_as_soon_as_it_is_there(api: httpx.Client, backstage: Backstage) -> None:
    job = submit(api)
    assert api.get(f"/v1/jobs/{job}/segments/0/audio").json()["code"] == "not_ended"
    backstage.plan(job)
    backstage.render(job, 2)
    for number, digest in enumerate(clip_digests(backstage, job)[:2]):
        backstage.storage.put(clip_key(digest), b"clip %d" % number)
    urls = [row["audio_url"] for row in api.get(f"/v1/jobs/{job}/segments").json()["data"]]
    assert [api.get(url).content for url in urls[:2]] == [b"clip 0", b"clip 1"]
    assert urls[2] is None
    waiting = api.get(f"/v1/jobs/{job}/segments/2/audio")
    assert (waiting.status_code, waiting.json()["code"]) == (409, "not_ended")
    assert api.get(f"/v1/jobs/{job}/segments/3/audio").status_code == 404
    part = api.get(f"/v1/jobs/{job}/segments/1/audio", headers={"Range": "bytes=5-5"})
    assert (part.status_code, part.content, part.headers["content-type"]) == (206, b"1", "audio/flac")
    backstage.render(job)
    backstage.finish(job)
    (row,) = api.get(f"/v1/jobs/{job}/segments").json()["data"]
    assert row["audio_url"] == urls[0]
    assert api.get(f"/v1/jobs/{job}/segments/2/audio").status_code == 410


@pytest.mark.parametrize("job", ["job_0000000000000000", "batch_0000000000000000", "x", "%00", "job_" + "a" * 500])
@pytest.mark.parametrize("path", ["", "/audio", "/segments", "/deliveries"])
def test_a_malformed_job_id_is_not_found(api: httpx.Client, job: str, path: str) -> None:
    answer = api.get(f"/v1/jobs/{job}{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def clip_digests(backstage: Backstage, job: str) -> list[str]:
    return [row.digest for row in PlanReader(backstage.storage, job).rows()]


def test_jobs_are_filtered_by_model_voice_and_a_part_of_their_title(api: httpx.Client) -> None:
    for title, voice in (("Emma, Chapter 1", "en-us"), ("Emma, chapter 2", "en-gb"), ("Persuasion", "en-gb")):
        job = {"input": "Night.", "custom_id": title, "voice": voice, "model": "espeak"}
        assert api.post("/v1/jobs", json=job).status_code == 202

    def titles(**wanted: str) -> list[str]:
        return [job["custom_id"] for job in api.get("/v1/jobs", params=wanted).json()["data"]]

    assert titles(custom_id="chapter") == ["Emma, chapter 2", "Emma, Chapter 1"]
    assert titles(custom_id="EMMA", voice="en-gb") == ["Emma, chapter 2"]
    assert titles(voice="en-gb") == ["Persuasion", "Emma, chapter 2"]
    assert titles(model="indextts-2") == []
    assert len(titles(model="espeak")) == 3
