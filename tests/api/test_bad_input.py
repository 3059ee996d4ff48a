from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from farm.layout import voice_key
from farm.store import registry
from tests.api.backstage import Backstage
from tests.patience import patient

HOOK = {"url": "https://example.com/hook"}


def refused(api: httpx.Client, body: bytes | dict[str, Any], path: str = "/v1/jobs") -> dict[str, Any]:
    """The problem, after a look that nothing was accepted."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = api.post(path, content=content, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert api.get("/v1/jobs").json()["data"] == []
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    return problem


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ({"input": ""}, "/input", "blank"),
        ({"input": " \n\t\u3000"}, "/input", "blank"),
        ({"input": "\x00\x01\x02"}, "/input", "control character U+0000 at character 0"),
        ({"input": "a\x1bb"}, "/input", "control character U+001B at character 1"),
        (b'{"input":"a\\ud800"}', "/input", "lone surrogate"),
        (b'{"input":"a","metadata":{"k":"\\udfff"}}', "/metadata/k", "lone surrogate"),
        ({"chapters": [{"input": "a"}, {"input": " "}]}, "/chapters/1/input", "blank"),
        ({"chapters": []}, "/chapters", "at least 1"),
        ({"input": "a" * 5_000_001}, "/input", "5000000"),
        ({"chapters": [{"input": "a" * 3_000_000}] * 2}, "", "more than 5,000,000 characters"),
        ({}, "", "one of input, chapters and document"),
        ({"input": "a", "chapters": [{"input": "b"}]}, "", "one of input, chapters and document"),
        ({"input": 7}, "/input", "string"),
        ({"input": "a", "emotion": {"voice": None}}, "/emotion", "a vector or a voice"),
        ({"input": "a", "voise": "de"}, "/voise", "not a field"),
        ({"input": "a", "voices": {"a/b": "de"}}, "/voices/a~1b", "has a name that should match pattern"),
        (
            {"input": "a", "metadata": {"k" * 65: "v"}},
            "/metadata/" + "k" * 65,
            "has a name that should have at most 64",
        ),
        ({"input": "a", "output": {"format": "aac"}}, "/output/format", "'mp3'"),
        ({"input": "a", "output": {"sample_rate": 11025}}, "/output/sample_rate", "22050"),
        ({"input": "a", "output": {"pause_ms": {"chapter": -1}}}, "/output/pause_ms/chapter", "greater"),
        ({"input": "a", "output": {"preset": "loud"}}, "/output/preset", "'podcast'"),
        ({"input": "a", "output": {"trim_dbfs": -90}}, "/output/trim_dbfs", "greater"),
        ({"input": "a", "output": {"room_tone_dbfs": "-65"}}, "/output/room_tone_dbfs", "number"),
        (b'{"input":"a","speed":NaN}', "/speed", "finite"),
        (b'{"input":"a","pitch":-Infinity}', "/pitch", "finite"),
        (b'{"input":"a","speed":1e999}', "/speed", "finite"),
        ({"input": "a", "speed": 2.01}, "/speed", "less than or equal to 2"),
        ({"input": "a", "seed": -1}, "/seed", "greater"),
        ({"input": "a", "priority": "urgent"}, "/priority", "'interactive'"),
        ({"input": "a", "metadata": {"k": "v" * 501}}, "/metadata/k", "500"),
        ({"input": "a", "metadata": {str(n): "" for n in range(17)}}, "/metadata", "16"),
        ({"input": "a", "language": "not a language"}, "/language", "match"),
        ({"input": "a", "expires_after": 59}, "/expires_after", "60"),
        ({"input": "a", "custom_id": "a\nb"}, "/custom_id", "U+000A"),
        ({"input": "a", "webhook": {"url": "file:///etc/passwd"}}, "/webhook/url", "scheme"),
        ({"input": "a", "webhook": {"url": "http://169.254.169.254/latest"}}, "/webhook/url", "link-local"),
        ({"input": "a", "webhook": {"url": "http://[::1]:6379/"}}, "/webhook/url", "loopback"),
        ({"input": "a", "webhook": {"url": "http://2130706433/"}}, "/webhook/url", "loopback"),
        ({"input": "a", "webhook": {**HOOK, "events": ["job.done"]}}, "/webhook/events/0", "job.succeeded"),
        ({"input": "a", "webhook": {**HOOK, "events": ["batch.completed"]}}, "/webhook/events", "job.succeeded"),
        (b"[1]", "", "object"),
        (b'"text"', "", "object"),
    ],
)
def test_a_wrong_field_is_named(api: httpx.Client, body: bytes | dict[str, Any], pointer: str, said: str) -> None:
    problem = refused(api, body)
    assert (problem["status"], problem["code"]) == (422, "invalid_request")
    (error,) = problem["errors"]
    assert error["pointer"] == pointer
    assert said in error["message"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "EOF"),
        (b"{", "EOF"),
        (b'{"input": "a",}', "trailing comma at line 1 column 15"),
        (b'{"input":"\xed\xa0\x80"}', "unicode"),
        (b'{"input":"\xff"}', "unicode"),
        (b"input=a", "expected value"),
        (b'{"metadata":' + b"[" * 100_000 + b"\\u", "recursion"),
    ],
)
def test_a_body_that_is_not_json_is_refused_with_the_faults_position(api: httpx.Client, body: bytes, said: str) -> None:
    problem = refused(api, body)
    assert (problem["status"], problem["code"]) == (422, "malformed_json")
    assert said in problem["detail"]


def test_json_with_a_byte_order_mark_is_read(api: httpx.Client) -> None:
    """Windows PowerShell and Notepad write one."""
    body = b'\xef\xbb\xbf{"input": "Hello."}'
    assert api.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"}).status_code == 202


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_json_in_utf_16_is_refused_by_the_name_of_its_encoding(api: httpx.Client, encoding: str) -> None:
    mark = "" if encoding == "utf-16" else "\ufeff"
    problem = refused(api, (mark + '{"input": "Hello."}').encode(encoding))
    assert (problem["code"], problem["detail"]) == ("malformed_json", "is UTF-16; send JSON as UTF-8")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-32"])
def test_json_in_another_encoding_is_named_without_a_mark_too(api: httpx.Client, encoding: str) -> None:
    problem = refused(api, '{"input": "Hello."}'.encode(encoding))
    assert problem["code"] == "malformed_json"
    assert problem["detail"] == f"is {encoding[:6].upper()}; send JSON as UTF-8"


BODIES = [
    *((path, "application/json") for path in ("/v1/jobs", "/v1/batches", "/v1/audio/speech")),
    *((path, "multipart/form-data; boundary=x") for path in ("/v1/voices", "/v1/audio/voices", "/v1/batches")),
    ("/v1/batches", "application/jsonl"),
]


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        *((name, name) for name in ("gzip", "x-gzip", "br", "deflate", "zstd", "compress", "nothing-known")),
        ("GZIP", "gzip"),
        ("identity, gzip", "identity, gzip"),
    ],
)
def test_a_compressed_body_is_refused_by_the_name_of_its_compression(
    api: httpx.Client, encoding: str, named: str
) -> None:
    """Ten kilobytes could unpack to any size."""
    for path, kind in BODIES:
        headers = {"Content-Type": kind, "Content-Encoding": encoding}
        answer = api.post(path, content=gzip.compress(bytes(1_000_000)), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type"), (path, kind)
        assert answer.json()["detail"] == f"send the body as it is, without `Content-Encoding: {named}`"


def test_a_second_header_hides_no_compression(api: httpx.Client) -> None:
    headers = [("Content-Type", "application/json"), ("Content-Encoding", "identity"), ("Content-Encoding", "br")]
    answer = api.post("/v1/jobs", content=b'{"input":"a"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def many(count: int, item: str) -> str:
    return ",".join(item.format(n) for n in range(count))


# Made when asked for: each process of a run imports this file, and these are 20 MB.
FLOODS = {
    "fields": lambda: "{" + many(400_000, '"k{}":1') + "}",
    "metadata": lambda: '{"input":"a","metadata":{' + many(400_000, '"k{}":1') + "}}",
    "events": lambda: '{"input":"a","webhook":{"url":"https://a.example","events":[' + many(90_000, "1") + "]}}",
    "fields of chapters": lambda: '{"chapters":[' + many(2_000, "{{" + many(90, '"k{}":1') + "}}") + "]}",
    "fields of a batch": lambda: '{"jobs":[{"input":"a"}],' + many(400_000, '"k{}":1') + "}",
    "fields of its job": lambda: '{"jobs":[{' + many(400_000, '"k{}":1') + "}]}",
}


@pytest.mark.parametrize("flood", FLOODS)
def test_any_number_of_wrong_fields_is_refused_at_once(api: httpx.Client, flood: str) -> None:
    """800,000 unknown fields took 34 s and 700 MB."""
    body = FLOODS[flood]().encode()
    path = "/v1/batches" if b"jobs" in body[:10] else "/v1/jobs"
    began = time.monotonic()
    problem = refused(api, body, path)
    assert time.monotonic() - began < patient(2)
    assert len(problem["errors"]) <= 20


@pytest.mark.parametrize("name", ["defaults", "metadata"])
def test_the_options_of_a_batch_are_no_way_around_it(api: httpx.Client, name: str) -> None:
    options = {name: "{" + many(80_000, '"k{}":1') + "}"}
    answer = api.post("/v1/batches", files={"file": ("jobs.jsonl", b'{"input":"a"}')}, data=options)
    assert answer.status_code == 422
    assert "more than 100 fields" in answer.json()["detail"]


def test_commas_and_brackets_of_a_text_are_no_fields(api: httpx.Client) -> None:
    text = 'He said, "{[' + "," * 5_000 + '\\", he did' + "]}" * 500
    assert api.post("/v1/jobs", json={"input": text}).status_code == 202


def test_two_thousand_unknown_voices_are_refused_without_delay(api: httpx.Client) -> None:
    chapters = [{"input": "a", "voice": f"nobody-{number}"} for number in range(2_000)]
    began = time.monotonic()
    problem = refused(api, {"chapters": chapters})
    assert time.monotonic() - began < patient(1)
    assert 1 < len(problem["errors"]) <= 20


def test_every_wrong_field_is_named_at_once(api: httpx.Client) -> None:
    problem = refused(api, {"input": "a", "speed": 9, "seed": -1, "model": "b/c", "zoom": 1})
    assert {error["pointer"] for error in problem["errors"]} == {"/speed", "/seed", "/model", "/zoom"}
    assert "3 more" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "code", "pointer", "said"),
    [
        ({"model": "bark"}, "unknown_model", "/model", "known: espeak, indextts-2"),
        ({"language": "tlh"}, "unknown_language", "/language", "it speaks en-us, en-gb, de"),
        ({"voice": "en-ux"}, "unknown_voice", "/voice", "did you mean en-us"),
        ({"voice": "zzz"}, "unknown_voice", "/voice", "it has en-us, en-gb, de"),
        ({"emotion": {"text": "joy"}}, "not_honoured", "/emotion", "it honours speed, pitch"),
        ({"model": "indextts-2", "voice": "ann"}, "unknown_voice", "/voice", "did you mean anna"),
        ({"model": "indextts-2"}, "voice_required", "/voice", "upload one to /v1/voices"),
        ({"model": "indextts-2", "voice": "anna", "speed": 1.2}, "not_honoured", "/speed", "seed, emotion"),
        ({"voice": "anna"}, "unknown_voice", "/voice", "built-in voices only"),
        (
            {"model": "indextts-2", "voice": "anna", "emotion": {"voice": "bob"}},
            "unknown_voice",
            "/emotion/voice",
            "no voice 'bob'",
        ),
        ({"model": "indextts-2", "voice": "anna", "emotion": {}}, "invalid_request", "/emotion", "a vector or a voice"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    api: httpx.Client, backstage: Backstage, body: dict[str, Any], code: str, pointer: str, said: str
) -> None:
    backstage.store.run(registry.put_voice("default", "anna", '{"digest":"d1"}'))
    problem = refused(api, {"input": "a", **body})
    (error,) = problem["errors"]
    assert (problem["status"], problem["code"], error["pointer"]) == (422, code, pointer)
    assert said in error["message"]


def test_a_chapters_voice_is_checked_like_the_jobs(api: httpx.Client) -> None:
    problem = refused(api, {"chapters": [{"input": "a", "voice": "de"}, {"input": "b", "voice": "deer"}]})
    (error,) = problem["errors"]
    assert error["pointer"] == "/chapters/1/voice"


def test_an_uploaded_voice_is_resolved_to_its_present_recording(api: httpx.Client, backstage: Backstage) -> None:
    backstage.store.run(registry.put_voice("default", "anna", '{"digest":"d1"}'))
    emotion = {"voice": "anna", "strength": 0.5}
    job = api.post(
        "/v1/jobs", json={"input": "a", "model": "indextts-2", "voice": "anna", "emotion": emotion, "language": "zh"}
    ).json()
    spec = backstage.spec(job["id"])
    assert spec.speaker() == ("d1", True)
    assert spec.speaker("other") == ("other", False)
    assert spec.manner.emotion == '{"strength":0.5,"voice":"d1"}'
    assert voice_key("default", "d1") == "voices/default/d1.flac"


def test_without_a_secret_webhooks_are_refused(serve: Callable[..., httpx.Client]) -> None:
    problem = refused(serve(webhook_secret=None), {"input": "a", "webhook": HOOK})
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("webhooks_disabled", "/webhook")
    assert "FARM_WEBHOOK_SECRET" in problem["detail"]


def test_networks_that_the_operator_allows_may_be_reached(serve: Callable[..., httpx.Client]) -> None:
    api = serve(webhook_allow=("127.0.0.0/8",))
    body = {"input": "a", "webhook": {"url": "http://127.0.0.1:9/"}}
    assert api.post("/v1/jobs", json=body).status_code == 202


def test_a_model_without_a_worker_is_unavailable_and_not_bad_input(
    serve: Callable[..., httpx.Client],
) -> None:
    answer = serve(model="indextts-2.5").post("/v1/jobs", json={"input": "a"})
    assert (answer.status_code, answer.json()["code"]) == (503, "model_not_ready")
    assert answer.json()["retryable"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_a_web_page_could_send_anywhere_is_refused(api: httpx.Client, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = api.post("/v1/jobs", content=b'{"input":"a"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "Content-Type: application/json" in answer.json()["detail"]


@pytest.mark.parametrize("charset", ["punycode", "undefined", "idna", "rot13", "utf-16", "bogus"])
@pytest.mark.parametrize("path", ["/v1/voices", "/v1/batches"])
def test_a_form_in_a_strange_encoding_is_refused_by_its_name(api: httpx.Client, path: str, charset: str) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nan\xffna..\r\n--x--\r\n'
    answer = api.post(
        path, content=body, headers={"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert repr(charset) in answer.json()["detail"]


def test_an_m4b_needs_an_encoder_that_is_an_extra(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"input": "Just a line.", "output": {"format": "m4b"}}
    monkeypatch.setattr("farm.encoders.find_spec", lambda name: None)
    problem = refused(api, wanted)
    assert (problem["status"], problem["code"]) == (422, "encoder_missing")
    assert problem["errors"][0]["pointer"] == "/output/format"
    assert "tts-farm[audiobook]" in problem["detail"]
    monkeypatch.undo()
    assert api.post("/v1/jobs", json=wanted).status_code == 202
