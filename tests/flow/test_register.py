"""The next revision of a long job takes what did not change from the result before. It is what a new job would be."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

import farm.passages
from farm.job import Due, Status
from farm.layout import job_prefix, passages_prefix, register_key, result_prefix, run_prefix
from farm.store import revisions
from farm.store.call import command
from tests.flow.house import House
from tests.flow.mortal import STRIDE, due_now, mortal_desks
from tests.flow.test_edits import edited, narrated, same_as_new
from tests.flow.test_revisions import reseed
from worker.desk import passage_maker
from worker.desk.passage import Passage

TITLES = ("Morning", "Noon", "Evening")
NEW = "Nobody saw it come back before the end of the day."
BOOK = {"title": "A Day"}  # else it would be the id of the job
PER_CHAPTER = {"loudness_lufs": -20, "loudness_per": "chapter"}


def chapters() -> list[dict[str, str]]:
    """Two passages each, of a segment."""
    return [
        {
            "title": title,
            "input": f"{title} begins with a long breath.\n\nNobody looks at the clock of {title.lower()}.",
        }
        for title in TITLES
    ]


def changed() -> list[dict[str, str]]:
    """With NEW as segment 3."""
    first, noon, last = chapters()
    return [first, {**noon, "input": f"Noon begins with a long breath.\n\n{NEW}"}, last]


@pytest.fixture(autouse=True)
def short_passages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farm.passages, "PASSAGE_MS", 2_000)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The first segment of each passage that is made."""
    firsts: list[int] = []
    real = passage_maker.make_passage

    def make(pieces: Any, *args: Any) -> Passage:
        firsts.append(pieces.rows[0].index)
        return real(pieces, *args)

    monkeypatch.setattr(passage_maker, "make_passage", make)
    return firsts


def audio(house: House, job: str) -> bytes:
    return house.storage.get(house.outcome(job).audio_key)


def runs(house: House, job: str) -> set[str]:
    return {run_prefix(found.key) for found in house.storage.list(result_prefix(job))}


