"""A Redis behind a Unix socket, and one behind TLS: the store, the broker and the commands of operators use it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from farm.errors import Misconfigured, StoreUnavailable
from farm.settings import Settings
from farm.store import AsyncStore, Store, connection, registry
from farm.wake import DESK_QUEUE, Waker
from tests.conftest import RedisServer
from tests.patience import patient

PASSWORD = "p@s:s/w?o#r[d]%;+ é"


@pytest.fixture
def behind_socket(own_redis: Callable[..., RedisServer], tmp_path: Path) -> str:
    """The URL of a Redis with a password, by way of its Unix socket."""
    path = tmp_path / "my redis.sock"
    with own_redis(unixsocket=path).client() as client:
        client.config_set("requirepass", PASSWORD)
    return f"unix://:{quote(PASSWORD, safe='')}@{quote(str(path))}?db=2"


@pytest.fixture
def behind_tls(own_redis: Callable[..., RedisServer], tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis behind TLS, whose user has a password of her own."""
    server = own_redis()
    with server.client() as client:
        client.acl_setuser(
            "ann", enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], commands=["+@all"], channels="*"
        )
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with TlsFront(server.port, context) as port:
        trusted = quote(str(tmp_path / "authority.pem"))
        yield f"rediss://ann:{quote(PASSWORD, safe='')}@localhost:{port}/2?ssl_ca_certs={trusted}"


@pytest.fixture(params=["behind_socket", "behind_tls"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


def test_both_stores_work_through_it(url: str) -> None:
    async def ask() -> None:
        store = await AsyncStore.connect(url)
        await store.run(registry.ping())
        assert (await store.pressure()).limit_bytes == 0
        await store.close()

    with closing(Store.connect(url)) as store:
        assert store.run(registry.put_key("digest", "ann", "first"))
    asyncio.run(ask())
    with connection.client(url) as client:
        assert client.connection_pool.connection_kwargs["db"] == 2
        assert client.exists("f:schema")


def test_a_wake_up_arrives_in_the_next_database(url: str) -> None:
    broker_url = Settings(redis_url=url).broker
    waker = Waker(broker_url)
    waker.wake(DESK_QUEUE)
    with connection.client(broker_url) as broker:
        deadline = time.monotonic() + patient(20)
        while not broker.llen(DESK_QUEUE):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert broker.connection_pool.connection_kwargs["db"] == 3
    waker.close()


def test_commands_of_operators_work_through_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_REDIS_URL", url)
    command = [sys.executable, "-P", "-m", "farm", "keys", "create", "first"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(30), check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("fk_")


def test_the_broker_behind_a_certificate_that_nobody_trusts_gets_no_wake_up(
    behind_tls: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Celery's transport would not look at the certificate by itself."""
    waker = Waker(behind_tls.partition("?")[0])
    waker.wake(DESK_QUEUE)
    deadline = time.monotonic() + patient(20)
    while "CERTIFICATE_VERIFY_FAILED" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    waker.close(0)
    with connection.client(behind_tls) as client:
        assert not client.exists(DESK_QUEUE)


def test_a_socket_that_is_not_there_is_an_outage(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="FARM_REDIS_URL"):
        Store.connect(f"unix://{tmp_path}/nobody.sock")


def test_a_certificate_that_is_not_there_is_misconfigured(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"^FARM_REDIS_URL: its option ssl_ca_certs names .*/gone\.pem"):
        Store.connect(f"rediss://localhost:1/0?ssl_ca_certs={tmp_path}/gone.pem")


def test_a_database_that_does_not_exist_is_misconfigured(redis_url: str) -> None:
    with pytest.raises(Misconfigured, match="no database of this number; correct the number in FARM_REDIS_URL"):
        Store.connect(redis_url.removesuffix("/0") + "/99")


class TlsFront:
    """Ends TLS on a port of loopback, and passes the bytes on to `target`."""

    def __init__(self, target: int, context: ssl.SSLContext) -> None:
        self._target, self._context = target, context
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> int:
        threading.Thread(target=self._accept, daemon=True).start()
        return int(self._listener.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain, self._context.wrap_socket(plain, server_side=True) as near:
            with socket.create_connection(("127.0.0.1", self._target)) as far:
                threading.Thread(target=self._pass, args=(far, near), daemon=True).start()
                self._pass(near, far)

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
