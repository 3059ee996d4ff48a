"""Edits of jobs through the API, rendered by the real engine: what is rendered, what is said, and that the result is
that of a new job."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, pairwise
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.flow.house import House
from tests.nightly import NIGHTLY

WORDS = ("tide", "ship", "sand", "gull", "rope", "storm", "lamp", "shore")
NARRATOR = "en-us"
Book = list[list[str]]  # chapters of sentences

sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(lambda words: f"The {' '.join(words)}.")
_speeds = count(500)


@st.composite
def books(draw: st.DrawFn, least: int = 1) -> Book:
    """No sentence stands in it twice, so each is a clip of its own."""
    every = draw(st.lists(sentences, min_size=max(2, least), max_size=9, unique=True))
    cuts = draw(st.sets(st.integers(1, len(every) - 1), min_size=least - 1, max_size=2))
    return [every[start:end] for start, end in pairwise((0, *sorted(cuts), len(every)))]


def a_new_speed() -> float:
    """One at which nothing was spoken before, so that no clip is there."""
    return next(_speeds) / 1000


def chapters(book: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Each sentence is a paragraph, and so a segment."""
    return [{"title": f"Part {number}", "input": "\n\n".join(part)} for number, part in enumerate(book, 1)]


def narrated(house: House, api: httpx.Client, **request: Any) -> str:
    answer = api.post("/v1/jobs", json={"output": {"format": "flac"}, **request})
    assert answer.status_code == 202, answer.text
    house.finish()
    id: str = answer.json()["id"]
    return id


def edited(house: House, api: httpx.Client, job: str, **change: Any) -> dict[str, Any]:
    answer = api.patch(f"/v1/jobs/{job}", json=change)
    assert answer.status_code == 202, answer.text
    house.finish()
    return shown(api, job)


def shown(api: httpx.Client, job: str) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/v1/jobs/{job}").json()
    assert found["status"] == "succeeded", found
    return found


def said(api: httpx.Client, job: str) -> list[str]:
    return [row["text"] for row in api.get(f"/v1/jobs/{job}/segments?limit=1000").json()["data"]]


def same_as_new(house: House, api: httpx.Client, job: str, **request: Any) -> None:
    """The result is, bit for bit, that of a new job that asks for the same."""
    new = narrated(house, api, **request)
    assert said(api, job) == said(api, new)
    assert api.get(f"/v1/jobs/{job}/audio").content == api.get(f"/v1/jobs/{new}/audio").content
    ours, theirs = (api.get(f"/v1/jobs/{id}/manifest").json() for id in (job, new))
    for manifest in (ours, theirs):
        for name in ("job", "job_revision", "rendered", "reused"):
            manifest.pop(name)
        for row in manifest["segments"]:
            row.pop("cached"), row.pop("attempts")
    assert ours == theirs


