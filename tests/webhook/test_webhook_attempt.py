"""One attempt against real receivers, good and bad."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from email.parser import BytesParser
from email.utils import format_datetime

import pytest
from standardwebhooks import Webhook

from farm.webhooks.addresses import allowed_networks
from tests.patience import patient
from tests.webhook.listener import Listener, answers, dripping, silent
from worker.webhooks.post import Message, Sender

LOOPBACK = allowed_networks(["127.0.0.0/8"])
Listen = Callable[..., Listener]
To = Callable[[str], Message]


def now() -> datetime:
    return datetime.now(UTC)


def headers_of(request: bytes) -> dict[str, str]:
    head = request.partition(b"\r\n\r\n")[0].partition(b"\r\n")[2]
    return {name.lower(): value for name, value in BytesParser().parsebytes(head).items()}


def body_of(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30))])
def test_a_receiver_verifies_the_signature_with_the_public_package(
    listen: Listen, sender: Sender, to: To, zone: timezone
) -> None:
    listener = listen(answers(204))
    message = to(listener.url)
    answer = sender.attempt(message, now().astimezone(zone))

    assert answer.attempt.status_code == 204
    assert answer.attempt.error is None
    (request,) = listener.requests
    event = Webhook(message.secrets[0]).verify(body_of(request), headers_of(request))
    assert event["data"] == {"id": "job_1", "title": "café"}
    assert headers_of(request)["content-type"] == "application/json"
    assert request.startswith(b"POST /hook HTTP/1.1\r\n")


def test_a_second_attempt_keeps_the_id_and_renews_the_timestamp(listen: Listen, sender: Sender, to: To) -> None:
    listener = listen(answers(200))
    for age in (60, 0):
        sender.attempt(to(listener.url), now() - timedelta(seconds=age))
    first, second = (headers_of(request) for request in listener.requests)
    assert first["webhook-id"] == second["webhook-id"] == "job_1.0"
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) >= 60
    assert first["webhook-signature"] != second["webhook-signature"]


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
def test_a_refusal_is_recorded_with_its_status(listen: Listen, sender: Sender, to: To, status: int) -> None:
    answer = sender.attempt(to(listen(answers(status, body=b"a secret of the internal network")).url), now())
    assert answer.attempt.status_code == status
    assert answer.attempt.error == f"answered {status}"
    assert answer.retry_after_s is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(listen: Listen, sender: Sender, to: To, status: int) -> None:
    target = listen(answers(200))
    answer = sender.attempt(to(listen(answers(status, f"Location: {target.url}")).url), now())
    assert answer.attempt.status_code == status
    assert answer.attempt.error is not None
    assert "redirects are not followed" in answer.attempt.error
    assert target.requests == []


@pytest.mark.parametrize(("status", "heard"), [(429, True), (503, True), (500, False), (204, False)])
def test_retry_after_counts_only_from_a_busy_receiver(
    listen: Listen, sender: Sender, to: To, status: int, heard: bool
) -> None:
    moment = now()
    in_seconds = listen(answers(status, "Retry-After: 120"))
    at_a_date = listen(answers(status, f"Retry-After: {format_datetime(moment + timedelta(hours=1), usegmt=True)}"))
    seconds, date = (sender.attempt(to(listener.url), moment) for listener in (in_seconds, at_a_date))
    assert seconds.retry_after_s == (120 if heard else None)
    assert date.retry_after_s == (pytest.approx(3600, abs=2) if heard else None)


def test_an_unreachable_receiver_is_recorded_as_an_attempt(sender: Sender, to: To) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    answer = sender.attempt(to(f"http://127.0.0.1:{port}/"), now())
    assert answer.attempt.status_code is None
    assert answer.attempt.error is not None
    assert answer.attempt.error.startswith("could not connect: ")


@pytest.mark.parametrize("words", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_a_receiver_that_speaks_no_http_is_recorded_as_an_attempt(
    listen: Listen, sender: Sender, to: To, words: bytes
) -> None:
    answer = sender.attempt(to(listen(lambda connection: connection.sendall(words)).url), now())
    assert answer.attempt.status_code is None
    assert answer.attempt.error is not None
    assert answer.attempt.error.startswith("the connection broke before an answer")


HIDDEN = "INTERNAL-SECRET-abc123"
STRANGE = [
    f"-ERR {HIDDEN} db_password=x\r\n", f"HTTP/1.1 200 OK\r\n{HIDDEN} without a colon\r\n\r\n",
    f"HTTP/1.1 {HIDDEN}\r\n\r\n", f"HTTP/9.9 500 {HIDDEN}\r\n\r\n", f"\0\1{HIDDEN}\r\n\r\n",
    f"HTTP/1.1 503 {HIDDEN}\r\nRetry-After: {HIDDEN}\r\nContent-Length: 3\r\n\r\nabc",
    f"HTTP/1.1 500 Oh\r\nContent-Length: {HIDDEN}\r\n\r\n",
    f"HTTP/1.1 302 Found\r\nLocation: http://{HIDDEN}/\r\nContent-Length: 0\r\n\r\n",
    f"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n{HIDDEN}\r\n",
]  # fmt: skip


@pytest.mark.parametrize("words", STRANGE)
def test_a_tenant_reads_nothing_of_an_answer(listen: Listen, sender: Sender, to: To, words: str) -> None:
    answer = sender.attempt(to(listen(lambda connection: connection.sendall(words.encode())).url), now())
    assert answer.attempt.error is not None
    shown = answer.attempt.model_dump_json()
    assert not any(part in shown for part in ("SECRET", "abc123", "password", "bytearray", "illegal"))


@pytest.mark.parametrize(
    "header", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 2030 00:00:00 +99999999999999"]
)
def test_a_date_beyond_all_years_is_no_wish(listen: Listen, sender: Sender, to: To, header: str) -> None:
    answer = sender.attempt(to(listen(answers(503, f"Retry-After: {header}")).url), now())
    assert (answer.attempt.status_code, answer.retry_after_s) == (503, None)


def test_a_fault_of_the_farm_itself_is_an_attempt_too(sender: Sender, to: To, caplog: pytest.LogCaptureFixture) -> None:
    def broken(host: str, port: int) -> list[str]:
        raise KeyError("a bug")

    answer = Sender(LOOPBACK, resolve=broken).attempt(to("http://receiver.example.com/"), now())
    assert answer.attempt.status_code is None
    assert answer.attempt.error is not None
    assert "the farm failed" in answer.attempt.error
    assert "a bug" not in answer.attempt.error
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]


@pytest.mark.parametrize("temper", [silent, dripping(b""), dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ")])
def test_no_receiver_holds_the_sender_longer_than_the_deadline(listen: Listen, to: To, temper: object) -> None:
    answer = Sender(LOOPBACK, deadline_s=0.3).attempt(to(listen(temper).url), now())
    assert answer.attempt.status_code is None
    assert answer.attempt.error == "no answer within 0.3 seconds"
    assert 0.3 <= answer.attempt.seconds < patient(3)


def test_no_name_server_holds_the_sender_longer_than_the_deadline(to: To) -> None:
    dead = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        dead.wait()
        return ["127.0.0.1"]

    try:
        answer = Sender(LOOPBACK, resolve=resolve, deadline_s=0.3).attempt(to("http://slow.test/"), now())
    finally:
        dead.set()
    assert answer.attempt.error == "no answer within 0.3 seconds"


def test_one_sender_serves_many_threads_and_silent_receivers_delay_no_other(listen: Listen, to: To) -> None:
    mute, good = listen(silent), listen(answers(200))
    deadline_s = patient(1.5)
    sender = Sender(LOOPBACK, deadline_s=deadline_s)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(sender.attempt, to(mute.url), now()) for _ in range(7)]
        assert threads.submit(sender.attempt, to(good.url), now()).result().attempt.status_code == 200
        assert not any(one.done() for one in waiting)
        assert all(one.result().attempt.error == f"no answer within {deadline_s:g} seconds" for one in waiting)


def test_a_status_counts_even_when_its_body_never_ends(listen: Listen, sender: Sender, to: To) -> None:
    slow = listen(dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"))
    answer = sender.attempt(to(slow.url), now())
    assert answer.attempt.status_code == 200
    assert answer.attempt.error is None
    assert answer.attempt.seconds < patient(5)


def test_an_answer_of_a_gigabyte_is_not_read(listen: Listen, sender: Sender, to: To) -> None:
    sent = 0
    hung_up = threading.Event()

    def gigabyte(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while sent < 1_000_000_000:
                sent += connection.send(b"x" * 65536)
        except OSError:
            hung_up.set()

    answer = sender.attempt(to(listen(gigabyte).url), now())
    assert answer.attempt.status_code == 200
    assert hung_up.wait(patient(10))
    assert sent < 50_000_000  # what the sockets' buffers hold


def test_proxies_of_the_environment_are_ignored(
    listen: Listen, sender: Sender, to: To, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = listen(answers(200))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    listener = listen(answers(200))
    assert sender.attempt(to(listener.url), now()).attempt.status_code == 200
    assert len(listener.requests) == 1
    assert proxy.requests == []


# --- where it may go --------------------------------------------------------------------------------------------------


@pytest.fixture
def port(listen: Listen) -> Iterator[int]:
    """The port of a listener on 127.0.0.1 that must not be reached."""
    listener = listen(answers(200))
    yield listener.port
    assert listener.requests == []


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["::ffff:127.0.0.1"]])
def test_a_name_with_a_private_address_is_refused_and_nothing_is_dialled(
    to: To, port: int, addresses: list[str]
) -> None:
    sender = Sender(resolve=lambda host, port: addresses)
    answer = sender.attempt(to(f"http://public.test:{port}/"), now())
    assert answer.attempt.status_code is None
    assert answer.attempt.error == (
        "public.test resolves to a loopback address; the farm's operator can add its network to FARM_WEBHOOK_ALLOW"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "localhost", "[::ffff:127.0.0.1]"])
def test_an_address_in_any_notation_is_checked_again_when_it_is_dialled(to: To, port: int, host: str) -> None:
    error = Sender().attempt(to(f"http://{host}:{port}/"), now()).attempt.error
    assert error is not None
    assert "is a loopback address" in error


def test_a_name_that_changes_its_address_is_dialled_where_it_was_checked(listen: Listen, to: To) -> None:
    public = listen(answers(200))
    private = listen(answers(200), host="127.0.0.2", port=public.port)
    replies = iter([["127.0.0.1"], ["127.0.0.2"]])
    sender = Sender(allowed_networks(["127.0.0.1/32"]), resolve=lambda host, port: next(replies))

    first, second = (sender.attempt(to(f"http://rebind.test:{public.port}/"), now()).attempt for _ in range(2))
    assert first.status_code == 200
    assert headers_of(public.requests[0])["host"] == f"rebind.test:{public.port}"
    assert second.error is not None
    assert "resolves to a loopback address" in second.error
    assert private.requests == []


def test_a_dead_address_gives_way_to_the_next(listen: Listen, to: To) -> None:
    listener = listen(answers(200))
    sender = Sender(LOOPBACK, resolve=lambda host, port: ["127.0.0.9", "127.0.0.1"])
    assert sender.attempt(to(f"http://two.test:{listener.port}/"), now()).attempt.status_code == 200


def test_an_ipv6_host_keeps_its_brackets(listen: Listen, to: To) -> None:
    listener = listen(answers(200))
    sender = Sender(allowed_networks(["127.0.0.0/8", "::1/128"]), resolve=lambda host, port: ["127.0.0.1"])
    assert sender.attempt(to(f"http://[::1]:{listener.port}/"), now()).attempt.status_code == 200
    assert headers_of(listener.requests[0])["host"] == f"[::1]:{listener.port}"


@pytest.mark.parametrize("failure", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_an_unresolvable_name_is_recorded_as_an_attempt(to: To, failure: Exception) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise failure

    answer = Sender(resolve=resolve).attempt(to("http://nowhere.test/"), now())
    assert answer.attempt.error is not None
    assert answer.attempt.error.startswith("the name nowhere.test could not be resolved")
