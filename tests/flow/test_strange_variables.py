"""Variables that libraries would read, and that stand in the environment for another program: they decide nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from farm.client import Farm
from farm.embedded.supervisor import Local
from farm.settings import Settings
from farm.store import connection
from farm.wire import JobRequest
from tests.conftest import RedisServer
from tests.patience import patient


@pytest.fixture(scope="module")
def other_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The Redis of another program."""
    server = RedisServer(tmp_path_factory.mktemp("other"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def strange(other_redis: RedisServer) -> dict[str, str]:
    return {
        **dict.fromkeys(
            ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND"),
            other_redis.url,
        ),
        "CELERY_CONFIG_MODULE": "settings_of_another_program",
        "CELERY_LOADER": "loader_of_another_program",
        "CELERY_CUSTOM_WORKER_POOL": "pool_of_another_program",
        "CELERY_WORKER_REVOKES_MAX": "many",
        "DJANGO_SETTINGS_MODULE": "settings_of_another_program",
        "KOMBU_LOG_DEBUG": "1",
        "PICKLE_PROTOCOL": "newest",
        "REMAP_SIGTERM": "SIGQUIT",
        "WEB_CONCURRENCY": "many",
        "FORWARDED_ALLOW_IPS": "10.0.0.1",
        "UVICORN_PORT": "1",
        "UVICORN_WORKERS": "4",
    }


@pytest.fixture(scope="module")
def among_strangers(tmp_path_factory: pytest.TempPathFactory, strange: dict[str, str]) -> Iterator[Local]:
    with Local(tmp_path_factory.mktemp("farm"), environment=strange) as local:
        yield local


def test_a_job_runs_to_its_end_and_the_redis_of_the_other_program_stays_empty(
    among_strangers: Local, other_redis: RedisServer
) -> None:
    with Farm(among_strangers.url) as farm:
        job = farm.wait(farm.submit(JobRequest(input="Nothing strange here.")).id, timeout=patient(30))
    assert job.status == "succeeded"
    with other_redis.client() as client:
        assert client.info("keyspace") == {}
        assert client.info("stats")["total_connections_received"] <= 3  # of this test and its fixture


def test_whoever_reaches_the_broker_can_not_stop_the_workers(among_strangers: Local) -> None:
    """Workers listen for Celery's remote control only where Flower is wanted."""
    with connection.client(Settings(redis_url=among_strangers.redis_url).broker) as broker:
        assert broker.keys("_kombu.binding.*")
        assert broker.keys("*pidbox*") == []


def test_each_part_says_which_variables_it_ignores(among_strangers: Local, strange: dict[str, str]) -> None:
    names = strange.keys() - {"DJANGO_SETTINGS_MODULE"}  # which nothing looks at
    for part in ("api", "render", "desk"):
        log = among_strangers.log(part).read_text()
        assert "ignored, because FARM_ variables decide here: " in log
        assert [name for name in names if name not in log] == []
        assert "another_program" not in log


def test_a_program_on_this_machine_is_no_trusted_proxy_whatever_uvicorns_variable_says(among_strangers: Local) -> None:
    command = [sys.executable, "-P", "-m", "farm", "keys", "create", "proxied"]
    given = os.environ | {"FARM_REDIS_URL": among_strangers.redis_url}
    key = subprocess.run(command, env=given, capture_output=True, text=True, timeout=patient(30), check=True).stdout
    answer = httpx.post(
        f"{among_strangers.url}/v1/jobs",
        json={"input": "By way of a proxy."},
        headers={"Authorization": f"Bearer {key.strip()}", "X-Forwarded-Proto": "https"},
    )
    assert answer.json()["status_url"].startswith("http://")


@pytest.mark.parametrize("role", ["render", "desk"])
def test_a_worker_of_the_celery_command_ignores_them_as_well(
    role: str, own_redis: Callable[..., RedisServer], other_redis: RedisServer, strange: dict[str, str], tmp_path: Path
) -> None:
    """Up to the import of worker.app Celery itself reads its variables; a malformed one ends it there."""
    redis = own_redis()
    urls = {name: value for name, value in strange.items() if name.startswith("CELERY_BROKER")}
    given = os.environ | urls | {"FARM_REDIS_URL": redis.url, "FARM_STORAGE_URL": tmp_path.as_uri()}
    queue, pool = ("render.espeak", "threads") if role == "render" else ("desk", "prefork")
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-Q", queue, "-P", pool, "-c", "1"]
    with subprocess.Popen(command, env=given, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as worker:
        with connection.client(Settings(redis_url=redis.url).broker) as client:
            deadline = time.monotonic() + patient(60)
            while not client.exists(f"_kombu.binding.{queue}"):
                assert time.monotonic() < deadline
                assert worker.poll() is None
                time.sleep(0.02)  # a binding that appears tells nobody
        worker.terminate()
    with other_redis.client() as client:
        assert client.info("keyspace") == {}
