from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from farm.job import ENDED, Status
from farm.spec import Spec
from farm.wire import (
    MAX_BATCH_JOBS,
    MAX_CHARACTERS,
    BatchRequest,
    Job,
    JobEdit,
    JobRequest,
    Label,
    Pauses,
    Text,
    speakable,
)

Way = Callable[[dict[str, Any]], JobRequest]


def from_json(fields: dict[str, Any]) -> JobRequest:
    return JobRequest.model_validate_json(json.dumps(fields))


@pytest.fixture(params=[JobRequest.model_validate, from_json], ids=["python", "json"])
def read(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]


def refusal(read: Way, **fields: Any) -> tuple[str, str]:
    """Where the only fault lies, as a path, and what is said about it."""
    with pytest.raises(ValidationError) as raised:
        read({"input": "Hello.", **fields} if "chapters" not in fields else fields)
    (fault,) = raised.value.errors(include_url=False)
    return "/".join(map(str, fault["loc"])), fault["msg"]


# --- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Hello.", "a\tb\r\nc\vd\fe\x85f\u2028g", "👩\u200d👩\u200d👧", "\u200bx", "\ue000"])
def test_text_that_can_be_spoken_is_taken_as_it_is(read: Way, text: str) -> None:
    assert read({"input": text}).input == text


def test_5_000_000_characters_are_taken(read: Way) -> None:
    assert len(read({"input": "x" * MAX_CHARACTERS}).input or "") == MAX_CHARACTERS


@pytest.mark.parametrize("text", ["", " ", "\n\t\r\n", "\u3000\xa0\u2029"])
def test_blank_text_is_refused(read: Way, text: str) -> None:
    assert refusal(read, input=text) == ("input", "Value error, is blank; there is nothing to speak")


@pytest.mark.parametrize("code", [0x00, 0x07, 0x08, 0x0E, 0x1B, 0x1C, 0x1F, 0x7F, 0x84, 0x86, 0x9F])
def test_a_control_character_is_refused_with_its_name_and_position(read: Way, code: int) -> None:
    where, message = refusal(read, input=f"ab{chr(code)}c{chr(code)}")
    assert where == "input"
    assert f"the control character U+{code:04X} at character 2; remove it" in message


def test_text_of_control_characters_alone_is_refused_for_them(read: Way) -> None:
    assert "U+0001 at character 0" in refusal(read, input="\x01" * 100)[1]


@pytest.mark.parametrize("code", [0xD800, 0xDBFF, 0xDC00, 0xDFFF])
def test_a_lone_surrogate_is_refused_with_its_position(code: int) -> None:
    where, message = refusal(JobRequest.model_validate, input=f"abc{chr(code)}")
    assert where == "input"
    assert f"a lone surrogate (U+{code:04X}) at character 3; send valid Unicode" in message


@pytest.mark.parametrize("field", ["input", "custom_id", "voice"])
def test_a_lone_surrogate_in_json_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match="Invalid JSON"):
        JobRequest.model_validate_json(f'{{"input":"Hello.","{field}":"a\\ud800b"}}')


def test_bytes_that_are_no_unicode_are_no_json() -> None:
    with pytest.raises(ValidationError, match="Invalid JSON"):
        JobRequest.model_validate_json(b'{"input":"\xff\xfe"}')


def test_5_000_001_characters_are_refused(read: Way) -> None:
    where, message = refusal(read, input="x" * (MAX_CHARACTERS + 1))
    assert where == "input"
    assert "at most 5000000 characters" in message


@pytest.mark.parametrize("value", [None, 5, ["Hello."], {"text": "Hello."}, True])
def test_unspeakable_text_is_refused(read: Way, value: object) -> None:
    with pytest.raises(ValidationError):
        read({"input": value})


def test_every_character_is_either_spoken_or_refused_by_name() -> None:
    for code in range(0x3000):
        text = f"a{chr(code)}"
        if chr(code) in "\t\n\v\f\r\x85" or not (code < 0x20 or 0x7F <= code < 0xA0):
            assert speakable(text) == text
        else:
            with pytest.raises(ValueError, match=f"U\\+{code:04X} at character 1"):
                speakable(text)


def test_a_title_takes_every_character_of_every_script_and_refuses_controls_by_name(read: Way) -> None:
    """Spaces of all widths, joiners, directions, private and unassigned characters stand in titles of real books."""
    for code in (*range(0x3100), *range(0xFE00, 0x10000), 0x1F600, 0x1FAE8, 0xE0067, 0x10FFFD):
        title = f"a{chr(code)}"
        fields = {"chapters": [{"title": title, "input": "Hello."}], "custom_id": title}
        if code < 0x20 or 0x7F <= code < 0xA0:
            with pytest.raises(ValidationError, match=f"U\\+{code:04X} at character 1"):
                read(fields)
        else:
            request = read(fields)
            assert (request.parts()[0].title, request.custom_id) == (title, title)


