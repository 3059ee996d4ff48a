"""Edits of jobs through the API, rendered by the real engine: what is rendered, what is said, and that the result is
that of a new job."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, pairwise
from typing import Any

import httpx
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.flow.house import House

WORDS = ("tide", "ship", "sand", "gull", "rope", "storm", "lamp", "shore")
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
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
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
