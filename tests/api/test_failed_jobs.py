"""A failed job says which text failed it: in its JSON, in lists, and in a manifest of what there is."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from farm.layout import JOBS
from farm.store import jobs, segments
from tests.api.backstage import LEASE_MS, Backstage

CHAPTERS = [
    {"title": "One", "input": "The tide went out."},
    {"title": "Two", "input": "It came in, as it did every day.\n\nNobody saw it."},
]
PLACE = {"segment": 2, "chapter": 1, "chapter_title": "Two", "start": 34, "end": 48, "text": "Nobody saw it."}


@pytest.fixture
def failed(api: httpx.Client, backstage: Backstage) -> str:
    job = str(api.post("/v1/jobs", json={"chapters": CHAPTERS}).json()["id"])
    assert backstage.plan(job) == 3
    for _ in range(3):
        grant = backstage.store.run(segments.claim("espeak", want=9, worker="w", lease_ms=LEASE_MS))
        assert grant is not None
        backstage.store.run(segments.fail(grant.token, job, 2, "can't say that"))
        backstage.store.run(segments.release(grant.token))
        if 2 not in grant.segments[job]:  # quarantined: by every second claim
            grant = backstage.store.run(segments.claim("espeak", want=9, worker="w", lease_ms=LEASE_MS))
            assert grant is not None
            backstage.store.run(segments.fail(grant.token, job, 2, "can't say that"))
            backstage.store.run(segments.release(grant.token))
    return job


def place(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: shown["error"][name] for name in PLACE}


def test_the_text_that_failed_a_job_is_shown_with_its_chapter_and_place(api: httpx.Client, failed: str) -> None:
    shown = api.get(f"/v1/jobs/{failed}").json()
    assert (shown["status"], shown["error"]["code"], shown["error"]["message"]) == (
        "failed", "segment_failed", "can't say that",
    )  # fmt: skip
    assert place(shown) == PLACE
    text = CHAPTERS[1]["input"]
    assert text[PLACE["start"] : PLACE["end"]] == PLACE["text"]  # type: ignore[misc]


def test_a_list_shows_it_too_and_it_outlives_the_plan(api: httpx.Client, backstage: Backstage, failed: str) -> None:
    (shown,) = api.get("/v1/jobs").json()["data"]
    assert place(shown) == PLACE
    backstage.storage.delete(*(found.key for found in backstage.storage.list(JOBS)))
    assert place(api.get(f"/v1/jobs/{failed}").json()) == PLACE


def test_a_failed_job_is_shown_without_its_plan(api: httpx.Client, backstage: Backstage, failed: str) -> None:
    backstage.storage.delete(*(found.key for found in backstage.storage.list(JOBS)))
    error = api.get(f"/v1/jobs/{failed}").json()["error"]
    assert (error["segment"], error["text"], error["chapter"]) == (2, None, None)


def test_the_manifest_of_a_failed_job_is_its_plan_with_the_error(api: httpx.Client, failed: str) -> None:
    answer = api.get(f"/v1/jobs/{failed}/manifest")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    manifest = answer.json()
    assert (manifest["job"], manifest["status"]) == (failed, "failed")
    assert place(manifest) == PLACE
    assert manifest["chapters"] == [
        {"title": "One", "first_segment": 0, "segments": 1}, {"title": "Two", "first_segment": 1, "segments": 2},
    ]  # fmt: skip
    assert [row["text"] for row in manifest["segments"]] == [
        "The tide went out.", "It came in, as it did every day.", "Nobody saw it.",
    ]  # fmt: skip
    assert [row.get("error") for row in manifest["segments"]] == [None, None, "can't say that"]
    assert not any("offset_ms" in row for row in manifest["segments"])


def test_a_job_that_failed_before_it_was_planned_has_no_manifest(api: httpx.Client, backstage: Backstage) -> None:
    job = str(api.post("/v1/jobs", json={"input": "One."}).json()["id"])
    backstage.fail(job)
    answer = api.get(f"/v1/jobs/{job}/manifest")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_result")


def test_a_place_that_was_looked_up_too_late_changes_nothing(backstage: Backstage, failed: str) -> None:
    record = backstage.store.run(jobs.record(failed))
    assert record is not None
    assert record.outcome is not None
    assert not backstage.store.run(jobs.explain(failed, '{"code":"another"}', "{}"))
    backstage.store.run(jobs.retry(failed, "default"))
    assert not backstage.store.run(jobs.explain(failed, record.outcome, "{}"))
    again = backstage.store.run(jobs.record(failed))
    assert again is not None
    assert again.outcome is None