some = settings(
    max_examples=24 if NIGHTLY else 6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@some
@given(book=books(), new=sentences, data=st.data())
def test_another_sentence_renders_one_segment_and_nothing_of_the_text_is_lost(
    house: House, api: httpx.Client, book: Book, new: str, data: st.DataObject
) -> None:
    every = [sentence for part in book for sentence in part]
    assume(new not in every)
    index, speed = data.draw(st.integers(0, len(every) - 1)), a_new_speed()
    job = narrated(house, api, chapters=chapters(book), speed=speed)
    done = edited(house, api, job, segments=[{"index": index, "text": new}])
    expected = [*every[:index], new, *every[index + 1 :]]
    assert said(api, job) == expected
    assert (done["rendered"], done["reused"]) == (1, len(every) - 1)
    rest = iter(expected)
    same_as_new(house, api, job, chapters=chapters([[next(rest) for _ in part] for part in book]), speed=speed)


def test_a_sentence_keeps_the_voice_that_an_edit_gave_it_and_its_preview_told_what_is_rendered(
    house: House, api: httpx.Client
) -> None:
    book = chapters([["The tide.", "The ship.", "The sand."]])
    job = narrated(house, api, chapters=book, voice=NARRATOR, speed=a_new_speed())
    steps: list[tuple[dict[str, Any], str, int]] = [
        ({"index": 1, "voice": "de"}, "de", 1),
        ({"index": 0, "text": "The long, long tide."}, "de", 1),
        ({"index": 1, "text": "The lamp."}, "de", 1),
        ({"index": 1, "text": "The ship.", "voice": None}, NARRATOR, 0),
    ]
    for change, voice, rendered in steps:
        told = api.post(f"/v1/jobs/{job}/preview", json={"segments": [change]}).json()
        done = edited(house, api, job, segments=[change])
        assert (told["rendered"], told["reused"]) == (done["rendered"], done["reused"]) == (rendered, 3 - rendered)
        rows = api.get(f"/v1/jobs/{job}/segments").json()["data"]
        assert [row["voice"] for row in rows] == [NARRATOR, voice, NARRATOR]


def test_the_preview_of_an_edit_names_what_would_be_rendered_and_changes_nothing(
    house: House, api: httpx.Client
) -> None:
    job = narrated(house, api, chapters=chapters([["The tide.", "The ship."], ["The sand."]]), speed=a_new_speed())
    api.post("/v1/lexicons", json={"name": "seas", "entries": [{"written": "tide", "alias": "flood"}]})
    change = {"segments": [{"index": 2, "text": "The gull cried."}], "lexicons": ["seas"]}
    told = api.post(f"/v1/jobs/{job}/preview", json=change).json()
    assert (told["revision"], told["segments"], told["rendered"], told["reused"]) == (1, 3, 2, 1)
    assert [(row["text"], row["spoken"]) for row in told["changed"]] == [
        ("The tide.", "The flood."), ("The gull cried.", None),
    ]  # fmt: skip
    assert told["characters"] == len("The tide.The gull cried.")
    assert 0.2 < told["audio_seconds"] < 5
    assert api.post(f"/v1/jobs/{job}/preview", json={}).json()["rendered"] == 0
    assert (shown(api, job)["revision"], said(api, job)) == (1, ["The tide.", "The ship.", "The sand."])
    late = api.post(f"/v1/jobs/{job}/preview", json=change, headers={"If-Match": '"2"'})
    wrong = api.post(f"/v1/jobs/{job}/preview", json={"segments": [{"index": 0, "voice": "nobody"}]})
    assert (late.status_code, wrong.status_code) == (412, 422)
    assert wrong.json()["errors"][0]["pointer"] == "/segments/0/voice"


def test_a_turn_moves_with_its_sentence_through_markup_and_markers(house: House, api: httpx.Client) -> None:
    text = "The tide. <<CHAPTER_MARKER:Two>> The ship.[pause:1s] The [rate:1.1]sand[/rate] blew."
    job = narrated(house, api, input=text, markup="tags", voice=NARRATOR)
    rows = api.get(f"/v1/jobs/{job}/segments").json()["data"]
    last = len(rows) - 1
    edited(house, api, job, segments=[{"index": last, "voice": "de"}])
    edited(house, api, job, segments=[{"index": 0, "text": "The <<CHAPTER_MARKER:Half>> long, long tide."}])
    rows = api.get(f"/v1/jobs/{job}/segments").json()["data"]
    assert [row["voice"] for row in rows] == [NARRATOR] * (len(rows) - 1) + ["de"]


@some
@given(book=books(least=2), data=st.data())
def test_a_chapter_that_is_left_out_is_kept_and_comes_back_as_it_was(
    house: House, api: httpx.Client, book: Book, data: st.DataObject
) -> None:
    numbers = range(len(book))
    out, speed = data.draw(st.sets(st.sampled_from(numbers), min_size=1, max_size=len(book) - 1)), a_new_speed()
    job = narrated(house, api, chapters=chapters(book), speed=speed)
    first = api.get(f"/v1/jobs/{job}/contents").json()["data"]
    assert edited(house, api, job, left_out=sorted(out))["rendered"] == 0
    inside = [chapter for number, chapter in enumerate(chapters(book)) if number not in out]
    same_as_new(house, api, job, chapters=inside, speed=speed)
    listed = api.get(f"/v1/jobs/{job}/contents").json()["data"]
    assert [row["left_out"] for row in listed] == [number in out for number in numbers]
    assert [row["title"] for row in listed] == [row["title"] for row in first]
    kept = sum(len(book[number]) for number in numbers if number not in out)
    assert edited(house, api, job, segments=[{"index": kept - 1, "text": "The end."}])["rendered"] <= 1
    last = max(number for number in numbers if number not in out)
    changed = [[*part[:-1], "The end."] if number == last else part for number, part in enumerate(book)]
    assert edited(house, api, job, left_out=[])["rendered"] == 0
    same_as_new(house, api, job, chapters=chapters(changed), speed=speed)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"left_out": [2]}, "/left_out/0"),
        ({"left_out": [1, 0]}, "/left_out"),
        ({"left_out": [0], "input": "New."}, ""),
        ({"segments": [{"index": 0}]}, "/segments/0"),
    ],
)
def test_a_wrong_choice_of_chapters_is_refused(
    house: House, api: httpx.Client, change: dict[str, Any], pointer: str
) -> None:
    job = narrated(house, api, chapters=chapters([["The tide."], ["The ship."]]))
    for answer in (api.patch(f"/v1/jobs/{job}", json=change), api.post(f"/v1/jobs/{job}/preview", json=change)):
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text


@some
@given(book=books(), word=st.sampled_from(WORDS))
def test_a_word_of_a_lexicon_renders_the_sentences_that_hold_it_and_no_other(
    house: House, api: httpx.Client, book: Book, word: str
) -> None:
    speed = a_new_speed()
    job = narrated(house, api, chapters=chapters(book), speed=speed)
    api.post("/v1/lexicons", json={"name": word, "entries": [{"written": word, "alias": "something else"}]})
    holding = [sentence for part in book for sentence in part if word in sentence]
    done = edited(house, api, job, lexicons=[word])
    rows = api.get(f"/v1/jobs/{job}/segments?limit=1000").json()["data"]
    assert [row["text"] for row in rows if not row["cached"]] == holding
    assert (done["rendered"], said(api, job)) == (len(holding), [sentence for part in book for sentence in part])
    same_as_new(house, api, job, chapters=chapters(book), lexicons=[word], speed=speed)


@some
@given(book=books(least=2), data=st.data())
def test_a_chapter_that_is_left_out_renders_nothing(
    house: House, api: httpx.Client, book: Book, data: st.DataObject
) -> None:
    out, speed = data.draw(st.integers(0, len(book) - 1)), a_new_speed()
    job = narrated(house, api, chapters=chapters(book), speed=speed)
    left = [chapter for number, chapter in enumerate(chapters(book)) if number != out]
    assert edited(house, api, job, chapters=left)["rendered"] == 0
    same_as_new(house, api, job, chapters=left, speed=speed)
