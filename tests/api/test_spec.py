from __future__ import annotations

import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farm.job import Lane
from farm.order import INLINE_BYTES, Order, read_lines, write_lines
from farm.outcome import Rendered, failure, read_outcome, success
from farm.spec import Shared, Spec, merged, patch
from farm.speech import Manner
from farm.stored import StoredVoice
from farm.text_document import StoredChapter, Turn, read_text, write_text
from farm.wire import Chapter, JobError, JobOptions, Output, Webhook

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
chapters = st.lists(
    st.builds(
        StoredChapter.model_construct,
        title=texts | st.just(""),
        input=texts,
        voice=st.none() | texts,
        target_duration_ms=st.none() | st.integers(100, 86_400_000),
        turns=st.just(()) | st.tuples(st.builds(Turn, st.just(0), st.integers(1, 9), texts)),
        left_out=st.booleans(),
    )
)


@given(chapters)
def test_a_text_document_gives_the_chapters_back(parts: list[StoredChapter]) -> None:
    assert read_text(write_text(parts)) == parts
    assert read_text(write_text(parts).encode()) == parts


def order(number: int, text: str = "One.") -> Order:
    spec = Spec(
        language="de",
        voice="anna",
        uploads={"anna": "d1"},
        output=Output(format="wav", subtitles=["srt"]),
        webhook=Webhook.model_validate(
            {"url": "https://example.com/hook", "events": ["job.failed", "batch.completed"]}
        ),
        metadata={"line": str(number)},
    )
    return Order(f"job_{number}", "espeak", Lane.BULK, spec, write_text([Chapter(input=text)]), len(text), 3600)


def test_the_lines_of_a_batch_come_back_from_any_line_on() -> None:
    orders = [order(number, "Zeile\u2028mit Umbruch.") for number in range(5)]
    file = io.BytesIO()
    assert write_lines(iter(orders), file).count == 5
    for skip in range(6):
        file.seek(0)
        assert list(read_lines(file, skip=skip)) == orders[skip:]


OPTIONS = {
    "speed": (1.0, 1.5), "pitch": (0.0, 3.0), "normalize": (True, False), "on_error": ("fail", "skip"),
    "on_review": ("deliver", "fail"),
    "metadata": ({}, {"a": "x" * 300}), "target_duration_ms": (None, 5000),
    "output": (Output(), Output(format="wav")),
    "webhook": (None, Webhook.model_validate({"url": "https://example.com/hook"})),
}  # fmt: skip
some_options = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in OPTIONS.items()})


@given(some_options, st.lists(some_options, min_size=1, max_size=4))
def test_whatever_jobs_share_each_gets_its_own_spec_back(defaults: dict[str, Any], jobs: list[dict[str, Any]]) -> None:
    shared = Shared(JobOptions(**defaults))
    specs, patches = [], []
    for number, own in enumerate(jobs):
        asked = JobOptions(**{**defaults, **own})
        given_fields = {name: getattr(asked, name) for name in set(OPTIONS) - {"speed", "pitch", "normalize"}}
        spec = Spec(language="en", voice=f"voice{number % 2}", manner=Manner.of(asked, emotion=None), **given_fields)
        shared.learn(spec, own.keys())
        specs.append(spec)
        patches.append(patch(spec, shared.fields))
    for spec, early in zip(specs, patches, strict=True):
        for own_part in (early, patch(spec, json.loads(shared.to_json()))):
            assert Spec.model_validate_json(merged(own_part, shared.to_json())) == spec


def test_short_defaults_are_not_shared() -> None:
    assert Shared.of(None) is None
    assert Shared.of(JobOptions(speed=1.5)) is None
    assert Shared.of(JobOptions(metadata={"a": "x" * 300})) is not None


def test_a_spec_comes_back_from_redis_and_is_small_when_nothing_was_asked() -> None:
    spec = order(1).spec
    assert Spec.model_validate_json(spec.to_json()) == spec
    assert len(Spec(language="en-us", voice="en-us").to_json()) < 50


def test_a_spec_of_another_release_can_be_read() -> None:
    assert Spec.model_validate_json('{"language":"de","voice":"de","new_in_2":1}').language == "de"


def test_a_stored_voice_has_every_field_as_the_release_before_expects() -> None:
    voice = StoredVoice(digest="d1", seconds=7.25, created_ms=1_750_000_000_000, notes=["made mono"], consent="Zoë")
    written = '{"digest":"d1","seconds":7.25,"created_ms":1750000000000,"notes":["made mono"],"consent":"Zo\\u00eb"}'
    assert voice.to_json() == written
    assert StoredVoice.model_validate_json(written) == voice
    assert StoredVoice(digest="d1").to_json() == '{"digest":"d1","seconds":0.0,"created_ms":0,"notes":[],"consent":""}'
    assert StoredVoice.model_validate_json('{"digest":"d1","new_in_2":1}').digest == "d1"


def test_a_webhook_is_sent_for_the_ends_that_it_subscribed_to() -> None:
    assert order(1).spec.events == ("failed",)
    assert Spec(language="de", voice="de").events == ()


def test_a_text_is_inline_by_its_bytes() -> None:
    frame = len(write_text([Chapter(input="a")])) - 1
    assert order(1, "a" * (INLINE_BYTES - frame)).inline
    assert not order(1, "a" * (INLINE_BYTES - frame + 1)).inline
    assert not order(1, "ä" * (INLINE_BYTES - frame)).inline


def test_both_outcomes_come_back() -> None:
    rendered = Rendered(
        format="mp3", sample_rate=22050, duration_seconds=1.5, bytes=9, sha256="ab", audio_key="a", manifest_key="m"
    )
    assert read_outcome(success(rendered)) == rendered
    error = JobError(code="segment_failed", message="the engine said no", segment=3)
    assert read_outcome(failure(error)) == error
    assert read_outcome('{"code":"segment_failed","segment":3,"message":"the engine said no"}') == error
