"""A worker whose storage is no longer the farm's, or never was: it notices while it runs, and ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from farm.errors import EXIT_MISCONFIGURED, Misconfigured
from farm.settings import Settings
from farm.storage import LocalStorage
from farm.storage_mark import read_mark, recognise
from farm.store import Store, registry
from tests.patience import patient
from worker.process.storage_watch import StorageWatch

SETTINGS = Settings(storage_url="file:///here")

WORKER = """
import threading
from farm.settings import Settings
from worker.process import storage_watch
from worker.process.roles import DeskRole

storage_watch._EVERY_S = 0.05
role = DeskRole(Settings.read())
role.begin()
print("begun", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    with closing(Store.connect(redis_url)) as store:
        yield store


def test_a_storage_that_was_away_at_the_start_is_compared_once_it_is_there(store: Store, tmp_path: Path) -> None:
    recognise(store, LocalStorage(tmp_path / "own"), SETTINGS)
    mount = LocalStorage(tmp_path / "mount")
    shutil.rmtree(tmp_path / "mount")
    watch = StorageWatch(store, mount, SETTINGS)
    for _ in range(3):
        watch.look()
        assert watch.mark is None
    shutil.copytree(tmp_path / "own", tmp_path / "mount")
    watch.look()
    assert watch.mark == read_mark(mount) == store.run(registry.storage_mark())


def test_only_the_second_look_in_a_row_at_another_storage_counts(store: Store, tmp_path: Path) -> None:
    recognise(store, LocalStorage(tmp_path / "own"), SETTINGS)
    other = LocalStorage(tmp_path / "other")
    other.put("birth-mark", b"of another farm")
    watch = StorageWatch(store, other, SETTINGS)
    watch.look()
    assert watch.mark == "of another farm"
    own = store.run(registry.storage_mark())
    store.run(registry.adopt_storage_mark("of another farm"))
    watch.look()
    store.run(registry.adopt_storage_mark(own))
    watch.look()
    with pytest.raises(Misconfigured, match=r"another farm's objects.*`farm adopt-storage`"):
        watch.look()


def test_a_running_worker_ends_when_its_storage_is_replaced(store: Store, redis_url: str, tmp_path: Path) -> None:
    environment = os.environ | {"FARM_REDIS_URL": redis_url, "FARM_STORAGE_URL": tmp_path.as_uri()}
    with subprocess.Popen(
        [sys.executable, "-c", WORKER], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as worker:
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "begun\n"
            store.run(registry.adopt_storage_mark("of another storage"))
            _, said = worker.communicate(timeout=patient(30))
        finally:
            worker.kill()
    assert worker.returncode == EXIT_MISCONFIGURED
    assert "this worker ends: FARM_STORAGE_URL names" in said