# --- input or chapters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["Text", "Label"])
def test_the_pattern_in_the_document_takes_what_the_farm_takes(shape: str) -> None:
    """Of every character alone and between others. A surrogate can't stand in a document, and is no character."""
    types = {"Text": Text, "Label": Label}
    taken: TypeAdapter[str] = TypeAdapter(types[shape])
    pattern = re.compile(taken.json_schema()["pattern"].removesuffix("$") + r"\Z")  # $ of JavaScript, and of Rust
    characters = [chr(code) for code in (*range(0x3100), *range(0xFE00, 0x10000), 0x1F600, 0x10FFFD)]
    for text in ("", " ", "\n \n", *characters, *(f"a{character}b" for character in characters)):
        assert bool(pattern.search(text)) == _is_taken(taken, text), repr(text)


def _is_taken(type: TypeAdapter[str], text: str) -> bool:
    try:
        type.validate_python(text)
    except ValidationError:
        return False
    return True


def test_a_job_without_chapters_is_one_part_without_a_title(read: Way) -> None:
    (part,) = read({"input": "Hello."}).parts()
    assert (part.title, part.input, part.voice) == ("", "Hello.", None)


def test_a_job_has_either_input_or_chapters(read: Way) -> None:
    for fields in ({}, {"input": "a", "chapters": [{"input": "b"}]}, {"input": None, "chapters": None}):
        with pytest.raises(ValidationError, match="give one of input, chapters and document"):
            read(fields)


def test_faults_within_a_chapter_name_its_number(read: Way) -> None:
    good = {"input": "Hello."}
    assert refusal(read, chapters=[good, {"input": " "}])[0] == "chapters/1/input"
    assert refusal(read, chapters=[good, good, {"input": "a\x00"}])[0] == "chapters/2/input"
    assert refusal(read, chapters=[{"input": "a", "title": "b\nc"}])[0] == "chapters/0/title"
    assert refusal(read, chapters=[{"input": "a", "language": "de"}])[0] == "chapters/0/language"
    assert refusal(read, chapters=[{"title": "a"}])[0] == "chapters/0/input"


def test_no_chapters_and_too_many_are_refused(read: Way) -> None:
    assert refusal(read, chapters=[])[0] == "chapters"
    assert refusal(read, chapters=[{"input": "a"}] * 2001)[0] == "chapters"


def test_chapters_share_the_limit_of_a_job(read: Way) -> None:
    with pytest.raises(ValidationError, match="more than 5,000,000 characters; split the job"):
        read({"chapters": [{"input": "x" * (MAX_CHARACTERS // 2 + 1)}] * 2})


# --- numbers and names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", ["speed", "pitch"])
def test_numbers_that_are_not_finite_are_refused(read: Way, field: str, value: float) -> None:
    assert refusal(read, **{field: value}) == (field, "Input should be a finite number")


@pytest.mark.parametrize("value", ["false", "true", '"1"'])
@pytest.mark.parametrize(
    ("model", "body"),
    [
        (JobEdit, '{"left_out": [%s]}'),
        (JobEdit, '{"segments": [{"index": %s, "text": "x"}]}'),
        (JobRequest, '{"chapters": [{"input": "One.", "headings": [%s]}]}'),
    ],
)
def test_a_number_is_neither_a_truth_nor_a_text(model: type[JobEdit | JobRequest], body: str, value: str) -> None:
    model.model_validate_json(body % "1")
    with pytest.raises(ValidationError, match="should be a number"):
        model.model_validate_json(body % value)


def test_a_number_too_large_to_be_written_is_not_finite() -> None:
    with pytest.raises(ValidationError, match="finite"):
        JobRequest.model_validate_json('{"input":"Hello.","speed":1e999}')


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("speed", {"speed": 0.49}),
        ("speed", {"speed": 2.01}),
        ("speed", {"speed": "fast"}),
        ("pitch", {"pitch": -12.1}),
        ("pitch", {"pitch": 13}),
        ("seed", {"seed": -1}),
        ("seed", {"seed": 2**32}),
        ("seed", {"seed": 1.5}),
        ("target_duration_ms", {"target_duration_ms": 99}),
        ("target_duration_ms", {"target_duration_ms": 86_400_001}),
        ("target_duration_ms", {"target_duration_ms": 1500.5}),
        ("chapters/0/target_duration_ms", {"chapters": [{"input": "a", "target_duration_ms": 0}]}),
        ("normalize", {"normalize": "never"}),
        ("expires_after", {"expires_after": 59}),
        ("expires_after", {"expires_after": 31_536_001}),
        ("output/pause_ms/segment", {"output": {"pause_ms": {"segment": -1}}}),
        ("output/pause_ms/chapter", {"output": {"pause_ms": {"chapter": 60_001}}}),
        ("output/loudness_lufs", {"output": {"loudness_lufs": 0}}),
        ("output/loudness_lufs", {"output": {"loudness_lufs": float("nan")}}),
        ("output/sample_rate", {"output": {"sample_rate": 22_000}}),
        ("emotion/strength", {"emotion": {"strength": 1.1}}),
        ("emotion/vector", {"emotion": {"vector": [0.1] * 7}}),
        ("emotion/vector/0", {"emotion": {"vector": [-0.1] + [0.1] * 7}}),
        ("emotion/vector/7", {"emotion": {"vector": [0.1] * 7 + [float("nan")]}}),
    ],
)
def test_numbers_out_of_range_are_refused_by_their_field(read: Way, path: str, fields: dict[str, Any]) -> None:
    assert refusal(read, **fields)[0] == path


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("output/format", {"output": {"format": "aac"}}),
        ("output/subtitles/0", {"output": {"subtitles": ["ass"]}}),
        ("priority", {"priority": "urgent"}),
        ("on_error", {"on_error": "ignore"}),
        ("language", {"language": "english"}),
        ("language", {"language": "e"}),
        ("language", {"language": "en_US"}),
        ("language", {"language": "en\n"}),
        ("voice", {"voice": ""}),
        ("voice", {"voice": "../x"}),
        ("voice", {"voice": "a" * 65}),
        ("voice", {"voice": "a\n"}),
        ("model", {"model": "a b"}),
        ("custom_id", {"custom_id": "a\x00"}),
        ("custom_id", {"custom_id": "a" * 201}),
    ],
)
def test_names_that_can_be_none_are_refused_by_their_field(read: Way, path: str, fields: dict[str, Any]) -> None:
    assert refusal(read, **fields)[0] == path


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("sped", {"sped": 1}),
        ("output/codec", {"output": {"codec": "mp3"}}),
        ("output/pause_ms/word", {"output": {"pause_ms": {"word": 1}}}),
        ("emotion/joy", {"emotion": {"joy": 1}}),
        ("webhook/secret", {"webhook": {"url": "https://a.test/", "secret": "x"}}),
    ],
)
def test_unknown_fields_are_refused_by_name_at_every_depth(read: Way, path: str, fields: dict[str, Any]) -> None:
    assert refusal(read, **fields) == (path, "Extra inputs are not permitted")