@pytest.mark.parametrize(
    ("format", "output", "expected"),
    [
        ("wav", {}, [3]),
        ("flac", {}, [3]),
        ("m4b", {"per_chapter": True}, [3]),
        ("mp3", {}, [3]),
        ("flac", PER_CHAPTER, [2, 3]),
        ("m4b", {**PER_CHAPTER, "per_chapter": True, "subtitles": ["vtt"]}, [2, 3]),
        ("m4b", {"loudness_lufs": -20}, [0, 1, 2, 3, 4, 5]),
        ("opus", {}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_an_edit_makes_the_passages_that_changed_and_those_that_share_a_gain_with_them(
    house: House, api: httpx.Client, made: list[int], format: str, output: dict[str, Any], expected: list[int]
) -> None:
    asked = {"output": {"format": format, **output}, "metadata": BOOK}
    job = narrated(house, api, chapters=chapters(), **asked)
    assert sorted(made) == [0, 1, 2, 3, 4, 5]
    made.clear()
    edited(house, api, job, segments=[{"index": 3, "text": NEW}])
    assert sorted(made) == expected
    same_as_new(house, api, job, chapters=changed(), **asked)


def test_chapters_that_move_in_the_recording_are_taken_from_where_they_were(
    house: House, api: httpx.Client, made: list[int]
) -> None:
    job = narrated(house, api, chapters=chapters(), metadata=BOOK)
    made.clear()
    left = [chapters()[number] for number in (1, 0, 2)]
    edited(house, api, job, chapters=left)
    assert made == []
    same_as_new(house, api, job, chapters=left, metadata=BOOK)
    made.clear()
    edited(house, api, job, chapters=left[:2])  # the last passage ends the recording, which sounds otherwise
    assert made == [3]
    same_as_new(house, api, job, chapters=left[:2], metadata=BOOK)
    made.clear()
    edited(house, api, job, metadata={"title": "A Short Day"})
    assert made == [], "the passage that ends it is in the last result alone"


@pytest.mark.parametrize("lost", ["register", "damaged register", "audio", "damaged audio"])
def test_a_result_before_that_is_gone_or_damaged_only_costs_time(
    house: House, api: httpx.Client, made: list[int], lost: str
) -> None:
    job = narrated(house, api, chapters=chapters(), metadata=BOOK)
    before = house.outcome(job).audio_key
    key = register_key(before) if "register" in lost else before
    if "damaged" in lost:
        data = bytearray(house.storage.get(key))
        data[len(data) // 4] ^= 1  # in a passage that is taken
        house.storage.put(key, bytes(data))
    else:
        house.storage.delete(key)
    made.clear()
    edited(house, api, job, segments=[{"index": 3, "text": NEW}])
    assert set(made) == {0, 1, 2, 3, 4, 5}
    same_as_new(house, api, job, chapters=changed(), metadata=BOOK)


def test_a_revision_after_one_that_was_canceled_takes_from_the_last_result(
    house: House, api: httpx.Client, made: list[int]
) -> None:
    job = narrated(house, api, chapters=chapters())
    made.clear()
    api.patch(f"/v1/jobs/{job}", json={"segments": [{"index": 0, "text": NEW}]})
    house.desk.drain()
    assert api.post(f"/v1/jobs/{job}/cancel").status_code == 202
    edited(house, api, job, segments=[{"index": 0, "text": "Morning begins with a long breath."}])
    assert (made, house.record(job).revision) == ([], 3)


def test_a_register_is_counted_with_its_result_and_goes_with_it(house: House, api: httpx.Client) -> None:
    job = narrated(house, api, chapters=chapters())
    first = house.outcome(job).audio_key
    edited(house, api, job, segments=[{"index": 3, "text": NEW}])
    second = house.outcome(job).audio_key
    for key in (first, second):
        assert house.storage.head(register_key(key)) is not None
    stored = int(house.store.run(command("HGET", f"f:j:{job}", "result", read=bytes)))
    assert stored == sum(found.size for found in house.storage.list(run_prefix(second)))
    due_now(house, Due.RETIRE)
    house.desk.drain()
    assert runs(house, job) == {run_prefix(second)}
    due_now(house, Due.EXPIRE)
    house.desk.drain()
    assert house.record(job).status is Status.EXPIRED
    assert [*house.storage.list(result_prefix(job)), *house.storage.list(job_prefix(job))] == []


def test_two_desks_at_once_make_one_revision(house: House, api: httpx.Client) -> None:
    job = narrated(house, api, chapters=chapters(), metadata=BOOK)
    api.patch(f"/v1/jobs/{job}", json={"segments": [{"index": 3, "text": NEW}]})
    house.desk.drain()
    house.renderer().drain()
    house.drain_by_two_desks()
    assert len(runs(house, job)) == 2
    same_as_new(house, api, job, chapters=changed(), metadata=BOOK)


def test_a_desk_that_is_killed_at_any_step_of_a_revision_leaves_every_result_whole(house: House) -> None:
    """A seed is another clip, and with eSpeak NG it sounds the same; so each revision is what the first one was."""
    job = house.submit(chapters=chapters(), output={"format": "flac"}, metadata=BOOK)
    house.finish()
    undisturbed, renderer, count = audio(house, job), house.renderer(), 0
    for count, desk in enumerate(mortal_desks(house), 1):
        reseed(house, job, 3, count)
        for _ in range(2):
            desk.drain()
            renderer.drain()
        due_now(house, Due.PLAN, Due.PASSAGE, Due.ASSEMBLE)
        for _ in range(2):
            house.desk.drain()
            renderer.drain()
        house.desk.drain()
        assert house.record(job).status is Status.SUCCEEDED
        assert audio(house, job) == undisturbed
        kept = house.store.run(revisions.earlier(job)).values()
        results = [house.outcome(job), *(each.result for each in kept)]
        assert runs(house, job) == {run_prefix(result.audio_key) for result in results}
    assert count > 50 // STRIDE
    assert list(house.storage.list(passages_prefix(job))) == []
