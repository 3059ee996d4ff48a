"""Requests that a proxy and the farm could cut at different places: a second request, hidden in the first, is answered
to nobody; and paths and headers that would lead around the gate."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import httpx
import pytest

from api.browser_sessions import COOKIE
from farm.store import Store
from tests.api.conftest import Served
from tests.api.test_access import make_key
from tests.patience import patient

POST = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: hidden\r\nConnection: close\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"


def length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


# name -> all that is sent. One reading ends the first request before HIDDEN, another one takes HIDDEN for its body.
SHAPES = {
    "a length before chunks": POST + length(END + HIDDEN) + CHUNKED + b"\r\n" + END + HIDDEN,
    "chunks before a length": POST + CHUNKED + length(END + HIDDEN) + b"\r\n" + END + HIDDEN,
    "two lengths": POST + b"Content-Length: 0\r\n" + length(HIDDEN) + b"\r\n" + HIDDEN,
    "two lengths, the longer first": POST + length(HIDDEN) + b"Content-Length: 0\r\n\r\n" + HIDDEN,
    "two lengths in one": POST + b"Content-Length: 0, %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a length with a plus": POST + b"Content-Length: +0\r\n\r\n" + HIDDEN,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a length in hexadecimal": POST + b"Content-Length: 0x0\r\n\r\n" + HIDDEN,
    "a length without digits": POST + b"Content-Length: \r\n\r\n" + HIDDEN,
    "a length beyond all numbers": POST + b"Content-Length: 18446744073709551616\r\n\r\n" + HIDDEN,
    "a length with a blank in it": POST + b"Content-Length: 0 0\r\n\r\n" + HIDDEN,
    "a folded encoding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + END + HIDDEN,
    "a folded length": POST + b"Content-Length:\r\n 0\r\n\r\n" + HIDDEN,
    "a folded header before chunks": POST + b"X-A: b\r\n Transfer-Encoding: chunked\r\n\r\n" + END + HIDDEN,
    "a blank before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n" + END + HIDDEN,
    "a blank before a length's colon": POST + b"Content-Length : 0\r\n\r\n" + HIDDEN,
    "an unknown encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + END + HIDDEN,
    "chunks that are not the last encoding": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + END + HIDDEN,
    "two encodings": POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + END + HIDDEN,
    "an encoding behind a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + END + HIDDEN,
    "a line feed alone in a header": POST + b"X-A: b\nTransfer-Encoding: chunked\r\n\r\n" + END + HIDDEN,
    "a carriage return alone in a header": POST + b"X-A: b\rTransfer-Encoding: chunked\r\n\r\n" + END + HIDDEN,
    "a NUL in a header": POST + b"X-A: \x00\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a header without a colon": POST + b"Transfer-Encoding chunked\r\n\r\n" + END + HIDDEN,
    "a header that begins with a blank": POST.replace(b"Host", b" Host") + CHUNKED + b"\r\n" + END + HIDDEN,
    "a chunk's size in C": POST + CHUNKED + b"\r\n0x0\r\n\r\n" + HIDDEN,
    "a chunk's size with a sign": POST + CHUNKED + b"\r\n-0\r\n\r\n" + HIDDEN,
    "a chunk's size beyond all numbers": POST + CHUNKED + b"\r\nfffffffffffffffff\r\n" + HIDDEN,
    "a chunk with bytes behind its end": POST + CHUNKED + b"\r\n1\r\n{}\r\n" + END + HIDDEN,
    "a chunk that a line feed ends": POST + CHUNKED + b"\r\n1\n{\n0\n\n" + HIDDEN,
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "no protocol": b"GET /healthz\r\n\r\n" + HIDDEN,
    "two hosts": POST + b"Host: evil.example\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "no host": POST.replace(b"Host: localhost\r\n", b"") + b"Content-Length: 0\r\n\r\n" + HIDDEN,
}


def answers(port: int, sent: bytes) -> bytes:
    """All until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=patient(30)) as client:
        client.sendall(sent)
        received = b""
        try:
            while piece := client.recv(65_536):
                received += piece
        except ConnectionResetError:
            pass
        return received


