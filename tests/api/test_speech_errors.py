"""What the official client of OpenAI's API makes of each refusal, and what a request may say beside its text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from api.speech import narration, studio
from api.speech import request as speech_request
from api.speech.aliases import MODELS, VOICES
from farm.errors import Misconfigured
from farm.settings import Settings
from farm.spec import Spec
from farm.store import Store, jobs, registry
from farm.stored import StoredVoice
from tests.api.backstage import Backstage
from tests.api.conftest import Served, client_of
from tests.api.stage import Stage
from tests.api.test_access import make_key

LINE = {"model": "espeak", "voice": "en-us", "input": "One."}

REFUSALS: dict[str, tuple[dict[str, Any], type[openai.APIStatusError], str | None, str, str]] = {
    "a model that is not known": (
        {"model": "tts-9"}, openai.NotFoundError, "model", "model_not_found", "known: espeak, indextts-2",
    ),
    "a voice that is not known": (
        {"voice": "nobody"}, openai.BadRequestError, "voice", "unknown_voice", "it has en-us, en-gb, de",
    ),
    "a voice that can't be one": (
        {"voice": "My Voice!"}, openai.BadRequestError, "voice", "unknown_voice", "it has en-us, en-gb, de",
    ),
    "a text without words": ({"input": " "}, openai.BadRequestError, "input", "invalid_request", "blank"),
    "a speed beyond the farm's": ({"speed": 4.0}, openai.BadRequestError, "speed", "invalid_request", "equal to 2"),
    "a format that there is not": (
        {"response_format": "midi"}, openai.BadRequestError, "response_format", "invalid_request", "'mp3', 'opus'",
    ),
    "instructions for a model without emotion": (
        {"instructions": "Cheerful."}, openai.BadRequestError, "instructions", "not_honoured", "leave them out",
    ),
    "a seed for a model without one": (
        {"extra_body": {"seed": 3}}, openai.BadRequestError, "seed", "not_honoured", "honours speed, pitch",
    ),
    "a language that no model speaks": (
        {"extra_body": {"language": "tlh"}}, openai.BadRequestError, "language", "unknown_language", "en-us, en-gb",
    ),
    "a text beyond the limit of a job": (
        {"input": "x" * 5_000_001}, openai.BadRequestError, "input", "invalid_request", "5000000",
    ),
    "a body beyond every limit": (
        {"input": "x" * 10_000_001}, openai.APIStatusError, None, "too_large", "10,000,000 bytes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_client_hears_the_reason_the_field_and_the_code_of(openai_client: openai.OpenAI, refusal: str) -> None:
    given, kind, param, code, words = REFUSALS[refusal]
    with pytest.raises(kind, match=words) as refused:
        openai_client.audio.speech.create(**{**LINE, **given})
    error = refused.value
    assert (error.param, error.code, error.type) == (param, code, "invalid_request_error")
    assert error.status_code == {openai.NotFoundError: 404, openai.BadRequestError: 400}.get(kind, 413)
    assert error.response.headers["content-type"] == "application/problem+json"
    problem = error.response.json()
    assert (problem["status"], problem["retryable"]) == (error.status_code, False)
    assert param is None or code == "model_not_found" or problem["errors"][0]["pointer"] == f"/{param}"


def test_aac_without_its_encoder_names_the_extra_and_the_other_formats(
    openai_client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_request, "find_spec", lambda name: None)
    with pytest.raises(openai.BadRequestError, match=r"tts-farm\[aac\].* mp3, wav, flac, opus, pcm") as refused:
        openai_client.audio.speech.create(**LINE, response_format="aac")
    assert refused.value.param == "response_format"


def test_a_wrong_key_is_an_authentication_error(store: Store, served: Callable[..., Served]) -> None:
    make_key(store, "ann", "ann")
    server = served()
    with client_of(server, "farm_nobody") as client, pytest.raises(openai.AuthenticationError) as refused:
        client.audio.speech.create(**LINE)
    assert (refused.value.code, refused.value.type) == ("invalid_api_key", "authentication_error")
    with client_of(server, "farm_ann") as client, pytest.raises(openai.NotFoundError):
        client.audio.speech.create(**{**LINE, "model": "no"})


def test_a_farm_without_keys_takes_whatever_key_such_a_client_has_to_send(session_api: Served, store: Store) -> None:
    with client_of(session_api, "sk-anything") as client:
        assert [model.id for model in client.models.list()] == ["espeak", "indextts-2"]
    answer = httpx.get(f"{session_api.url}/v1/jobs", headers={"Authorization": "Bearer sk-anything"}, trust_env=False)
    assert answer.status_code == 401


def test_more_requests_than_places_are_a_rate_limit_error(
    openai_client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    monkeypatch.setattr(studio, "MOST_STREAMS", 0)
    with pytest.raises(openai.RateLimitError) as refused:
        openai_client.audio.speech.create(**LINE)
    assert (refused.value.code, refused.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert int(refused.value.response.headers["retry-after"]) <= 120
    assert store.run(jobs.page("default")) == []


def test_a_place_is_free_again_after_each_request(
    openai_client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    monkeypatch.setattr(studio, "MOST_STREAMS", 1)
    with stage.rendering():
        for text in ("One.", "Two."):
            openai_client.audio.speech.create(**{**LINE, "input": text})


def test_a_farm_without_a_worker_is_unavailable_and_worth_another_try(served: Callable[..., Served]) -> None:
    with client_of(served(model="not-there-yet")) as client:
        with pytest.raises(openai.InternalServerError, match="no render worker") as refused:
            client.audio.speech.create(**{**LINE, "model": "tts-1"})
    assert (refused.value.status_code, refused.value.code) == (503, "model_not_ready")
    assert "retry-after" in refused.value.response.headers
    assert "x-should-retry" not in refused.value.response.headers


def upload(store: Store, name: str) -> None:
    """What is left of an upload; its recording is not needed here."""
    assert store.run(registry.put_voice("default", name, StoredVoice(digest="d1", consent="true").to_json()))


# --- what is said beside the text -------------------------------------------------------------------------------------


@pytest.fixture
def accepted(openai_client: openai.OpenAI, stage: Stage, store: Store) -> Iterator[Callable[..., Spec]]:
    """Speaks, and gives the spec of the job."""

    def speak(**fields: Any) -> Spec:
        answer = openai_client.audio.speech.create(**{**LINE, **fields})
        record = store.run(jobs.record(answer.response.headers["x-farm-job"]))
        assert record is not None
        return Spec.model_validate_json(record.spec)

    with stage.rendering():
        yield speak


@pytest.mark.parametrize("model", MODELS)
def test_openai_names_of_models_mean_the_default_model(accepted: Callable[..., Spec], model: str) -> None:
    assert accepted(model=model).voice == "en-us"


@pytest.mark.parametrize("voice", VOICES)
def test_openai_names_of_voices_mean_the_voice_of_the_language(accepted: Callable[..., Spec], voice: str) -> None:
    assert accepted(voice=voice).voice == "en-us"
    assert accepted(voice=voice, extra_body={"language": "de"}).voice == "de"


def test_a_voice_may_be_named_by_an_object_with_its_id(accepted: Callable[..., Spec]) -> None:
    assert accepted(voice={"id": "en-gb"}).voice == "en-gb"


def test_speed_and_members_of_our_own_reach_the_job(accepted: Callable[..., Spec]) -> None:
    spec = accepted(speed=1.5, extra_body={"language": "de", "voice": "de"})
    assert (spec.manner.speed, spec.language, spec.voice) == (1.5, "de", "de")


def test_members_that_are_null_count_as_absent(api: httpx.Client, stage: Stage) -> None:
    nothing = dict.fromkeys(("voice", "model", "instructions", "speed", "seed", "emotion", "response_format"))
    with stage.rendering():
        answer = api.post("/v1/audio/speech", json={**nothing, "input": "One."})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/mpeg")
    assert "x-farm-ignored" not in answer.headers


def test_members_of_other_servers_are_taken_and_named(openai_client: openai.OpenAI, stage: Stage) -> None:
    others = {"stream": True, "lang_code": "a", "normalization_options": {"x": 1}, "täg\r\nSet-Cookie: a=b": 1}
    with stage.rendering():
        answer = openai_client.audio.speech.create(**LINE, extra_body=others)
    assert answer.response.headers["x-farm-ignored"] == (
        "lang_code, normalization_options, stream, t%C3%A4g%0D%0ASet-Cookie: a=b"
    )
    assert "set-cookie" not in answer.response.headers


def test_the_setting_maps_names_to_models_and_voices(
    served: Callable[..., Served], store: Store, backstage: Backstage, stage: Stage
) -> None:
    with client_of(served(speech_aliases={"alloy": "en-gb", "butler": "en-gb", "tts-1": "gone"})) as client:
        with stage.rendering():
            for voice in ("alloy", "butler", "echo"):
                client.audio.speech.create(**{**LINE, "voice": voice})
        specs = [Spec.model_validate_json(job.spec) for job in store.run(jobs.page("default"))]
        assert [spec.voice for spec in specs] == ["en-us", "en-gb", "en-gb"]
        with pytest.raises(openai.NotFoundError, match="FARM_SPEECH_ALIASES maps 'tts-1' to 'gone'"):
            client.audio.speech.create(**{**LINE, "model": "tts-1"})


def test_a_voice_of_the_farm_goes_before_an_alias_of_that_name(
    api: httpx.Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(store, "alloy")
    body = {"model": "indextts-2", "voice": "alloy", "input": "One.", "instructions": "  Warm,\n and slow. "}
    monkeypatch.setattr(narration, "LONGEST_SILENCE", 0.1)  # there is no worker of this model
    assert api.post("/v1/audio/speech", json=body).json()["error"]["code"] == "no_audio"
    (job,) = store.run(jobs.page("default"))
    spec = Spec.model_validate_json(job.spec)
    assert spec.speaker()[1]
    assert spec.manner.emotion == '{"strength":1.0,"text":"Warm, and slow."}'


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"instructions": "x" * 201}, "/instructions"),
        ({"instructions": "Warm.", "emotion": {"text": "Cold."}}, "/instructions"),
        ({"emotion": {"vector": [1, 2]}}, "/emotion/vector/1"),
        ({"emotion": {"voice": "nobody"}}, "/emotion/voice"),
    ],
)
def test_a_manner_that_the_model_could_not_follow_is_refused(
    api: httpx.Client, store: Store, given: Any, field: str
) -> None:
    upload(store, "anna")
    answer = api.post("/v1/audio/speech", json={"model": "indextts-2", "voice": "anna", "input": "One.", **given})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, field)


@pytest.mark.parametrize("wrong", ["alloy", "alloy=", "=de", "alloy=de,,x"])
def test_a_malformed_setting_is_told_at_the_start(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_SPEECH_ALIASES", wrong)
    with pytest.raises(Misconfigured, match=r"FARM_SPEECH_ALIASES: .*write name=meaning"):
        Settings.read()


def test_the_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_SPEECH_ALIASES", " alloy = anna, tts-1=indextts-2 ,")
    assert Settings.read().speech_aliases == {"alloy": "anna", "tts-1": "indextts-2"}
