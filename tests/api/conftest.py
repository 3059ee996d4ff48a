"""A served API: uvicorn on a socket of its own, the real store, a folder as storage, both empty for every test.

api         an httpx client of one without API keys, which serves the whole test session
serve       starts one for this test, with other settings: serve(webhook_secret=…, redis_url=…)
backstage   plays the workers: plans, renders and finishes jobs through the same store and storage
"""

from __future__ import annotations

import faulthandler
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
import uvicorn

from api.app import create_app
from api.connection import MOST_CONNECTIONS, server_options
from farm.settings import Settings
from farm.storage import open_storage
from farm.store import Store, registry
from farm.tracing import OFF, Tracing
from tests.api.backstage import ESPEAK, INDEXTTS, Backstage
from tests.api.document import Document
from tests.api.stage import Stage
from tests.conftest import RedisServer
from tests.patience import patient

NO_AUTHORITIES = False  # for clients of plain HTTP: 13 ms for each that reads the certificates of those whom it trusts
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class Served:
    """One API in a thread."""

    def __init__(self, settings: Settings, tracing: Tracing = OFF, *, connections: int = MOST_CONNECTIONS) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.app = create_app(settings, tracing, connections=connections)
        self._document = Document()
        config = uvicorn.Config(self.app, **server_options(settings))
        self._server = _Uvicorn(config)
        # A daemon: the thread of an API that was too slow to start must not keep the tests from ending.
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        if not self._server.up.wait(patient(20)):
            self._server.should_exit = True
            pytest.fail("the API did not start")

    def client(self, **options: Any) -> httpx.Client:
        """Every answer that it gets is compared to the API's own document."""
        plain: dict[str, Any] = {"base_url": self.url, "trust_env": False, "verify": NO_AUTHORITIES}
        hooks = {"response": [self._document.check]}
        return httpx.Client(timeout=patient(30), event_hooks=hooks, **plain, **options)

    def limit_buffers(self, size: int) -> None:
        """Of connections that are opened from now on: bytes that the system takes before their clients do."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(patient(30))
        if self._thread.is_alive():
            faulthandler.dump_traceback()
            pytest.fail("the API did not end; stderr shows where its threads are")
        self._socket.close()


@pytest.fixture(scope="session")
def session_settings(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("storage")
    return Settings(redis_url=redis_server.url, storage_url=f"file://{folder}", webhook_secret=SECRET)


@pytest.fixture
def settings(session_settings: Settings) -> Settings:
    storage = open_storage(session_settings)
    storage.delete(*(found.key for found in storage.list("")))
    return session_settings


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    """With the cards of two models: one with built-in voices, one that speaks with uploaded ones."""
    store = Store.connect(redis_url)
    for card in (ESPEAK, INDEXTTS):
        store.run(registry.announce(card.name, card.model_dump_json()))
    yield store
    store.close()


@pytest.fixture
def served(store: Store, settings: Settings) -> Iterator[Callable[..., Served]]:
    running: list[Served] = []

    def start(tracing: Tracing = OFF, *, connections: int = MOST_CONNECTIONS, **changed: Any) -> Served:
        running.append(Served(settings.model_copy(update=changed), tracing, connections=connections))
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def serve(served: Callable[..., Served]) -> Iterator[Callable[..., httpx.Client]]:
    clients: list[httpx.Client] = []

    def start(**changed: Any) -> httpx.Client:
        clients.append(served(**changed).client())
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def session_api(session_settings: Settings) -> Iterator[Served]:
    served = Served(session_settings)
    yield served
    served.stop()


@pytest.fixture
def api(store: Store, settings: Settings, session_api: Served) -> Iterator[httpx.Client]:
    with session_api.client() as client:
        yield client


@pytest.fixture
def backstage(store: Store, settings: Settings) -> Backstage:
    return Backstage(store, settings)


@pytest.fixture
def stage(backstage: Backstage) -> Stage:
    return Stage(backstage)


@pytest.fixture
def openai_client(store: Store, settings: Settings, session_api: Served) -> Iterator[openai.OpenAI]:
    """The client that others are made with, and that speaks to OpenAI's own servers. It asks once."""
    with client_of(session_api) as client:
        yield client


def client_of(served: Served, key: str = "none", **options: Any) -> openai.OpenAI:
    """`key`: the client sends none where it is "none" only in name, because it needs one."""
    http = openai.DefaultHttpxClient(trust_env=False, verify=NO_AUTHORITIES)
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0, http_client=http, **options)