@pytest.mark.parametrize("shape", SHAPES)
def test_a_request_with_two_ends_is_refused_and_what_it_hides_is_not_answered(api: httpx.Client, shape: str) -> None:
    said = answers(api.base_url.port or 0, SHAPES[shape])
    assert len(re.findall(rb"HTTP/1\.1 \d", said)) == 1, said
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nconnection: close\r\n" in said
    assert b"hidden" not in said


@pytest.mark.parametrize(
    "sent", [POST + length(b"{}") + b"\r\n{}" + HIDDEN, POST + CHUNKED + b"\r\n2\r\n{}\r\n" + END + HIDDEN]
)
def test_a_request_behind_another_one_is_answered(api: httpx.Client, sent: bytes) -> None:
    """So the test above sees what it looks for."""
    said = answers(api.base_url.port or 0, sent)
    assert [said.count(b"HTTP/1.1 422 "), said.count(b"HTTP/1.1 200 "), said.count(b"hidden")] == [1, 1, 1]


@pytest.fixture
def locked(store: Store, served: Callable[..., Served]) -> Served:
    """A farm with a key."""
    make_key(store, "ann", "ann")
    return served()


PATHS = [
    "/v1/jobs/", "//v1/jobs", "/v1//jobs", "/./v1/jobs", "/v1/./jobs", "/v1/x/../jobs", "/V1/JOBS", "/v1/jobs;x",
    "/v1/jobs%00", "/v1/jobs%0a", "/v1/jobs%20", "/v1%2fjobs", "/%76%31/jobs", "/v1/jobs/.", "/v1/jobs%2f", "/v1\\jobs",
    "/healthz/../v1/jobs", "/healthz%2f..%2fv1%2fjobs", "/docs/../v1/jobs", "/openapi.json/../v1/jobs",
    "/dashboard/../v1/jobs", "/dashboard/%2e%2e/v1/jobs", "/dashboard/..%2fv1/jobs", "/dashboard/..;/v1/jobs",
    "/dashboard/../../etc/passwd", "/dashboard/%2e%2e%2fpages.py", "/dashboard/vendor/../pages.py",
    "/dashboard//etc/passwd", "http://evil.example/v1/jobs", "http://localhost/v1/jobs", "/v1/jobs?/healthz",
    "/v1/jobs?x#/healthz", "/v1/session/../jobs", "/v1/session%2f..%2fjobs",
]  # fmt: skip


def test_no_spelling_of_a_path_leads_around_the_key(locked: Served) -> None:
    for path in PATHS:
        said = answers(locked.port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert said.split()[1] in (b"400", b"401", b"404"), (path, said)


HEADERS = {
    "a key twice, the wrong one first": [("Authorization", "Bearer wrong"), ("Authorization", "Bearer farm_ann")],
    "another kind": [("Authorization", "Basic farm_ann")],
    "a key without its kind": [("Authorization", "farm_ann")],
    "a key in another header": [("X-Api-Key", "farm_ann"), ("Proxy-Authorization", "Bearer farm_ann")],
    "a path for a proxy": [("X-Original-URL", "/healthz"), ("X-Rewrite-URL", "/healthz")],
    "another method": [("X-HTTP-Method-Override", "OPTIONS")],
    "this machine's address": [("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1"), ("Forwarded", "for=::1")],
    "a host of this machine": [("X-Forwarded-Host", "localhost")],
    "a prefix": [("X-Forwarded-Prefix", "/healthz")],
    "a key as a cookie": [("Cookie", f"{COOKIE}=farm_ann; key=farm_ann")],
}


def test_no_other_header_stands_for_the_key(locked: Served) -> None:
    with locked.client() as client:
        for trick, headers in HEADERS.items():
            assert client.get("/v1/jobs", headers=headers).status_code == 401, trick
        assert client.get("/v1/jobs", params={"key": "farm_ann", "access_token": "farm_ann"}).status_code == 401
        assert client.get("/v1/jobs", headers={"Authorization": "Bearer farm_ann"}).status_code == 200


def test_a_method_that_there_is_not_is_refused(locked: Served) -> None:
    for method in ("TRACE", "CONNECT", "PROPFIND", "get", "G E T", "X" * 5_000, "\x00"):
        said = answers(
            locked.port, f"{method} /v1/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert said.split()[1] in (b"400", b"401", b"405"), (method, said)
