"""A connection to a checked address keeps all of TLS: the certificate must be valid for the name."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from farm.webhooks.addresses import allowed_networks
from farm.wire import Attempt
from tests.webhook.listener import Listener, answers
from worker.webhooks.post import Message, Sender

Listen = Callable[..., Listener]
To = Callable[[str], Message]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def names_asked() -> list[str]:
    return []


@pytest.fixture
def listener(listen: Listen, authority: trustme.CA, names_asked: list[str]) -> Listener:
    """A TLS receiver with a certificate for hooks.test."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.test").configure_cert(context)
    context.sni_callback = lambda _socket, name, _context: names_asked.append(name)
    return listen(answers(200), tls=context)


def attempt(message: Message) -> Attempt:
    sender = Sender(allowed_networks(["127.0.0.0/8"]), resolve=lambda host, port: ["127.0.0.1"])
    return sender.attempt(message, datetime.now(UTC)).attempt


@pytest.fixture
def _trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))


@pytest.mark.usefixtures("_trusted")
def test_a_receiver_is_trusted_by_a_certificate_for_its_name(
    listener: Listener, to: To, names_asked: list[str]
) -> None:
    assert attempt(to(f"https://hooks.test:{listener.port}/hook")).status_code == 200
    assert names_asked == ["hooks.test"]
    assert f"\r\nHost: hooks.test:{listener.port}\r\n".encode() in listener.requests[0]


@pytest.mark.usefixtures("_trusted")
def test_a_certificate_for_another_name_is_refused(listener: Listener, to: To) -> None:
    error = attempt(to(f"https://other.test:{listener.port}/hook")).error
    assert error is not None
    assert "Hostname mismatch" in error
    assert listener.requests == []


def test_a_certificate_of_an_unknown_authority_is_refused(listener: Listener, to: To) -> None:
    error = attempt(to(f"https://hooks.test:{listener.port}/hook")).error
    assert error is not None
    assert "CERTIFICATE_VERIFY_FAILED" in error
    assert listener.requests == []
