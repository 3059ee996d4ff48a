"""Forms that no honest client sends: with thousands of fields, without an end, with files that are no recordings."""

from __future__ import annotations

import gzip
import io
import socket
import struct
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest

from api import body, connection
from api.reference_audio import ingest
from farm.errors import BadInput
from tests.api.backstage import Backstage
from tests.api.conftest import Served
from tests.api.document import document
from tests.api.test_voices import recording
from tests.patience import patient

FORMS = ["/v1/voices", "/v1/audio/voices", "/v1/batches"]
FILE = {"/v1/voices": "audio", "/v1/audio/voices": "audio_sample", "/v1/batches": "file"}
VOICE = {"name": "anna", "consent": "true"}


def part(name: str, value: bytes, *more: str, filename: str = "") -> bytes:
    """One part of a form whose boundary is x."""
    named = f'; filename="{filename}"' if filename else ""
    head = "\r\n".join((f'Content-Disposition: form-data; name="{name}"{named}', *more))
    return b"--x\r\n" + head.encode() + b"\r\n\r\n" + value + b"\r\n"


def send(api: httpx.Client, path: str, body: bytes | Iterator[bytes]) -> httpx.Response:
    answer = api.post(path, content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer


FLOODS = {
    "10,000 fields": b"".join(part(f"field{n}", b"x") for n in range(10_000)),
    "one field 10,000 times": b"".join(part("name", b"x") for _ in range(10_000)),
    "10,000 files": b"".join(part("audio", b"x", filename="a.wav") for _ in range(10_000)),
    "a part with 10,000 headers": part("audio", b"x", *(f"X-{n}: y" for n in range(10_000))),
    "a part with a header of 5 MB": part("audio", b"x", "X-A: " + "y" * 5_000_000),
    "a name of 5 MB": part("a" * 5_000_000, b"x"),
    "a field of 5 MB": part("name", b"x" * 5_000_000),
    "500,000 boundaries": b"--x\r\n" * 500_000,
    "5 MB of hyphens": b"-" * 5_000_000,
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_form_of_too_much_is_refused_soon(api: httpx.Client, flood: str) -> None:
    for path in FORMS:
        began = time.monotonic()
        assert send(api, path, FLOODS[flood] + b"--x--\r\n").status_code in (400, 413, 422), path
        assert time.monotonic() - began < patient(3), path


@pytest.mark.parametrize("flood", ["10,000 fields", "one field 10,000 times"])
def test_a_good_form_with_too_many_fields_is_refused(api: httpx.Client, flood: str) -> None:
    for path in FORMS:
        file = b'{"input":"a"}' if path == "/v1/batches" else recording()
        good = b"" if path == "/v1/batches" else b"".join(part(name, value.encode()) for name, value in VOICE.items())
        form = good + part(FILE[path], file, filename="a.wav") + FLOODS[flood] + b"--x--\r\n"
        assert send(api, path, form).status_code == 400, path


@pytest.mark.parametrize("path", ["/v1/voices", "/v1/audio/voices"])
def test_a_form_may_have_as_many_texts_as_the_document_counts_and_no_more(api: httpx.Client, path: str) -> None:
    """A field with several values would be one property there, and several fields here."""
    schema = document()["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema["additionalProperties"] == {"type": "string"}
    further = schema["maxProperties"] - len(VOICE) - 1  # beside the file
    answers = [
        api.post(
            path,
            data=VOICE | {f"field{number}": "x" for number in range(count)},
            files={FILE[path]: ("a.wav", recording())},
        )
        for count in (further, further + 1)
    ]
    assert [answer.is_success for answer in answers] == [True, False]
    assert answers[1].status_code == 400


BROKEN = {
    "no file": part("consent", b"true") + b"--x--\r\n",
    "no end": part("name", b"anna") + part("consent", b"true"),
    "a part without a name": b"--x\r\nContent-Disposition: form-data\r\n\r\nx\r\n--x--\r\n",
    "a part without headers": b"--x\r\n\r\nx\r\n--x--\r\n",
    "another boundary": b"--y\r\n" + part("name", b"anna")[5:] + b"--y--\r\n",
    "no part": b"--x--\r\n",
    "nothing": b"",
    "zeros": bytes(1_000),
}


@pytest.mark.parametrize("form", BROKEN)
def test_a_form_that_is_broken_is_refused(api: httpx.Client, form: str) -> None:
    for path in FORMS:
        assert send(api, path, BROKEN[form]).status_code in (400, 422), path


@pytest.mark.parametrize("content_type", [
    "multipart/form-data; boundary=" + "x" * 10_000,
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=\"x\\\"",
    "multipart/form-data; boundary=a; boundary=b",
    "multipart/form-data" + "; a=b" * 10_000,
])  # fmt: skip
def test_a_strange_boundary_is_refused(api: httpx.Client, content_type: str) -> None:
    answer = api.post("/v1/voices", content=part("name", b"anna"), headers={"Content-Type": content_type})
    assert answer.status_code in (400, 415, 422)


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_an_end_is_cut_off(
    served: Callable[..., Served], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunk after chunk of one file."""
    monkeypatch.setattr(body, "MAX_JSONL_BYTES", 20_000_000)
    monkeypatch.setattr(body, "_DRAIN_BYTES", 1_000_000)
    with socket.create_connection(("127.0.0.1", served().port), timeout=patient(30)) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        client.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        first = part(FILE[path], b"", filename="a.wav")[:-2]
        client.sendall(b"%x\r\n" % len(first) + first + b"\r\n")
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_again_and_again(client, chunk)


def send_again_and_again(client: socket.socket, chunk: bytes) -> None:
    for _ in range(400):  # far more than two sockets hold
        client.sendall(chunk)


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("voice.wav", bytes(10_000_000))  # 10 kB that unpack to 10 MB
    return file.getvalue()


NO_VOICES = {
    "nothing": b"",
    "one byte": b"R",
    "an archive": archive(),
    "a compressed file": gzip.compress(bytes(1_000_000)),
    "a page": b"<!doctype html><script>alert(1)</script>",
    "a program": b"\x7fELF" + bytes(10_000),
    "a playlist of addresses": b"#EXTM3U\nhttp://127.0.0.1:9/secret\nfile:///etc/passwd\n",
    "a film": b"\x00\x00\x00\x18ftypmp42" + bytes(10_000),
    "a header that claims 4 GB": b"RIFF\xff\xff\xff\xffWAVEfmt "
    + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    + b"data\xff\xff\xff\xff",
}


@pytest.mark.parametrize("file", NO_VOICES)
def test_a_file_that_is_no_recording_is_refused(file: str) -> None:
    with pytest.raises(BadInput) as refused:
        ingest(NO_VOICES[file], "voice.wav")
    assert refused.value.code == "bad_audio"


@pytest.mark.parametrize(
    ("file", "filename"),
    [("nothing", "a\x00b.wav"), ("an archive", "../../" + "x" * 3_000)],
    ids=["nothing", "an archive"],
)
def test_a_file_is_judged_by_what_it_holds_and_nothing_of_it_stays(
    api: httpx.Client, backstage: Backstage, file: str, filename: str
) -> None:
    body = b"".join(part(name, value.encode()) for name, value in VOICE.items())
    body += part("audio", NO_VOICES[file], "Content-Type: audio/wav", filename=filename) + b"--x--\r\n"
    answer = send(api, "/v1/voices", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_audio")
    assert len(answer.content) < 10_000
    assert list(backstage.storage.list("voices/")) == []


def test_bodies_that_drip_keep_nobody_waiting_and_are_ended(
    served: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then, of heads and of bodies."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", patient(0.4))
    monkeypatch.setattr(connection, "BODY_CHECK_SECONDS", patient(0.4))
    server, over = served(), threading.Event()
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=patient(30)) for _ in range(40)]
    for number, client in enumerate(slow):
        client.sendall(head if number % 2 else head + b"Content-Length: 1000000\r\n\r\n")

    def drip() -> None:
        while not over.wait(0.1):
            for client in slow:
                with suppress(OSError):
                    client.sendall(b"x")

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        with server.client() as other:
            for client in slow:
                assert other.get("/healthz").status_code == 200
                assert client.recv(16).startswith(b"HTTP/1.1 408 ")
    finally:
        over.set()
        dripping.join()
        for client in slow:
            client.close()


def test_a_slow_client_is_ended_within_thirty_seconds() -> None:
    """A body may come in one piece just before it is looked at: then it is late at the next look."""
    assert connection.HEAD_SECONDS <= 30
    assert 2 * connection.BODY_CHECK_SECONDS <= 30
