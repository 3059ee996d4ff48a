"""Clients that hold connections: with heads without an end, byte by byte, or with more sockets than the process may
have."""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from api import connection
from farm.embedded.port import Port
from farm.settings import Settings
from tests.api.conftest import Served
from tests.patience import patient

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
FILES = 256  # that the API may have open


def plug(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=patient(30))


def answer(client: socket.socket) -> bytes:
    """All until the server closes, which it may do while the client still sends."""
    received = b""
    try:
        while piece := client.recv(65_536):
            received += piece
    except ConnectionResetError:
        pass
    return received


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", patient(0.5))
    monkeypatch.setattr(connection, "BODY_CHECK_SECONDS", patient(0.5))


@pytest.mark.parametrize(
    "filler", [b"X-%d: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", b"a:b\r\n", b"X: " + b"a" * 900_000]
)
def test_a_head_without_an_end_is_refused(api: httpx.Client, filler: bytes) -> None:
    with plug(api.base_url.port or 0) as client:
        sender = threading.Thread(target=_flood, args=(client, HEAD + filler * (1_000_000 // len(filler))))
        sender.start()
        said = answer(client)
        sender.join()
    assert not said or said.startswith(b"HTTP/1.1 431 ")
    assert api.get("/healthz").status_code == 200


def test_the_refusal_of_a_large_head_says_its_limit(api: httpx.Client) -> None:
    with plug(api.base_url.port or 0) as client:
        client.sendall(HEAD + b"X: " + b"a" * (connection.HEAD_BYTES + 20_000 - len(HEAD)))
        said = answer(client)
    assert said.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b'"code":"head_too_large"' in said
    assert b"65,536 bytes" in said


@pytest.mark.parametrize("headers", [60_000, 100])
def test_a_large_head_within_the_limit_is_answered(api: httpx.Client, headers: int) -> None:
    assert api.get("/healthz", headers={"X-Large": "a" * headers}).status_code == 200


def test_requests_on_one_connection_are_counted_apart(api: httpx.Client) -> None:
    for _ in range(4):
        assert api.get("/healthz", headers={"X-Large": "a" * 40_000}).status_code == 200
    with plug(api.base_url.port or 0) as client:  # pipelined: all heads in one piece
        client.sendall((HEAD + b"X: " + b"a" * 30_000 + b"\r\n\r\n") * 4)
        received = b""
        while received.count(b'"status":"ok"') < 4 and (piece := client.recv(65_536)):
            received += piece
    assert received.count(b"HTTP/1.1 200 OK") == 4


@pytest.mark.parametrize("sent", [b"", b"GET", HEAD, b"\r\n"])
def test_a_head_that_does_not_come_ends_the_connection(
    serve: Callable[..., httpx.Client], quick: None, sent: bytes
) -> None:
    with plug(serve().base_url.port or 0) as client:
        client.sendall(sent)
        said = answer(client)
    assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b'"code":"too_slow"' in said


def test_a_body_that_drips_ends_the_request(serve: Callable[..., httpx.Client], quick: None) -> None:
    with plug(serve().base_url.port or 0) as client:
        client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        client.sendall(b"Content-Length: 1000000\r\n\r\n{")
        said = answer(client)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"slower than 1,000 bytes a second" in said


def problem_of(said: bytes) -> tuple[dict[str, Any], str]:
    """The problem, and the id in the headers."""
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    (request_id,) = re.findall(rb"x-request-id: (\S+)", head)
    return json.loads(body), request_id.decode()


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (HEAD + b"X: " + b"a" * 90_000, 431, "head_too_large"),
        (HEAD + b"Content-Length: 5, 6\r\n\r\n", 400, "malformed_http"),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, "malformed_http"),
        (
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
            "malformed_http",
        ),
        (b"GET", 408, "too_slow"),
    ],
)
def test_every_refusal_of_a_connection_is_a_problem_with_an_id(
    serve: Callable[..., httpx.Client],
    quick: None,
    caplog: pytest.LogCaptureFixture,
    sent: bytes,
    status: int,
    code: str,
) -> None:
    with caplog.at_level(logging.INFO, "api.connection"), plug(serve().base_url.port or 0) as client:
        client.sendall(sent)
        problem, request_id = problem_of(answer(client))
    assert (problem["status"], problem["code"], problem["request_id"]) == (status, code, request_id)
    assert f"request {request_id}: " in caplog.text


def test_a_slow_body_is_refused_under_the_id_of_its_request(serve: Callable[..., httpx.Client], quick: None) -> None:
    with plug(serve().base_url.port or 0) as client:
        client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        client.sendall(b"X-Request-Id: my-trace\r\nContent-Length: 1000000\r\n\r\n{")
        problem, request_id = problem_of(answer(client))
    assert problem["request_id"] == request_id == "my-trace"


