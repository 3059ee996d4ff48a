"""Limits of the body, enforced while it is read: with honest clients, lying ones, and chunks without an end."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from farm.wire import MAX_JSON_BYTES, MAX_VOICE_BYTES
from tests.api.conftest import Served
from tests.patience import patient

JSON = {"Content-Type": "application/json"}


def megabytes(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 1_000_000


def test_a_body_over_the_limit_is_refused_with_the_limit_named(api: httpx.Client) -> None:
    body = b'{"input":"' + b"a" * MAX_JSON_BYTES + b'"}'
    answer = api.post("/v1/jobs", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert "10,000,000 bytes" in answer.json()["detail"]


def test_a_body_in_chunks_is_counted_while_it_is_read(api: httpx.Client) -> None:
    answer = api.post("/v1/jobs", content=megabytes(12), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer.headers["connection"] == "close"


def test_chunks_without_an_end_are_cut_off(served: Callable[..., Served]) -> None:
    server = served()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(patient(30))
        head = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.sendall(chunk * 100)


def test_a_client_that_asks_first_is_told_before_it_sends(served: Callable[..., Served]) -> None:
    server = served()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(patient(30))
        head = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(head.encode() + b"Content-Length: 999999999\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_batch_of_lines_may_be_larger_than_one_of_json(api: httpx.Client) -> None:
    lines = b"".join(json.dumps({"input": "a" * 1_000_000}).encode() + b"\n" for _ in range(11))
    refused = api.post("/v1/batches", content=lines, headers=JSON)
    assert refused.status_code == 413
    accepted = api.post("/v1/batches", content=lines, headers={"Content-Type": "application/x-ndjson"})
    assert (accepted.status_code, accepted.json()["total"]) == (202, 11)


def test_a_line_may_not_be_larger_than_a_job(api: httpx.Client) -> None:
    lines = b'{"input":"a"}\n{"input":"' + b"a" * MAX_JSON_BYTES + b'"}\n'
    answer = api.post("/v1/batches", content=lines, headers={"Content-Type": "application/jsonl"})
    assert answer.status_code == 413
    assert "line 2" in answer.json()["detail"]


def test_a_recording_over_the_limit_is_refused(api: httpx.Client) -> None:
    form = {"name": "anna", "consent": "true"}
    answer = api.post("/v1/voices", data=form, files={"audio": ("a.wav", b"x" * (MAX_VOICE_BYTES + 200_000))})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_job_that_is_certain_to_be_too_large_is_refused_by_its_field(api: httpx.Client) -> None:
    output = {"format": "wav", "sample_rate": 48_000}
    answer = api.post("/v1/jobs", json={"input": "a" * 3_000_000, "output": output})
    assert (answer.status_code, answer.json()["code"]) == (422, "output_too_large")
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/output/format"]
    chapters = [{"input": "a"}] * 200
    answer = api.post("/v1/jobs", json={"chapters": chapters, "output": {"pause_ms": {"chapter": 60_000}}})
    assert (answer.status_code, answer.json()["code"]) == (422, "pauses_too_long")
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/output/pause_ms/chapter"]
