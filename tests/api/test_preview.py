"""POST /v1/preview: what a job would speak, without the job."""

from __future__ import annotations

import sys
import time
from typing import Any

import anyio
import httpx
import pytest

from api.preview import MAX_CHARACTERS
from api.previewer import Previewer
from farm.errors import BadInput
from farm.plan import decode_page
from farm.plan_order import PlanOrder, make_plan
from farm.text_document import write_text
from farm.wire import Chapter
from tests.api.backstage import ESPEAK, Backstage
from tests.patience import patient


def test_a_preview_shows_segments_voices_pauses_and_what_is_said(api: httpx.Client) -> None:
    text = "<speak>One.<break time='2s'/> <voice name='anna'>The <sub alias='second'>2nd</sub>.</voice></speak>"
    shown = api.post("/v1/preview", json={"input": text, "markup": "ssml", "voices": {"anna": "de"}}).json()
    assert (shown["model"], shown["language"], shown["voice"], shown["refusals"]) == ("espeak", "en-us", "en-us", [])
    first, second = shown["segments"]
    assert (first["text"], first["voice"], first["pause_ms"]) == ("One.", "en-us", 2000)
    assert (second["text"], second["spoken"], second["voice"], second["character"]) == (
        "The 2nd.", "The second.", "de", "anna",
    )  # fmt: skip


def test_a_preview_is_what_the_desk_plans(api: httpx.Client, backstage: Backstage) -> None:
    request = {"chapters": [{"input": "One. [rate:0.9]Two.[/rate]\n\nThree.", "title": "A"}], "markup": "tags"}
    shown = api.post("/v1/preview", json=request).json()
    job = api.post("/v1/jobs", json=request).json()["id"]
    text = write_text([Chapter.model_validate(request["chapters"][0])]).encode()  # type: ignore[index]
    order = PlanOrder("default", backstage.spec(job).to_json(), ESPEAK.model_dump_json(), text, 30)
    planned = decode_page(make_plan(order).pages)
    assert [(row["digest"], row["start"], row["end"]) for row in shown["segments"]] == [
        (row.digest, row.start, row.end) for row in planned
    ]
    assert shown["chapters"] == [{"title": "A", "first_segment": 0, "segments": 3}]


def test_a_preview_leaves_no_job_behind(api: httpx.Client) -> None:
    api.post("/v1/preview", json={"input": "One."})
    assert api.get("/v1/jobs").json()["data"] == []


@pytest.mark.parametrize(
    ("request_", "pointer"),
    [
        ({"input": "<speak><mark name='a'/>b</speak>", "markup": "ssml"}, "/input"),
        ({"input": "a", "voice": "nobody"}, "/voice"),
        ({"input": "a", "target_duration_ms": 1000}, "/target_duration_ms"),
    ],
)  # fmt: skip
def test_what_the_job_would_be_refused_for_is_in_the_answer(
    api: httpx.Client, request_: dict[str, Any], pointer: str
) -> None:
    answer = api.post("/v1/preview", json=request_)
    assert (answer.status_code, answer.json()["segments"]) == (200, [])
    assert answer.json()["refusals"][0]["pointer"] == pointer
    if pointer == "/input":
        assert answer.json()["refusals"][0]["position"] == 7


def test_a_body_that_is_no_job_is_refused_as_such(api: httpx.Client) -> None:
    assert api.post("/v1/preview", json={"inputs": "a"}).status_code == 422


def test_a_long_text_is_refused_with_what_may_be_shown(api: httpx.Client) -> None:
    answer = api.post("/v1/preview", json={"input": "a " * (MAX_CHARACTERS // 2 + 1)})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (413, "/input")
    assert "preview some of it, such as a chapter" in answer.json()["detail"]


def test_the_dearest_text_that_fits_is_shown_while_others_are_answered(api: httpx.Client) -> None:
    shown = api.post("/v1/preview", json={"input": '《"' * (MAX_CHARACTERS // 2 - 1) + "a"})
    assert shown.status_code == 200
    assert len(shown.json()["segments"]) > 100


def _hangs(*code: str) -> Previewer:
    return Previewer((sys.executable, "-c", "\n".join(code)))


@pytest.mark.parametrize(
    "ending", ["import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "import os, signal; os.kill(os.getpid(), 9)"]
)
def test_a_plan_that_is_ended_by_its_limits_is_refused(ending: str) -> None:
    order = PlanOrder("default", "{}", "{}", b"", 1)
    with pytest.raises(BadInput, match="takes too long"):
        anyio.run(_hangs(ending).plan, order)


def test_previews_beyond_two_wait_for_their_turn() -> None:
    """Each stand-in for the process takes half a second, so four of them take a second at least."""
    previewer = _hangs(
        "import time, sys; sys.stdin.read(); time.sleep(.5)", 'print(\'{"code": "x", "message": "m", "fields": []}\')'
    )

    async def four() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(one)

    async def one() -> None:
        with pytest.raises(BadInput):
            await previewer.plan(PlanOrder("default", "{}", "{}", b"", 1))

    began = time.monotonic()
    anyio.run(four)
    assert 1.0 <= time.monotonic() - began < patient(20)
