"""The lists of models and voices in the shapes that clients of OpenAI's API read, and the voices that they upload."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import openai
import pytest

from farm.errors import Misconfigured
from farm.settings import Settings
from farm.store import Store
from tests.api.backstage import ESPEAK
from tests.api.test_speech_errors import upload
from tests.api.test_voices import recording


def test_the_client_lists_models_and_keeps_what_we_say_beside(openai_client: openai.OpenAI) -> None:
    found = list(openai_client.models.list())
    assert [(model.id, model.object, model.owned_by) for model in found] == [
        ("espeak", "model", "tts-farm"),
        ("indextts-2", "model", "tts-farm"),
    ]
    assert all(isinstance(model.created, int) for model in found)
    assert found[0].model_extra is not None
    assert found[0].model_extra["languages"].keys() == ESPEAK.languages.keys()


def test_one_model_is_read_by_its_name_or_by_an_alias(openai_client: openai.OpenAI) -> None:
    assert openai_client.models.retrieve("indextts-2").id == "indextts-2"
    assert openai_client.models.retrieve("tts-1-hd").id == "espeak"
    with pytest.raises(openai.NotFoundError, match="known: espeak, indextts-2") as refused:
        openai_client.models.retrieve("gpt-9")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_the_voices_have_the_shape_that_clients_agree_on(api: httpx.Client, store: Store) -> None:
    upload(store, "anna")
    voices = api.get("/v1/audio/voices").json()["voices"]
    assert [voice["id"] for voice in voices] == ["anna", "de", "en-gb", "en-us"]
    assert voices[0] == {
        "id": "anna", "name": "anna", "language": None, "models": ["indextts-2"], "kind": "uploaded",
    }  # fmt: skip
    legacy = api.get("/v1/audio/voices", params={"legacy": "true"}).json()
    assert legacy == {"voices": ["anna", "de", "en-gb", "en-us"]}


def test_the_models_of_open_webui_are_their_names(api: httpx.Client) -> None:
    assert api.get("/v1/audio/models").json() == {"models": [{"id": "espeak"}, {"id": "indextts-2"}]}


def test_the_client_uploads_a_voice_and_deletes_it(openai_client: openai.OpenAI, api: httpx.Client) -> None:
    sample = ("anna.wav", recording(), "audio/wav")
    voice = openai_client.audio.voices.create(name="anna", audio_sample=sample, consent="Anna agreed")
    assert (voice.id, voice.name, voice.object, voice.type) == ("anna", "anna", "audio.voice", "audio_sample")
    assert api.get("/v1/voices/anna").json()["kind"] == "uploaded"
    dropped = openai_client.audio.voices.delete("anna")
    assert (dropped.id, dropped.deleted, dropped.object) == ("anna", True, "audio.voice.deleted")
    with pytest.raises(openai.NotFoundError):
        openai_client.audio.voices.delete("anna")


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"name": "two words"}, "name"),
        ({"consent": "no"}, "consent"),
        ({"audio_sample": ("anna.wav", b"nothing of a recording")}, "audio_sample"),
    ],
)
def test_a_voice_that_is_refused_names_the_field_of_this_route(
    openai_client: openai.OpenAI, given: dict[str, object], param: str
) -> None:
    voice = {"name": "anna", "audio_sample": ("anna.wav", recording()), "consent": "true", **given}
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.audio.voices.create(**voice)  # type: ignore[call-overload]
    assert refused.value.param == param


def test_a_voice_described_by_a_prompt_is_refused_with_a_reason(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="recording") as refused:
        openai_client.audio.voices.create(name="anna", prompt="an old sailor", type="prompt")
    assert refused.value.param == "type"


# --- pages of other sites ---------------------------------------------------------------------------------------------

PAGE = {"Origin": "https://app.example"}
PREFLIGHT = {
    **PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
}


def test_a_page_of_a_listed_site_may_ask_and_read(serve: Callable[..., httpx.Client]) -> None:
    farm = serve(cors_origins=("https://app.example",))
    preflight = farm.options("/v1/audio/speech", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert "x-stainless-lang" in preflight.headers["access-control-allow-headers"]
    answer = farm.post("/v1/audio/speech", json={}, headers={**PAGE, "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 400
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "X-Farm-Job" in answer.headers["access-control-expose-headers"]


def test_a_page_of_another_site_may_not(serve: Callable[..., httpx.Client]) -> None:
    farm = serve(cors_origins=("https://app.example",))
    for path in ("/v1/audio/speech", "/v1/jobs"):
        answer = farm.post(path, json={}, headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


def test_without_the_setting_no_preflight_is_answered(api: httpx.Client) -> None:
    answer = api.options("/v1/audio/speech", headers=PREFLIGHT)
    assert answer.status_code in (403, 405)
    assert "access-control-allow-origin" not in answer.headers


def test_every_site_needs_a_key_all_the_same(serve: Callable[..., httpx.Client]) -> None:
    farm = serve(cors_origins=("*",))
    assert farm.post("/v1/audio/speech", json={}, headers=PAGE).status_code == 403


@pytest.mark.parametrize("wrong", ["https://app.example/", "app.example", "https://app.example/tts,*", "null"])
def test_what_is_no_origin_is_told_at_the_start(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_CORS_ORIGINS", wrong)
    with pytest.raises(Misconfigured, match=r"FARM_CORS_ORIGINS: .*is no origin"):
        Settings.read()


def test_origins_are_listed_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_CORS_ORIGINS", "https://app.example, http://localhost:3000")
    assert Settings.read().cors_origins == ("https://app.example", "http://localhost:3000")