def test_a_long_poll_is_not_taken_for_a_slow_client(serve: Callable[..., httpx.Client], quick: None) -> None:
    client = serve()
    job = client.post("/v1/jobs", json={"input": "Night."}).json()["id"]
    assert client.get(f"/v1/jobs/{job}", params={"wait": patient(2)}).status_code == 200


@pytest.fixture
def small_api(redis_url: str, tmp_path: Path) -> Iterator[tuple[psutil.Popen, int]]:
    """`python -m api`, with FILES open files."""
    kept = Port()
    port = kept.number
    settings = {"FARM_PORT": str(port), "FARM_REDIS_URL": redis_url, "FARM_STORAGE_URL": f"file://{tmp_path}/storage"}
    log = (tmp_path / "api.log").open("wb")
    process = psutil.Popen(
        (sys.executable, "-P", "-m", "api"),
        env={name: value for name, value in os.environ.items() if not name.startswith("FARM_")} | settings,
        stderr=log,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES)),
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=patient(5)) as client:
        _until_up(process, client)
    yield process, port
    process.terminate()
    process.wait()
    log.close()


def test_three_hundred_slow_sockets_keep_nobody_out(small_api: tuple[psutil.Popen, int]) -> None:
    process, port = small_api
    with ExitStack() as stack:
        sockets = [stack.enter_context(plug(port)) for _ in range(300)]
        for client in sockets:
            _flood(client, HEAD)
        for _ in range(20):
            assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=patient(1), trust_env=False).status_code == 200
        assert process.num_fds() < FILES
        assert b"408" in answer(sockets[-1])[:20]  # the last ones are closed by the clock


def test_thirty_megabytes_of_head_take_no_memory(small_api: tuple[psutil.Popen, int]) -> None:
    process, port = small_api
    before = process.memory_info().rss
    with ExitStack() as stack:
        for filler in (b"X-000001: " + b"a" * 1_000 + b"\r\n", b"a:b\r\n", b"a" * 1_000):
            client = stack.enter_context(plug(port))
            _flood(client, HEAD + b"X: ")
            for _ in range(30):
                _flood(client, filler * (1_000_000 // len(filler)))
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=patient(1), trust_env=False).status_code == 200
        assert process.memory_info().rss - before < 20_000_000


def test_a_client_that_leaves_in_its_body_leaves_no_traceback(
    served: Callable[..., Served], caplog: pytest.LogCaptureFixture
) -> None:
    api = served()
    with plug(api.port) as client:
        client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        client.sendall(b"Content-Length: 1000\r\n\r\n{")
    api.stop()
    assert not [record for record in caplog.records if record.exc_info]


def test_a_forged_line_in_a_path_stays_in_its_line(
    serve: Callable[..., httpx.Client], caplog: pytest.LogCaptureFixture
) -> None:
    api = serve()
    api.get("/v1/jobs/%0a2026-11-28%20ERROR%20forged%1b[31m")
    assert not any(re.search("[\n\x1b]", record.getMessage()) for record in caplog.records)


def _flood(client: socket.socket, data: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # refused in the middle
        client.sendall(data)


def _until_up(process: psutil.Popen, client: httpx.Client) -> None:
    """pytest's timeout is the limit."""
    while process.poll() is None:
        with suppress(httpx.ConnectError):
            client.get("/healthz")
            return
        time.sleep(0.05)  # a port that is opened tells nobody; without a pause this takes the processor of the API
    raise AssertionError(f"the API ended with {process.returncode}")


def test_a_client_whose_machine_went_away_is_noticed() -> None:
    """The system does it: what it was asked for is what is tested."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        taken, _ = server.accept()
        with taken:
            connection.notice_vanishing(taken)
            assert taken.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            asked = [getattr(socket, name) for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")]
            idle, interval, count = (taken.getsockopt(socket.IPPROTO_TCP, option) for option in asked)
            assert idle + interval * count <= 60
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
            client.close()
    left, right = socket.socketpair()
    with left, right:
        connection.notice_vanishing(left)  # a Unix socket, as behind a proxy of the same machine, has no such options


def test_an_idle_connection_outlives_the_pools_of_clients() -> None:
    """Who ends it first decides: a client that sends into a connection that the server is closing gets no answer."""
    of_httpx = httpx.Limits().keepalive_expiry or 0
    of_load_balancers = 60
    options = connection.server_options(Settings())
    assert options["timeout_keep_alive"] > max(of_httpx, of_load_balancers)
