"""What a job may ask of its speech beyond a voice: languages, normalisation, durations and pronunciations, each of the
models that honour it and of no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from api.admission import Catalog
from farm.errors import BadInput
from farm.speech import PARAMETERS, Parameter
from farm.store import registry
from farm.text_document import read_text
from farm.wire import JobRequest
from tests.api.backstage import ESPEAK, INDEXTTS, INDEXTTS_25, Backstage

MUTE = INDEXTTS.model_copy(update={"name": "mute", "parameters": []})
ABLE = INDEXTTS.model_copy(update={"name": "able", "parameters": list(Parameter)})
TIMED = ESPEAK.model_copy(update={"name": "timed", "parameters": ["speed", "duration"]})
CATALOG = Catalog(
    cards={card.name: card for card in (ESPEAK, INDEXTTS, INDEXTTS_25, MUTE, ABLE, TIMED)},
    default_model="indextts-2.5",
    uploads={"anna": "d1"},
    signs_webhooks=False,
    allow=(),
    retention_s=3600,
)


@pytest.fixture
def farm(serve: Callable[..., httpx.Client], backstage: Backstage) -> httpx.Client:
    """An API that sees all these models, and a voice."""
    for card in CATALOG.cards.values():
        backstage.store.run(registry.announce(card.name, card.model_dump_json()))
    backstage.store.run(registry.put_voice("default", "anna", '{"digest":"d1"}'))
    return serve()


def admitted(**request: Any) -> Any:
    asked = {"voice": "anna"} | ({} if "chapters" in request else {"input": "Hello."}) | request
    return CATALOG.admit(JobRequest.model_validate(asked))


def refused(**request: Any) -> BadInput:
    with pytest.raises(BadInput) as raised:
        admitted(**request)
    return raised.value


def pointers(fault: BadInput) -> list[str]:
    return [field.pointer for field in fault.fields]


# --- languages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["yue", "ZHEN", "de", "eng-GB", "sp"])
def test_an_unknown_language_is_refused_with_the_known_ones(language: str) -> None:
    fault = refused(language=language)
    assert (fault.code, pointers(fault)) == ("unknown_language", ["/language"])
    assert "it speaks zh, en, ja, es, ar" in fault.message


@pytest.mark.parametrize(
    ("asked", "spoken"), [("en-US", "en"), ("ZH", "zh"), ("zh-Hans-CN", "zh"), ("es-419", "es"), (None, "en")]
)
def test_a_region_is_spoken_as_its_language(asked: str | None, spoken: str) -> None:
    assert admitted(language=asked).spec.language == spoken


# --- normalisation ----------------------------------------------------------------------------------------------------


def test_normalize_false_is_accepted_by_models_that_honour_it() -> None:
    assert admitted(normalize=False).spec.manner.normalize is False
    assert admitted().spec.manner.normalize is True


@pytest.mark.parametrize("model", ["espeak", "indextts-2"])
def test_a_model_that_always_normalises_refuses_not_to(model: str) -> None:
    fault = refused(model=model, normalize=False, voice="anna" if model == "indextts-2" else "de")
    assert (fault.code, pointers(fault)) == ("not_honoured", ["/normalize"])
    assert admitted(model=model, normalize=True, voice=None if model == "espeak" else "anna")


# --- seeds ------------------------------------------------------------------------------------------------------------


def test_a_model_without_random_numbers_refuses_a_seed() -> None:
    fault = refused(model="espeak", voice=None, seed=7)
    assert (fault.code, pointers(fault)) == ("not_honoured", ["/seed"])
    assert "does not honour seed; it honours speed, pitch" in fault.message
    assert admitted(model="espeak", voice=None, seed=0).spec.manner.seed == 0
    assert admitted(model="indextts-2", seed=7).spec.manner.seed == 7


# --- every parameter --------------------------------------------------------------------------------------------------

ASKING: dict[Parameter, Any] = {
    Parameter.SPEED: 1.5,
    Parameter.PITCH: 1.0,
    Parameter.SEED: 7,
    Parameter.EMOTION: {"text": "joy"},
    Parameter.NORMALIZE: False,
    Parameter.DURATION: 900,
    Parameter.CHECKS: False,
}


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_a_parameter_is_refused_by_its_field_where_the_model_does_not_honour_it(parameter: Parameter) -> None:
    field = PARAMETERS[parameter].name
    fault = refused(model="mute", **{field: ASKING[parameter]})
    assert (fault.code, pointers(fault)) == ("not_honoured", [f"/{field}"])
    assert admitted(model="able", **{field: ASKING[parameter]})


# --- durations --------------------------------------------------------------------------------------------------------


def test_a_target_of_a_job_goes_with_it_and_those_of_chapters_with_their_text() -> None:
    assert admitted(target_duration_ms=4500).spec.target_duration_ms == 4500
    order = admitted(chapters=[{"input": "One."}, {"input": "Two.", "target_duration_ms": 900}])
    assert order.spec.target_duration_ms is None
    assert [chapter.target_duration_ms for chapter in read_text(order.text)] == [None, 900]


def test_a_model_without_duration_control_refuses_targets_by_their_fields() -> None:
    assert pointers(refused(model="espeak", voice=None, target_duration_ms=900)) == ["/target_duration_ms"]
    chapters = [{"input": "One."}, *[{"input": "Two.", "target_duration_ms": 900}] * 2]
    fault = refused(model="espeak", voice=None, chapters=chapters)
    assert fault.code == "not_honoured"
    assert pointers(fault) == ["/chapters/1/target_duration_ms", "/chapters/2/target_duration_ms"]
    assert "does not honour target_duration_ms; it honours speed, pitch" in fault.message


def test_a_target_and_a_speed_are_too_much() -> None:
    fault = refused(target_duration_ms=900, speed=1.2)
    assert pointers(fault) == ["/target_duration_ms", "/speed"]
    assert "target_duration_ms" in fault.message
    assert "speed" in fault.message
    chapters = [{"input": "One."}, {"input": "Two.", "target_duration_ms": 900}]
    assert pointers(refused(chapters=chapters, speed=1.2)) == ["/chapters/1/target_duration_ms", "/speed"]


def test_a_target_stands_at_the_job_or_at_its_chapters() -> None:
    chapters = [{"input": "One."}, {"input": "Two.", "target_duration_ms": 900}]
    fault = refused(chapters=chapters, target_duration_ms=9000)
    assert pointers(fault) == ["/target_duration_ms", "/chapters/1/target_duration_ms"]


def test_pauses_between_chapters_that_use_up_a_target_are_seen_at_once() -> None:
    chapters = [{"input": "One."}] * 3
    fault = refused(chapters=chapters, target_duration_ms=3000)
    assert pointers(fault) == ["/target_duration_ms", "/output/pause_ms/chapter"]
    assert "take 3000 ms" in fault.message
    assert admitted(chapters=chapters, target_duration_ms=3001)
    assert admitted(chapters=chapters, target_duration_ms=3000, output={"pause_ms": {"chapter": 900}})


def test_silence_before_chapters_and_at_the_end_counts_for_a_target() -> None:
    silence = {"chapter": 0, "before_chapter": 500, "end": 1000}
    fault = refused(chapters=[{"input": "One."}] * 2, target_duration_ms=2000, output={"pause_ms": silence})
    assert "take 2000 ms" in fault.message
    assert admitted(chapters=[{"input": "One."}] * 2, target_duration_ms=2001, output={"pause_ms": silence})


def test_a_field_that_contradicts_a_preset_is_refused_with_both_names() -> None:
    fault = refused(output={"preset": "acx", "format": "m4b", "pause_ms": {"end": 200}})
    assert fault.code == "conflicting_fields"
    assert pointers(fault) == ["/output/preset", "/output/format", "/output/preset", "/output/pause_ms/end"]
    assert "acx needs mp3" in fault.message


def test_a_job_keeps_the_fields_that_its_preset_decides() -> None:
    kept = admitted(output={"preset": "acx", "pause_ms": {"paragraph": 600}}).spec.output
    assert (kept.preset, kept.format, kept.sample_rate, kept.loudness_per) == ("acx", "mp3", 44_100, "chapter")
    assert (kept.pause_ms.paragraph, kept.pause_ms.end) == (600, 1000)


def test_clips_that_are_to_last_a_time_are_not_trimmed() -> None:
    assert pointers(refused(target_duration_ms=900, output={"trim_dbfs": -50})) == [
        *("/target_duration_ms", "/output/trim_dbfs")
    ]


def test_batch_defaults_and_job_fields_are_checked_together(farm: httpx.Client) -> None:
    jobs = [{"input": "One."}, {"input": "Two.", "speed": 1.5}]
    answer = farm.post("/v1/batches", json={"jobs": jobs, "defaults": {"model": "timed", "target_duration_ms": 900}})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/jobs/1/target_duration_ms", "/jobs/1/speed"]


def test_a_result_shows_its_target_and_by_how_much_it_was_missed(api: httpx.Client, backstage: Backstage) -> None:
    job = api.post("/v1/jobs", json={"input": "One."}).json()["id"]
    backstage.succeed(job, target_duration_ms=1600, duration_error_ms=-100)
    result = api.get(f"/v1/jobs/{job}").json()["result"]
    assert (result["target_duration_ms"], result["duration_error_ms"]) == (1600, -100)


def test_segments_show_their_target_while_the_job_runs(farm: httpx.Client, backstage: Backstage) -> None:
    chapters = [{"input": "One."}, {"input": "Two.", "target_duration_ms": 900}]
    job = farm.post("/v1/jobs", json={"chapters": chapters, "model": "timed"}).json()["id"]
    backstage.plan(job)
    assert [row["target_ms"] for row in farm.get(f"/v1/jobs/{job}/segments").json()["data"]] == [None, 900]


def test_speech_parameters_are_kept_with_the_job(farm: httpx.Client, backstage: Backstage) -> None:
    body = {"model": "indextts-2.5", "voice": "anna", "input": "Hello.", "target_duration_ms": 1000, "normalize": False}
    job = farm.post("/v1/jobs", json=body).json()["id"]
    spec = backstage.spec(job)
    assert (spec.target_duration_ms, spec.manner.normalize) == (1000, False)


# --- pronunciation ----------------------------------------------------------------------------------------------------


def test_marks_that_the_model_can_say_are_accepted_as_they_are() -> None:
    text = "他在银<行|XING2>里<行|HANG2>走。"
    assert read_text(admitted(input=text, language="zh").text)[0].input == text


def test_a_mark_that_the_model_can_not_say_is_refused_with_its_place() -> None:
    fault = refused(input="他在银<行|XIN>里。", language="zh")
    assert (fault.code, pointers(fault)) == ("bad_pronunciation", ["/input"])
    assert "'<行|XIN>' at character 3" in fault.message
    assert "tone 1 to 5" in fault.message


def test_marks_of_all_chapters_are_checked() -> None:
    chapters = [
        {"input": "A <minute|M IH1 . N AH0 T>."},
        {"input": "A <minute|M IH>. <minute|M"},
        {"input": "<今日|きょu>"},
    ]
    fault = refused(chapters=chapters)
    assert pointers(fault) == ["/chapters/1/input", "/chapters/1/input", "/chapters/2/input"]


def test_of_very_many_bad_marks_some_are_named() -> None:
    assert len(refused(input="<行|XIN>" * 1000).fields) == 12


@pytest.mark.parametrize(("model", "voice"), [("espeak", None), ("indextts-2", "anna")])
def test_to_a_model_that_reads_no_marks_they_are_text(model: str, voice: str | None) -> None:
    assert admitted(model=model, voice=voice, input="<行|XIN> a < b | c > d")


@pytest.mark.parametrize("text", ["!", "!!!", "¡!", "<|TTS/SP01|> Hello."])
def test_signs_alone_and_commands_are_accepted_for_the_engine_to_settle(text: str) -> None:
    assert admitted(input=text)
