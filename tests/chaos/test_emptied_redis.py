"""A worker whose Redis was emptied, and the one that is started after it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from farm.errors import EXIT_FAULT
from tests.conftest import RedisServer
from tests.patience import patient
from tests.until import until


@pytest.mark.parametrize("role", ["render", "desk"])
def test_an_emptied_redis_ends_the_worker_and_the_next_worker_starts_on_it(
    role: str, own_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    redis = own_redis()
    work = [sys.executable, "-P", "-m", "worker", role]
    given = os.environ | {"FARM_REDIS_URL": redis.url, "FARM_STORAGE_URL": tmp_path.as_uri()}
    for emptied in (True, False):
        with subprocess.Popen(work, env=given, stderr=subprocess.PIPE, text=True) as worker, redis.client() as client:
            until(lambda: client.zcard("f:alive") or worker.poll() is not None, 60)
            assert worker.poll() is None
            if emptied:
                client.flushall()
                _, said = worker.communicate(timeout=patient(20))
                assert worker.returncode == EXIT_FAULT
                assert "this worker ends: Redis holds none of what this farm accepted" in said
            else:
                assert client.hkeys("f:models") == ([b"espeak"] if role == "render" else [])
                worker.terminate()
                worker.communicate(timeout=patient(30))
