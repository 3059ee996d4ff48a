from __future__ import annotations

import io
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile as sf

from farm.layout import VOICES, voice_key
from farm.store import registry
from tests.api.backstage import Backstage
from tests.patience import patient

REFUSED_CONSENTS = ["", " ", "false", "No!", "nope", "n", "I refuse", "not given", "without", "NEIN", "0", "x" * 501]


def recording(seconds: float = 2.0, level: float = 0.3, rate: int = 16_000, pitch: float = 220.0) -> bytes:
    time = np.arange(round(seconds * rate)) / rate
    file = io.BytesIO()
    sf.write(file, level * np.sin(2 * np.pi * pitch * time), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def add(api: httpx.Client, audio: bytes | None = None, **form: str) -> httpx.Response:
    data = {"name": "anna", "consent": "true", **form}
    return api.post("/v1/voices", data=data, files={"audio": ("anna.wav", recording() if audio is None else audio)})


def test_an_uploaded_voice_can_be_spoken_with(api: httpx.Client, backstage: Backstage) -> None:
    answer = add(api)
    voice = answer.json()
    assert (answer.status_code, voice["kind"], voice["models"]) == (201, "uploaded", ["indextts-2"])
    assert voice["seconds"] == pytest.approx(2.0)
    assert backstage.storage.head(voice_key("default", voice["digest"])) is not None
    assert api.get(answer.headers["location"]).json() == voice
    job = api.post("/v1/jobs", json={"input": "One.", "model": "indextts-2", "voice": "anna"})
    assert backstage.spec(job.json()["id"]).speaker() == (voice["digest"], True)


def test_the_recording_of_a_voice_can_be_heard_again(api: httpx.Client, backstage: Backstage) -> None:
    digest = add(api).json()["digest"]
    answer = api.get("/v1/voices/anna/audio")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/flac")
    assert answer.content == backstage.storage.get(voice_key("default", digest))
    part = api.get("/v1/voices/anna/audio", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"fLaC")
    refusals = {name: api.get(f"/v1/voices/{name}/audio").json()["code"] for name in ("en-us", "nobody")}
    assert refusals == {"en-us": "built_in", "nobody": "not_found"}
    backstage.storage.delete(voice_key("default", digest))
    assert api.get("/v1/voices/anna/audio").status_code == 410


def test_all_voices_are_listed_by_name(api: httpx.Client) -> None:
    add(api)
    page = api.get("/v1/voices", params={"limit": 2}).json()
    rest = api.get("/v1/voices", params={"limit": 2, "after": page["next_cursor"]}).json()
    assert [voice["name"] for voice in page["data"] + rest["data"]] == ["anna", "de", "en-gb", "en-us"]
    assert (page["has_more"], rest["has_more"]) == (True, False)
    assert api.get("/v1/voices/de").json()["kind"] == "builtin"


def test_a_new_recording_takes_the_name_over(api: httpx.Client) -> None:
    first, second = add(api).json(), add(api, recording(pitch=330)).json()
    assert first["digest"] != second["digest"]
    assert api.get("/v1/voices/anna").json()["digest"] == second["digest"]


def test_a_deleted_voice_leaves_no_recording(api: httpx.Client, backstage: Backstage) -> None:
    add(api)
    twin = add(api, name="twin").json()
    assert api.delete("/v1/voices/anna").status_code == 204
    assert backstage.storage.head(voice_key("default", twin["digest"])) is not None
    assert api.delete("/v1/voices/twin").status_code == 204
    assert list(backstage.storage.list(VOICES)) == []
    assert api.delete("/v1/voices/twin").status_code == 404
    assert api.get("/v1/voices/anna").status_code == 404


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (b"not audio at all", "can't be decoded"),
        (b"", "can't be decoded"),
        (recording(seconds=0.2), "at least 1 s"),
        (recording(seconds=61, rate=8_000), "longer than 60 s"),
        (recording(level=0), "silent"),
    ],
)
def test_an_unusable_recording_is_refused(api: httpx.Client, backstage: Backstage, audio: bytes, said: str) -> None:
    answer = add(api, audio)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_audio")
    assert answer.json()["errors"][0]["pointer"] == "/audio"
    assert said in answer.json()["detail"]
    assert list(backstage.storage.list(VOICES)) == []


@pytest.mark.parametrize(
    ("form", "status", "pointer"),
    [
        *(({"consent": said}, 422, "/consent") for said in REFUSED_CONSENTS),
        ({"name": "../anna"}, 422, "/name"),
        ({"name": "x" * 65}, 422, "/name"),
        ({"name": "de"}, 409, None),
    ],
)
def test_a_wrong_form_is_named(api: httpx.Client, form: dict[str, str], status: int, pointer: str | None) -> None:
    answer = add(api, **form)
    assert answer.status_code == status
    assert [error["pointer"] for error in answer.json()["errors"]] == ([pointer] if pointer else [])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"json": {"name": "anna"}}, 415),
        ({"data": {"name": "anna", "consent": "true", "audio": "text"}, "files": {"x": b""}}, 422),
        ({"content": b"--x\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 422),
        ({"content": b"", "headers": {"Content-Type": "multipart/form-data"}}, 400),
    ],
)
def test_a_body_that_is_not_a_form_is_refused(api: httpx.Client, request_: dict[str, Any], status: int) -> None:
    answer = api.post("/v1/voices", **request_)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize(
    "said", ["true", " True\n", "yes", "Bo Li, by mail", "Anna", "с согласия Анны", "李小龙同意了"]
)
def test_a_consent_is_true_or_names_a_person(api: httpx.Client, said: str) -> None:
    assert add(api, consent=said).status_code == 201


@pytest.mark.parametrize("filler", [" ", "\t", "no ", "true ", "- "])
def test_a_long_consent_is_refused_at_once(api: httpx.Client, filler: str) -> None:
    """The pattern that looked for a refusal took the square of the length: 20,000 blanks stopped the API for 12 s."""
    began = time.monotonic()
    assert add(api, consent=filler * (900_000 // len(filler)) + "x").status_code == 422
    assert time.monotonic() - began < patient(5)


def test_the_consent_to_a_voice_is_stored(api: httpx.Client, store: Any) -> None:
    add(api, consent="Anna Example, by letter of 1 May")
    assert '"consent":"Anna Example, by letter of 1 May"' in store.run(registry.voices("default"))["anna"]


def test_a_tenant_has_so_many_voices_and_no_more(
    serve: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = serve()
    assert add(api).status_code == 201
    monkeypatch.setattr(registry, "put_voice", partial(registry.put_voice, limit=1))
    answer = add(api, name="bob")
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_voices")
    monkeypatch.setattr("api.voices.MOST_VOICES", 1)
    for audio in (None, b"no audio, which nobody looks at"):
        answer = add(api, audio, name="bob")
        assert (answer.status_code, answer.json()["code"]) == (409, "too_many_voices")
    assert add(api).status_code == 201  # a name that is there already is no further one


def test_a_recording_that_is_longer_than_it_seems_is_stored_whole(api: httpx.Client) -> None:
    """Without a Xing header the length of an MP3 is guessed from its first frames, which are small here."""
    noise = np.random.default_rng(1).normal(0, 0.1, 44_100 * 6)
    noise[:22_050] = 0.0001 * np.sign(noise[:22_050])
    buffer = io.BytesIO()
    sf.write(buffer, noise, 44_100, format="MP3", bitrate_mode="VARIABLE", compression_level=0.6)
    mp3 = buffer.getvalue()
    answer = add(api, mp3[mp3.index(mp3[:2], 40) :])
    assert answer.json()["seconds"] == pytest.approx(6, abs=0.1)
