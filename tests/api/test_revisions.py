"""A job is changed after its end: who may, when, of which revision, and what is told of it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from farm.plan_reader import PlanReader
from farm.spec import Spec
from farm.store import registry
from tests.api.backstage import Backstage

STORY = "It was a dark night. The rain fell in torrents. Nobody saw it go."


@pytest.fixture
def job(api: httpx.Client, backstage: Backstage) -> str:
    """One that has ended, by a model that draws random numbers."""
    backstage.store.run(registry.put_voice("default", "anna", '{"digest":"d1","seconds":1,"created_ms":1,"notes":[]}'))
    return narrated(api, backstage, model="indextts-2", voice="anna")


def narrated(api: httpx.Client, backstage: Backstage, **more: Any) -> str:
    answer = api.post("/v1/jobs", json={"input": STORY, **more})
    assert answer.status_code == 202, answer.text
    id: str = answer.json()["id"]
    backstage.succeed(id)
    return id


def test_a_retry_of_a_segment_goes_on_as_the_next_revision_with_its_seed(
    api: httpx.Client, backstage: Backstage, job: str
) -> None:
    answer = api.post(f"/v1/jobs/{job}/segments/1/retry")
    shown = answer.json()
    assert (answer.status_code, shown["status"], shown["revision"]) == (202, "queued", 2)
    assert (answer.headers["etag"], answer.headers["location"]) == ('"2"', shown["status_url"])
    backstage.plan(job)
    assert [row.seed for row in PlanReader(backstage.storage, job, 2).rows()] == [None, 1, None]
    assert [row["seed"] for row in api.get(f"/v1/jobs/{job}/segments").json()["data"]] == [None, 1, None]
    backstage.render(job)
    backstage.finish(job, b"new")
    done = api.get(f"/v1/jobs/{job}").json()
    assert (done["status"], done["revision"], done["rendered"], done["reused"]) == ("succeeded", 2, 3, 0)
    api.post(f"/v1/jobs/{job}/segments/1/retry")
    backstage.plan(job)
    assert [row.seed for row in PlanReader(backstage.storage, job, 3).rows()] == [None, 2, None]


def test_a_given_seed_is_taken_and_the_jobs_own_takes_it_back(
    api: httpx.Client, backstage: Backstage, job: str
) -> None:
    api.post(f"/v1/jobs/{job}/segments/1/retry", json={"seed": 99})
    assert list(backstage.spec(job).seeds.values()) == [99]
    backstage.succeed(job)
    same = api.post(f"/v1/jobs/{job}/segments/1/retry", json={"seed": 99})
    assert (same.status_code, same.json()["code"]) == (422, "same_seed")
    api.post(f"/v1/jobs/{job}/segments/1/retry", json={"seed": 0})
    assert backstage.spec(job).seeds == {}


def test_the_result_before_can_be_read_by_its_number_until_its_time_is_over(
    api: httpx.Client, backstage: Backstage, job: str
) -> None:
    api.post(f"/v1/jobs/{job}/segments/0/retry")
    assert api.get(f"/v1/jobs/{job}/audio").status_code == 409
    assert api.get(f"/v1/jobs/{job}/audio?revision=1").content == b"mp3 of it"
    backstage.succeed(job, b"new")
    assert api.get(f"/v1/jobs/{job}/audio").content == b"new"
    now, before = api.get(f"/v1/jobs/{job}/revisions").json()["data"]
    assert (now["revision"], before["revision"], before["status"]) == (2, 1, "succeeded")
    assert before["result"]["audio_url"].endswith("/audio?revision=1")
    for url in (before["result"]["audio_url"], before["result"]["manifest_url"], before["result"]["subtitles"]["vtt"]):
        assert api.get(url).status_code == 200
    assert len(api.get(f"/v1/jobs/{job}/segments?revision=1").json()["data"]) == 1
    assert api.get(f"/v1/jobs/{job}/audio?revision=3").status_code == 404
    backstage.retire(job, 1)
    gone = api.get(f"/v1/jobs/{job}/audio?revision=1")
    assert (gone.status_code, gone.json()["code"]) == (410, "gone")
    assert len(api.get(f"/v1/jobs/{job}/revisions").json()["data"]) == 1


def test_of_two_changes_of_one_revision_the_later_is_refused(api: httpx.Client, backstage: Backstage, job: str) -> None:
    path, of_first = f"/v1/jobs/{job}/segments/0/retry", {"If-Match": '"1"'}
    assert api.post(path, headers={"If-Match": '"2"'}).json()["code"] == "revision_changed"
    assert api.post(path, headers=of_first).status_code == 202
    backstage.succeed(job)
    late = api.post(path, headers=of_first)
    assert (late.status_code, late.json()["code"]) == (412, "revision_changed")
    assert "revision 2" in late.json()["detail"]
    assert api.post(path, headers={"If-Match": "*"}).status_code == 202


def test_a_change_that_is_sent_again_under_its_key_is_made_once(api: httpx.Client, job: str) -> None:
    keyed = {"Idempotency-Key": "again", "If-Match": '"1"'}
    path = f"/v1/jobs/{job}/segments/0/retry"
    first, again = (api.post(path, json={"seed": 5}, headers=keyed) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert (again.json()["revision"], again.headers["idempotent-replayed"]) == (2, "true")
    other = api.post(path, json={"seed": 6}, headers=keyed)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_what_is_open_expired_or_not_there_is_refused_with_the_next_step(
    api: httpx.Client, backstage: Backstage, job: str
) -> None:
    absent = api.post(f"/v1/jobs/{job}/segments/3/retry")
    assert (absent.status_code, "the last one is 2" in absent.json()["detail"]) == (404, True)
    api.post(f"/v1/jobs/{job}/segments/0/retry")
    open_ = api.post(f"/v1/jobs/{job}/segments/0/retry")
    assert (open_.status_code, open_.json()["code"]) == (409, "not_ended")
    api.post(f"/v1/jobs/{job}/cancel")
    unplanned = api.post(f"/v1/jobs/{job}/segments/0/retry")
    assert (unplanned.status_code, unplanned.json()["code"]) == (409, "no_segments")
    backstage.expire(job)
    assert api.post(f"/v1/jobs/{job}/segments/0/retry").status_code == 410


def test_a_model_that_draws_nothing_has_no_other_take(api: httpx.Client, backstage: Backstage) -> None:
    answer = api.post(f"/v1/jobs/{narrated(api, backstage)}/segments/0/retry")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/seed")
    assert "lexicon" in answer.json()["detail"]


def test_only_so_many_lines_have_a_seed_of_their_own(
    api: httpx.Client, job: str, monkeypatch: pytest.MonkeyPatch, backstage: Backstage
) -> None:
    monkeypatch.setattr("api.revisions.MOST_SEEDS", 1)
    api.post(f"/v1/jobs/{job}/segments/0/retry")
    backstage.succeed(job)
    refused = api.post(f"/v1/jobs/{job}/segments/1/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_seeds")
    assert api.post(f"/v1/jobs/{job}/segments/0/retry").status_code == 202


def test_a_spec_without_edits_takes_no_more_room_than_before() -> None:
    assert Spec(language="en", voice="anna").to_json() == '{"language":"en","voice":"anna"}'
