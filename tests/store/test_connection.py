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

from farm.errors import FarmError, Misconfigured, StoreUnavailable
from farm.settings import Settings
from farm.start import check_broker
from farm.store import AsyncStore, Store, connection, registry
from farm.wake import DESK_QUEUE, Waker
from tests.conftest import RedisServer, free_port
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
    with tls_front(server.port, context) as port:
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
            time.sleep(0.01)  # the message is sent by a thread of its own
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
        time.sleep(0.01)  # that thread logs, and tells nobody
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


@pytest.mark.parametrize(
    "answer", [b"+OK\r\n" * 9, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR unknown command\r\n" * 9]
)
def test_what_is_no_redis_is_told_with_the_name_of_the_setting(answer: bytes) -> None:
    with saying(answer) as port:
        url = f"redis://127.0.0.1:{port}/0"
        with pytest.raises(FarmError, match="FARM_REDIS_URL"):
            Store.connect(url)
        with pytest.raises(FarmError, match="FARM_REDIS_URL"):
            asyncio.run(AsyncStore.connect(url))


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-ttl", "volatile-random", "allkeys-lru"])
def test_a_redis_that_may_drop_any_key_is_refused(policy: str, own_redis: Callable[..., RedisServer]) -> None:
    """Those of an idempotency key have an expiry, and volatile-… drops these."""
    server = own_redis(maxmemory="64mb", **{"maxmemory-policy": policy})
    with pytest.raises(Misconfigured, match=f"{policy}.*set maxmemory-policy noeviction"):
        Store.connect(server.url)


# --- the broker -------------------------------------------------------------------------------------------------------


def test_a_broker_that_refuses_its_password_or_its_user_is_misconfigured(
    redis_url: str, own_redis: Callable[..., RedisServer]
) -> None:
    broker = own_redis()
    wrong = broker.url.replace("redis://", "redis://:wrong@")
    with broker.client() as client:
        client.acl_setuser("reader", enabled=True, nopass=True, categories=["+@read"], keys=["*"])
        client.config_set("requirepass", "other")
    for url in (wrong, broker.url, broker.url.replace("redis://", "redis://reader:any@")):
        with pytest.raises(Misconfigured, match="correct FARM_BROKER_URL"):
            check_broker(Settings(redis_url=redis_url, broker_url=url))


def test_a_broker_that_is_away_is_an_outage(redis_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="FARM_BROKER_URL"):
        check_broker(Settings(redis_url=redis_url, broker_url=f"redis://127.0.0.1:{free_port()}/0"))


def test_a_broker_without_its_database_is_misconfigured(redis_url: str) -> None:
    store = redis_url.removesuffix("/0") + "/15"
    with pytest.raises(Misconfigured, match="FARM_BROKER_URL: this Redis has no database 16; name one that exists"):
        check_broker(Settings(redis_url=store))
    check_broker(Settings(redis_url=store, broker_url=store))


class Listener:
    """Answers each connection to a port of loopback, in a thread of its own, and closes it then."""

    def __init__(self, answer: Callable[[socket.socket], object]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> int:
        threading.Thread(target=self._accept, daemon=True).start()
        return int(self._listener.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            self._answer(connection)


def saying(answer: bytes) -> Listener:
    """Hears a request out, and answers it with these bytes."""

    def answered(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(answer)

    return Listener(answered)


def tls_front(target: int, context: ssl.SSLContext) -> Listener:
    """Ends TLS, and passes the bytes on to the port `target`."""

    def passed_on(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True) as near:
            with socket.create_connection(("127.0.0.1", target)) as far:
                threading.Thread(target=_pass, args=(far, near), daemon=True).start()
                _pass(near, far)

    return Listener(passed_on)


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
