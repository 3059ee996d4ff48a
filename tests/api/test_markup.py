"""What a request may ask for by markup, and how it is refused: by field, place and the name of the model."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from api.admission import Catalog
from farm.errors import BadInput
from farm.order import Order
from farm.text_document import read_text
from farm.wire import JobRequest
from tests.api.backstage import ESPEAK, INDEXTTS_25, Backstage

CATALOG = Catalog(
    cards={card.name: card for card in (ESPEAK, INDEXTTS_25)},
    default_model="espeak",
    uploads={"anna": "d1", "bob": "d2"},
    signs_webhooks=False,
    allow=(),
    retention_s=3600,
)


def admitted(**request: Any) -> Order:
    return CATALOG.admit(JobRequest.model_validate(request))


def refused(**request: Any) -> BadInput:
    with pytest.raises(BadInput) as raised:
        admitted(**request)
    return raised.value


def test_a_job_keeps_its_markup_as_it_was_written(api: httpx.Client, backstage: Backstage) -> None:
    text = "<speak>One.<break time='1s'/> Two.</speak>"
    job = api.post("/v1/jobs", json={"input": text, "markup": "ssml"}).json()
    assert backstage.spec(job["id"]).markup == "ssml"
    assert read_text(admitted(input=text, markup="ssml").text)[0].input == text


def test_a_wrong_element_is_refused_with_chapter_line_column_and_what_there_is(api: httpx.Client) -> None:
    chapters = [{"input": "<speak>Fine.</speak>"}, {"input": "<speak>\n <emphasis>No</emphasis></speak>"}]
    answer = api.post("/v1/jobs", json={"chapters": chapters, "markup": "ssml"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_markup")
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["position"]) == ("/chapters/1/input", 9)
    assert error["message"].startswith(
        "chapter 2, line 2, column 2: <emphasis> is not read here; there are speak, p, s"
    )


def test_text_without_markup_may_hold_brackets_and_angles() -> None:
    assert admitted(input="<speak> [voice:eve] <<CHAPTER_MARKER:One>>").spec.markup == "none"


def test_a_cast_gives_its_names_to_markup_and_chapters_and_the_narrator_the_rest() -> None:
    cast = {"narrator": "anna", "eve": "bob"}
    order = admitted(
        model="indextts-2.5", markup="tags", voices=cast,
        chapters=[{"input": "A. [voice:eve]B."}, {"input": "C.", "voice": "eve"}],
    )  # fmt: skip
    assert (order.spec.voice, order.spec.voices) == ("anna", cast)
    assert order.spec.uploads == {"anna": "d1", "bob": "d2"}
    assert (order.spec.speaker("eve"), order.spec.speaker(None)) == (("d2", True), ("d1", True))


def test_a_voice_of_the_markup_is_kept_as_it_is_now() -> None:
    order = admitted(model="indextts-2.5", voice="anna", markup="tags", input="A. [voice:bob]B.")
    assert order.spec.uploads == {"anna": "d1", "bob": "d2"}


@pytest.mark.parametrize(
    ("request_", "pointer", "why"),
    [
        ({"input": "a", "voices": {"eve": "nobody"}}, "/voices/eve", "has no voice 'nobody'"),
        ({"input": "a", "voice": "de", "voices": {"narrator": "de"}}, "/voice", "leave voice out, or that"),
        ({"input": "[voice:eve]a", "markup": "tags", "voices": {"ada": "de"}}, "/input", "the cast has ada"),
        ({"input": "a [rate:0.6]b", "markup": "tags", "speed": 0.5}, "/input", "makes a speed of 0.3"),
        ({"input": "[emotion:sad]a", "markup": "tags"}, "/input", "model 'espeak' does not honour emotion"),
        ({"chapters": [{"input": "a", "voice": "eve"}], "voices": {"ada": "de"}}, "/chapters/0/voice", "voice 'eve'"),
    ],
)  # fmt: skip
def test_what_a_job_can_not_have_is_refused_by_its_field(request_: dict[str, Any], pointer: str, why: str) -> None:
    fault = refused(**request_)
    assert fault.fields[0].pointer == pointer
    assert why in fault.message


def test_chapter_markers_make_chapters_with_the_settings_of_theirs() -> None:
    text = "Before.\n\n<<CHAPTER_MARKER:One>>First.\n\n<<CHAPTER_MARKER:Two>>\nA heading\n\nSecond."
    order = admitted(
        markup="tags", chapters=[{"title": "Book", "input": text, "voice": "de", "headings": [text.index("A h")]}]
    )
    chapters = read_text(order.text)
    assert [(each.title, each.input.strip()[:9], each.voice) for each in chapters] == [
        ("Book", "Before.", "de"), ("One", "First.", "de"), ("Two", "A heading", "de"),
    ]  # fmt: skip
    assert [each.headings for each in chapters] == [[], [], [1]]


def test_places_count_from_the_input_and_not_from_a_marker() -> None:
    text = "<<CHAPTER_MARKER:One>>Fine.\n<<CHAPTER_MARKER:Two>>\n[voice:eve]x"
    fault = refused(input=text, markup="tags")
    assert fault.fields[0].position == text.index("[voice:eve]")
    assert fault.message.startswith("line 3, column 1: ")


def test_a_chapter_with_a_target_is_not_cut_by_markers() -> None:
    text = "A. <<CHAPTER_MARKER:One>>B."
    fault = refused(
        model="indextts-2.5", voice="anna", markup="tags", chapters=[{"input": text, "target_duration_ms": 9000}]
    )
    assert "can't be cut by markers" in fault.message


def test_a_mark_of_pronunciation_in_markup_is_refused_by_its_place_in_the_input() -> None:
    text = "<speak>a &lt;行|XIN&gt; b</speak>"
    fault = refused(model="indextts-2.5", voice="anna", markup="ssml", input=text)
    assert fault.fields[0].position == text.index("&lt;")
    assert "the mark '<行|XIN>' says" in fault.message


def test_a_document_is_no_ssml() -> None:
    request = JobRequest.model_validate({"document": {"id": "doc_" + "a" * 26}, "markup": "ssml"})
    with pytest.raises(BadInput, match="no SSML; leave markup out, or give tags"):
        CATALOG.admit(request.model_copy(update={"chapters": JobRequest(chapters=[{"input": "a"}]).chapters}))  # type: ignore[list-item]


def test_the_faults_of_many_chapters_are_a_dozen_at_most() -> None:
    assert len(refused(markup="ssml", chapters=[{"input": "<a/>"}] * 50).fields) == 12


@pytest.mark.parametrize(("markup", "mark"), [("ssml", "<s>a</s>"), ("tags", "a[pause:1]")])
def test_more_marks_than_a_job_may_have_are_refused_before_they_are_read(
    markup: str, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.markup.read", lambda *_: pytest.fail("the text was read"))
    fault = refused(markup=markup, chapters=[{"input": f"<speak>{mark * 60_000}</speak>"}] * 2)
    assert (fault.code, fault.fields[0].pointer) == ("too_many_marks", "/chapters")


def test_a_batch_with_more_marks_than_it_may_have_is_refused_by_the_first_line_beyond(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.batch_orders.MAX_BATCH_MARKS", 3)
    jobs = [{"input": "a [pause:1s] b [pause:1s] c"}] * 3
    answer = api.post("/v1/batches", json={"jobs": jobs, "defaults": {"markup": "tags"}})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (413, "/jobs/2")
    assert api.post("/v1/batches", json={"jobs": jobs[:2], "defaults": {"markup": "tags"}}).status_code == 202


def test_a_batch_has_markup_and_names_its_faults(api: httpx.Client) -> None:
    jobs = [{"input": "[pause:1s] a [pause:1s] b"}, {"input": "c"}]
    answer = api.post("/v1/batches", json={"jobs": jobs, "defaults": {"markup": "tags"}})
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["position"]) == ("/jobs/0/input", 0)
    jobs[0]["input"] = "a [pause:1s] b"
    assert api.post("/v1/batches", json={"jobs": jobs, "defaults": {"markup": "tags"}}).status_code == 202
