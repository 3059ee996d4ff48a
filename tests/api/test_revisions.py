"""A job is changed after its end: who may, when, of which revision, and what is told of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from farm.errors import StoreUnavailable
from farm.layout import voice_key
from farm.plan_reader import PlanReader
from farm.quota import Quota
from farm.spec import Spec
from farm.store import quotas, registry
from farm.text_document import read_text, stored_text_key
from tests.api.backstage import Backstage

STORY = "It was a dark night. The rain fell in torrents. Nobody saw it go."


@pytest.fixture
def job(api: httpx.Client, backstage: Backstage) -> str:
    """One that has ended, by a model that draws random numbers."""
    backstage.store.run(registry.put_voice("default", "anna", '{"digest":"d1","seconds":1,"created_ms":1,"notes":[]}'))
    return narrated(api, backstage, model="indextts-2", voice="anna")


def narrated(api: httpx.Client, backstage: Backstage, **more: Any) -> str:
    request = {name: value for name, value in {"input": STORY, **more}.items() if value is not None}
    answer = api.post("/v1/jobs", json=request)
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
    path = f"/v1/jobs/{narrated(api, backstage)}/segments/0/retry"
    answer = api.post(path)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_other_take")
    assert "lexicon" in answer.json()["detail"]
    named = api.post(path, json={"seed": 3})
    assert (named.status_code, named.json()["errors"][0]["pointer"]) == (422, "/seed")


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


# --- edits ------------------------------------------------------------------------------------------------------------


def texts(backstage: Backstage, job: str) -> list[str]:
    """The chapters as they are stored."""
    return [chapter.input for chapter in read_text(backstage.storage.get(stored_text_key(job, backstage.spec(job))))]


def patch(api: httpx.Client, job: str, headers: dict[str, str] | None = None, **change: Any) -> httpx.Response:
    return api.patch(f"/v1/jobs/{job}", json=change, headers=headers or {})


def test_sentences_are_replaced_where_they_stand_and_left_out_where_they_are_empty(
    api: httpx.Client, backstage: Backstage
) -> None:
    job = narrated(api, backstage)
    answer = patch(api, job, segments=[{"index": 2, "text": "Somebody saw it."}, {"index": 0, "text": ""}])
    assert (answer.status_code, answer.json()["revision"], answer.json()["status"]) == (202, 2, "queued")
    assert texts(backstage, job) == [" The rain fell in torrents. Somebody saw it."]
    assert api.get(f"/v1/jobs/{job}").json()["characters"] == len(texts(backstage, job)[0])
    kept = [found.key for found in backstage.storage.list(f"jobs/{job}/") if "text" in found.key]
    assert kept == [stored_text_key(job, backstage.spec(job))]


def test_headings_keep_their_places_behind_a_longer_sentence(api: httpx.Client, backstage: Backstage) -> None:
    text = "Storm\n\nIt rained.\n\nCalm\n\nIt was dry."
    chapter = {"input": text, "headings": [0, text.index("Calm")]}
    job = narrated(api, backstage, input=None, chapters=[chapter])
    patch(api, job, segments=[{"index": 1, "text": "It rained for days and days."}])
    (after,) = read_text(backstage.storage.get(stored_text_key(job, backstage.spec(job))))
    assert [after.input[place : place + 4] for place in after.headings] == ["Stor", "Calm"]


def test_what_an_edit_leaves_alone_stays_and_what_it_names_is_resolved_anew(
    api: httpx.Client, backstage: Backstage
) -> None:
    for digest in ("d1", "d2"):
        backstage.storage.put(voice_key("default", digest), b"sound")
    put = '{"digest":"%s","seconds":1,"created_ms":1,"notes":[]}'
    backstage.store.run(registry.put_voice("default", "anna", put % "d1"))
    emotion = {"vector": [0.5] * 8}
    job = narrated(
        api, backstage, model="indextts-2", voice="anna", seed=4, emotion=emotion, metadata={"title": "Night"},
        output={"preset": "acx", "pause_ms": {"segment": 90}}, expires_after=600,
    )  # fmt: skip
    before = backstage.spec(job)
    backstage.store.run(registry.put_voice("default", "anna", put % "d2"))
    patch(api, job, metadata={"title": "Day"})
    assert backstage.spec(job) == before.model_copy(update={"metadata": {"title": "Day"}})
    assert api.get(f"/v1/jobs/{job}/revisions").json()["data"][1]["result"] is not None
    backstage.succeed(job)
    patch(api, job, voice="anna")
    assert (before.uploads, backstage.spec(job).uploads) == ({"anna": "d1"}, {"anna": "d2"})
    backstage.succeed(job)
    patch(api, job, output={"preset": "podcast"}, emotion=None)
    output = backstage.spec(job).output
    assert (output.preset, output.loudness_lufs, output.sample_rate, output.trim_dbfs) == ("podcast", -16, None, None)
    assert (output.pause_ms.segment, output.pause_ms.before_chapter) == (90, 0)
    assert backstage.spec(job).manner.emotion is None


def test_an_edit_needs_the_recording_that_its_job_was_spoken_with(api: httpx.Client, job: str) -> None:
    answer = patch(api, job, segments=[{"index": 0, "text": "Other words."}])
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/voice")
    assert "name a voice" in answer.json()["detail"]


def test_an_edit_that_changes_nothing_makes_no_revision(api: httpx.Client, backstage: Backstage) -> None:
    job = narrated(api, backstage, speed=1.5)
    for same in (
        {},
        {"input": None},
        {"speed": 1.5},
        {"input": STORY},
        {"segments": [{"index": 1, "text": "The rain fell in torrents."}]},
    ):
        answer = patch(api, job, **same)
        assert (answer.status_code, answer.json()["revision"], answer.json()["status"]) == (200, 1, "succeeded")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"model": "espeak"}, "/model"),
        ({"voice": "nobody"}, "/voice"),
        ({"seed": 7}, "/seed"),
        ({"lexicons": ["none"]}, "/lexicons/0"),
        ({"input": "New.", "segments": [{"index": 0, "text": "New."}]}, ""),
        ({"segments": [{"index": 9, "text": "New."}]}, "/segments/0/index"),
        ({"segments": [{"index": 0, "text": "A."}, {"index": 0, "text": "B."}]}, "/segments/1/index"),
        ({"segments": [{"index": n, "text": " "} for n in range(3)]}, "/segments/2/text"),
        ({"segments": [{"index": 0, "text": "\x00"}]}, "/segments/0/text"),
        ({"markup": "ssml"}, "/chapters/0/input"),
    ],
)
def test_a_wrong_edit_is_refused_at_its_field_and_changes_nothing(
    api: httpx.Client, backstage: Backstage, change: dict[str, Any], pointer: str
) -> None:
    job = narrated(api, backstage)
    answer = patch(api, job, **change)
    assert answer.status_code == 422, answer.text
    assert pointer in [field["pointer"] for field in answer.json()["errors"]], answer.text
    assert api.get(f"/v1/jobs/{job}").json()["revision"] == 1


def test_of_edits_that_meet_one_is_made_and_the_others_are_refused_without_a_trace(
    api: httpx.Client, backstage: Backstage
) -> None:
    job = narrated(api, backstage)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: patch(api, job, input=f"Text {number}."), range(6)))
    assert sorted(answer.status_code for answer in answers)[0] == 202
    assert {answer.status_code for answer in answers[1:]} | {202} <= {202, 409, 412}
    assert [answer.status_code for answer in answers].count(202) == 1
    winner = next(number for number, answer in enumerate(answers) if answer.status_code == 202)
    assert texts(backstage, job) == [f"Text {winner}."]
    kept = [found.key for found in backstage.storage.list(f"jobs/{job}/") if "text" in found.key]
    assert kept == [stored_text_key(job, backstage.spec(job))]


def test_a_job_that_was_never_planned_gets_its_text_anew_and_counts_for_that(
    api: httpx.Client, backstage: Backstage
) -> None:
    job: str = api.post("/v1/jobs", json={"input": STORY}).json()["id"]
    assert patch(api, job, input="New.").json()["code"] == "not_ended"
    api.post(f"/v1/jobs/{job}/cancel")
    assert patch(api, job, segments=[{"index": 0, "text": "New."}]).json()["code"] == "no_segments"
    assert patch(api, job, input="New.").status_code == 202
    assert backstage.plan(job) == 1
    api.delete(f"/v1/jobs/{job}")
    assert [found.key for found in backstage.storage.list("")] == []
    standing = backstage.store.run(quotas.account("default")).standing
    assert [standing.used(quota) for quota in (Quota.BYTES, Quota.RECORDS, Quota.CHARACTERS)] == [0, 0, 0]


def test_an_edit_beyond_the_quota_is_refused_and_leaves_no_text(api: httpx.Client, backstage: Backstage) -> None:
    job = narrated(api, backstage)
    backstage.store.run(quotas.limit("default", {"characters": 100}))
    answer = patch(api, job, input="Word. " * 30)
    assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded")
    assert texts(backstage, job) == [STORY]
    assert [found.key for found in backstage.storage.list(f"jobs/{job}/texts")] == []


def test_an_api_that_is_killed_between_two_steps_of_an_edit_loses_nothing(
    api: httpx.Client, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = narrated(api, backstage)

    async def killed(*_: Any) -> None:
        raise StoreUnavailable("killed")

    monkeypatch.setattr("api.revisions._revise", killed)
    assert patch(api, job, input="Lost.").status_code == 503
    assert (texts(backstage, job), api.get(f"/v1/jobs/{job}").json()["revision"]) == ([STORY], 1)
    monkeypatch.undo()
    assert patch(api, job, input="Kept.").status_code == 202
    backstage.succeed(job)
    assert texts(backstage, job) == ["Kept."]
    api.delete(f"/v1/jobs/{job}")
    assert [found.key for found in backstage.storage.list("")] == []
