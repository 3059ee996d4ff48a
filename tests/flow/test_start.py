"""A worker that can't work ends at its start. Its last line says what to do, and it never looks alive."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from farm.cli.screen import USAGE
from farm.errors import EXIT_FAULT, EXIT_MISCONFIGURED
from farm.job import Status
from farm.settings import Settings
from farm.storage import LocalStorage
from farm.storage_mark import recognise
from farm.store import SCHEMA, Store, registry
from farm.wake import DESK_QUEUE
from farm.wire import Worker
from tests import program
from tests.conftest import RedisServer, free_port
from tests.flow.house import House
from tests.patience import patient
from tests.s3_server import S3Server
from worker.engines.espeak.engine import Espeak


def ended(role: str, **environment: str) -> tuple[int, str]:
    done = program.run("worker", role, env=os.environ | environment)
    return done.returncode, done.stderr.splitlines()[-1]


def test_an_unknown_model_ends_the_worker_with_advice(redis_url: str, tmp_path: Path) -> None:
    code, said = ended("render", FARM_REDIS_URL=redis_url, FARM_STORAGE_URL=tmp_path.as_uri(), FARM_MODEL="espresso")
    assert code == EXIT_MISCONFIGURED
    assert said.startswith("error: FARM_MODEL=espresso: no such engine")


@pytest.mark.parametrize("role", ["render", "desk"])
def test_a_missing_bucket_ends_the_worker_with_advice(role: str, redis_url: str, tmp_path: Path) -> None:
    server = S3Server(tmp_path)
    server.start()
    try:
        code, said = ended(role, FARM_REDIS_URL=redis_url, FARM_STORAGE_URL="s3://misspelt", **server.environment)
    finally:
        server.stop()
    assert code == EXIT_MISCONFIGURED
    assert "create it, or correct FARM_STORAGE_URL" in said


@pytest.mark.parametrize("role", ["render", "desk"])
def test_an_unreachable_redis_ends_the_worker_as_a_fault(role: str, tmp_path: Path) -> None:
    """The settings may be right, so the supervisor starts the worker again."""
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    code, said = ended(role, FARM_REDIS_URL=nobody, FARM_STORAGE_URL=tmp_path.as_uri())
    assert code == EXIT_FAULT
    assert "Redis can't be reached" in said


@pytest.mark.parametrize("role", ["render", "desk"])
def test_data_of_a_newer_farm_ends_the_worker_with_advice(
    role: str, own_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    redis = own_redis()
    with redis.client() as client:
        client.set("f:schema", SCHEMA + 1)
    code, said = ended(role, FARM_REDIS_URL=redis.url, FARM_STORAGE_URL=tmp_path.as_uri())
    assert code == EXIT_MISCONFIGURED
    assert "newer farm" in said


# --- what a start examines --------------------------------------------------------------------------------------------

SERVICES = {"api": ("api",), "render": ("worker", "render"), "desk": ("worker", "desk")}
SECRET = "s3cr3t"


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return program.run(*command, env=os.environ | {"FARM_PORT": "0", "FARM_LOG_LEVEL": "ERROR"} | environment)


@pytest.mark.parametrize("part", SERVICES)
def test_malformed_settings_end_every_service_on_one_line_that_names_them_all(part: str) -> None:
    wrong = {
        "FARM_REDIS_URL": f"redis://:{SECRET}#x@redis/0",
        "FARM_BROKER_URL": f"amqp://guest:{SECRET}@redis//",
        "FARM_PUBLIC_URL": "https://[::1",
        "FARM_WEBHOOK_ALLOW": "localhost",
        "FARM_WEBHOOK_SECRET": SECRET,
        "FARM_STORAGE_URL": f"s3://key:{SECRET}@farm/",
    }
    done = run(*SERVICES[part], **wrong)
    assert done.returncode == EXIT_MISCONFIGURED
    (line,) = (line for line in done.stderr.splitlines() if "ignored, because" not in line)
    assert [name for name in wrong if name not in line] == []
    assert SECRET not in line


@pytest.mark.parametrize("command", [("keys", "list"), ("doctor",)])
def test_a_command_of_an_operator_refuses_a_malformed_address_on_one_line(command: tuple[str, ...]) -> None:
    done = run("farm", *command, FARM_REDIS_URL=f"redis://h:{SECRET}/0")
    said = done.stderr + done.stdout
    assert "FARM_REDIS_URL: its port is no number" in said
    assert "Traceback" not in said
    assert SECRET not in said
    if command == ("keys", "list"):
        assert (done.returncode, done.stderr.count("\n")) == (USAGE, 1)


@pytest.mark.parametrize("part", SERVICES)
def test_a_broker_without_its_database_ends_every_service(
    part: str, own_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    """As at providers who give one database."""
    redis = own_redis(databases=1)
    done = run(*SERVICES[part], FARM_REDIS_URL=redis.url, FARM_STORAGE_URL=tmp_path.as_uri())
    assert done.returncode == EXIT_MISCONFIGURED
    assert "FARM_BROKER_URL: this Redis has no database 1; name one that exists" in done.stderr.splitlines()[-1]


def test_the_doctor_looks_at_the_broker(own_redis: Callable[..., RedisServer], tmp_path: Path) -> None:
    redis = own_redis(aof=True, databases=1)
    given = {"FARM_REDIS_URL": redis.url, "FARM_STORAGE_URL": tmp_path.as_uri()}
    assert "MEND  broker    FARM_BROKER_URL: this Redis has no database 1" in run("farm", "doctor", **given).stdout
    shared = run("farm", "doctor", **given, FARM_BROKER_URL=redis.url).stdout
    assert f"OK    broker    {redis.url} takes messages" in shared


def test_the_doctor_names_a_worker_on_another_storage(redis_url: str, tmp_path: Path) -> None:
    with closing(Store.connect(redis_url)) as store:
        store.run(registry.adopt_storage_mark("of this farm"))
        now = "2026-01-01T00:00:00Z"
        for id, mark in (("host-a-5e1f", "of this farm"), ("host-b-77aa", "of another storage")):
            beat = Worker(id=id, kind="desk", started_at=now, seen_at=now, storage_mark=mark)
            store.run(registry.beat(id, beat.model_dump_json(), 60_000))
        said = run("farm", "doctor", FARM_REDIS_URL=redis_url, FARM_STORAGE_URL=tmp_path.as_uri()).stdout
    assert "MEND  workers   on another storage than the farm's: host-b-77aa; give" in said


def test_a_job_runs_where_store_and_broker_share_the_only_database(
    own_redis: Callable[..., RedisServer], tmp_path: Path, espeak: Espeak
) -> None:
    redis = own_redis(databases=1)
    house = House(redis.url, tmp_path, espeak, broker_url=redis.url)
    with closing(house), redis.client() as client:
        job = house.submit(input="One database is enough.")
        house.waker.wake(DESK_QUEUE)
        house.finish()
        assert house.record(job).status == Status.SUCCEEDED
        house.waker.close()
        assert client.exists(DESK_QUEUE)


def test_a_redis_without_an_append_only_file_is_told_at_the_start(redis_url: str, tmp_path: Path) -> None:
    given = os.environ | {"FARM_REDIS_URL": redis_url, "FARM_STORAGE_URL": tmp_path.as_uri()}
    command = [sys.executable, "-P", "-m", "worker", "desk"]
    with subprocess.Popen(command, env=given, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        assert any("Redis: the append-only file is off" in line for line in worker.stderr)
        worker.terminate()
        worker.communicate(timeout=patient(30))


# --- one storage for all parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", SERVICES)
def test_a_part_that_sees_another_storage_than_the_farm_does_not_start(
    part: str, own_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    redis = own_redis()
    with closing(Store.connect(redis.url)) as store:
        recognise(store, LocalStorage(tmp_path / "farm"), Settings())
    given = {"FARM_REDIS_URL": redis.url, "FARM_STORAGE_URL": (tmp_path / "other").as_uri()}
    done = run(*SERVICES[part], **given)
    said = done.stderr.splitlines()[-1]
    assert done.returncode == EXIT_MISCONFIGURED
    assert f"FARM_STORAGE_URL names {given['FARM_STORAGE_URL']} here, and the farm in FARM_REDIS_URL" in said
    if part == "api":
        assert "MEND  storage" in run("farm", "doctor", **given).stdout
        adopted = run("farm", "adopt-storage", **given)
        assert adopted.stdout.startswith(f"{given['FARM_STORAGE_URL']} is the storage of this farm now")
        assert "OK    storage" in run("farm", "doctor", **given).stdout
