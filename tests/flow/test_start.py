"""A worker that can't work ends at its start. Its last line says what to do, and it never looks alive."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from farm.errors import EXIT_FAULT, EXIT_MISCONFIGURED
from farm.store import SCHEMA
from tests.conftest import RedisServer, free_port
from tests.patience import patient
from tests.s3_server import S3Server


def ended(role: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "worker", role],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=patient(60),
        check=False,
    )
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


@pytest.mark.parametrize("role", ["render", "desk"])
def test_an_emptied_redis_ends_the_worker_and_the_next_worker_starts_on_it(
    role: str, own_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    redis = own_redis()
    work = [sys.executable, "-P", "-m", "worker", role]
    given = os.environ | {"FARM_REDIS_URL": redis.url, "FARM_STORAGE_URL": tmp_path.as_uri()}
    for emptied in (True, False):
        with subprocess.Popen(work, env=given, stderr=subprocess.PIPE, text=True) as worker, redis.client() as client:
            deadline = time.monotonic() + patient(60)
            while not client.zcard("f:alive"):
                assert time.monotonic() < deadline
                assert worker.poll() is None
                time.sleep(0.02)
            if emptied:
                client.flushall()
                _, said = worker.communicate(timeout=patient(20))
                assert worker.returncode == EXIT_FAULT
                assert "this worker ends: Redis holds none of what this farm accepted" in said
            else:
                assert client.hkeys("f:models") == ([b"espeak"] if role == "render" else [])
                worker.terminate()
                worker.communicate(timeout=patient(30))