def test_metadata_is_small(read: Way) -> None:
    assert refusal(read, metadata={str(number): "" for number in range(17)})[0] == "metadata"
    assert refusal(read, metadata={"a": "b" * 501})[0] == "metadata/a"
    assert refusal(read, metadata={"a" * 65: "b"})[0].startswith("metadata/")
    assert refusal(read, metadata={"a": 1})[0] == "metadata/a"


# --- webhooks and batches ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a.test/", "gopher://a.test", "//a.test/", "a.test", "", "http://"]
)
def test_a_webhook_goes_to_an_http_url_and_nowhere_else(read: Way, url: str) -> None:
    assert refusal(read, webhook={"url": url})[0] == "webhook/url"


def test_a_webhooks_url_has_at_most_2000_characters(read: Way) -> None:
    where, message = refusal(read, webhook={"url": "https://a.test/" + "b" * 2000})
    assert (where, message) == ("webhook/url", "URL should have at most 2000 characters")


def test_a_webhook_hears_of_known_events_and_of_at_least_one(read: Way) -> None:
    assert refusal(read, webhook={"url": "https://a.test/", "events": []})[0] == "webhook/events"
    assert refusal(read, webhook={"url": "https://a.test/", "events": ["job.started"]})[0] == "webhook/events/0"


@pytest.mark.parametrize("count", [0, MAX_BATCH_JOBS + 1])
def test_a_batch_has_a_job_and_at_most_50000(count: int) -> None:
    with pytest.raises(ValidationError, match="jobs"):
        BatchRequest.model_validate({"jobs": [{}] * count})


def test_a_batchs_defaults_are_checked_like_a_jobs_fields() -> None:
    with pytest.raises(ValidationError, match=r"defaults\.speed"):
        BatchRequest.model_validate({"jobs": [{}], "defaults": {"speed": 9}})
    with pytest.raises(ValidationError, match=r"defaults\.input"):
        BatchRequest.model_validate({"jobs": [{}], "defaults": {"input": "Hello."}})


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_request_survives_its_own_json(read: Way) -> None:
    asked = read({
        "chapters": [{"title": "One", "input": "Grüße\n\n世界 👍🏽", "voice": "de"}], "speed": 1.25, "priority": "bulk",
        "output": {"format": "opus", "subtitles": ["vtt"], "pause_ms": {"segment": 0}}, "metadata": {"a": "b"},
        "webhook": {"url": "https://a.test/x?y=1"},
    })  # fmt: skip
    assert JobRequest.model_validate_json(asked.model_dump_json()) == asked
    assert asked.output.pause_ms == Pauses(segment=0)


def test_requests_can_not_be_changed_once_read(read: Way) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(read({"input": "Hello."}), "speed", 2.0)  # noqa: B010


def test_every_status_that_has_ended_is_ended_to_a_client() -> None:
    for status in Status:
        fields: dict[str, Any] = {"status": status}
        assert Job.model_construct(**fields).ended == (status in ENDED)


def test_a_default_is_not_made_anew_for_each_request() -> None:
    """Pydantic would copy it, field by field, at each look at a job."""
    one, other = (JobRequest(input=text) for text in ("One.", "Two."))
    assert one.output is other.output
    stored = [Spec.model_validate_json('{"language":"en","voice":"en-us"}') for _ in range(2)]
    assert stored[0].output is stored[1].output
