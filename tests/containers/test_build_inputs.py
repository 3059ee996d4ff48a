"""The small programs that stand in the images: pins.py, take-gpu, prepare.py."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from farm.store import Store, registry
from tests.s3_server import S3Server

COMPOSE = Path(__file__).parents[2] / "compose"
PINS, TAKE_GPU, PREPARE = COMPOSE / "build" / "pins.py", COMPOSE / "build" / "take-gpu", COMPOSE / "prepare.py"
MISCONFIGURED = 78
KEY = "0123456789abcdef"

PROJECT = """
[project]
name = "Reading-Room"
dependencies = ["httpx>=0.28"]
[project.optional-dependencies]
store = ["redis>=5"]
api = ["reading_room[store]", "uvloop>=0.21; sys_platform != 'win32'"]
"""


# --- pins.py ----------------------------------------------------------------------------------------------------------


def pin(folder: Path, *extras: str, pinned: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "pins.txt").write_text(pinned)
    arguments = [str(folder / "pyproject.toml"), str(folder / "pins.txt"), str(folder), *extras]
    return subprocess.run([sys.executable, PINS, *arguments], capture_output=True, text=True, check=False)


def test_an_extra_includes_nested_extras_and_never_the_project_itself(tmp_path: Path) -> None:
    assert pin(tmp_path, "api").returncode == 0
    wanted = (tmp_path / "requirements.txt").read_text().splitlines()
    assert wanted == ["httpx>=0.28", "redis>=5", "uvloop>=0.21; sys_platform != 'win32'"]


def test_installed_packages_keep_their_versions_and_all_others_are_pinned(tmp_path: Path) -> None:
    pin(tmp_path, "api", pinned="# a comment\nPyTest==0.1\nnot_installed.here==1.2 ; python_version >= '3.11'\n")
    pinned = (tmp_path / "constraints.txt").read_text().splitlines()
    assert f"pytest=={pytest.__version__}" in pinned
    assert "PyTest==0.1" not in pinned
    assert pinned[-1] == "not_installed.here==1.2 ; python_version >= '3.11'"


def test_a_misspelt_extra_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    refused = pin(tmp_path, "apis")
    assert refused.returncode != 0
    assert "no extra 'apis'; it has api, store" in refused.stderr


def test_the_pins_of_indextts_leave_torch_to_the_dockerfile() -> None:
    for name in ("package", "official"):
        lines = (COMPOSE / "build" / "indextts" / f"{name}.txt").read_text().splitlines()
        assert not [line for line in lines if line.startswith(("torch==", "torchaudio==", "nvidia-"))]
        assert all("==" in line or line.startswith("indextts @ https://") for line in lines if line[0] != "#")


def test_the_images_of_this_project_have_extras_to_install() -> None:
    extras = tomllib.loads((COMPOSE.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"api", "worker", "espeak"} <= extras.keys()


# --- take-gpu ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts take-gpu on a machine whose nvidia-smi lists so many GPUs. Its command says which it has, and stays."""
    started: list[subprocess.Popen[str]] = []

    def start(gpus: int) -> subprocess.Popen[str]:
        lister = tmp_path / "bin" / "nvidia-smi"
        if not started:  # a worker that has just started may be running it
            lister.parent.mkdir()
            lister.write_text("#!/bin/sh\n" + "".join(f"echo GPU {number}\n" for number in range(gpus)))
            lister.chmod(0o755)
            (tmp_path / "locks").mkdir()
        environment = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "GPU_LOCKS": str(tmp_path / "locks")}
        worker = subprocess.Popen(
            [str(TAKE_GPU), "sh", "-c", "echo CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES; exec cat"],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(worker)
        return worker

    yield start
    for worker in started:
        with worker:  # closes its pipes, also after a failed assertion
            worker.kill()


def taken(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    worker.stdout.readline()
    return worker.stdout.readline().strip().removeprefix("CUDA_VISIBLE_DEVICES=")


def end(worker: subprocess.Popen[str], *, kill: bool = False) -> str:
    if kill:
        worker.kill()
    return worker.communicate()[1]


def test_each_worker_of_a_machine_has_a_gpu_of_its_own(machine: Callable[..., subprocess.Popen[str]]) -> None:
    first, second = machine(2), machine(2)
    assert {taken(first), taken(second)} == {"0", "1"}
    third = machine(2)
    told = end(third)
    assert third.returncode == MISCONFIGURED
    assert told.startswith("error: each of the 2 GPUs of this machine has a worker")
    end(first)
    end(second)


def test_a_gpu_is_free_when_its_worker_was_killed(machine: Callable[..., subprocess.Popen[str]]) -> None:
    first = machine(1)
    assert taken(first) == "0"
    end(first, kill=True)
    second = machine(1)
    assert taken(second) == "0"
    end(second)


def test_a_machine_without_a_gpu_is_told_what_to_install(machine: Callable[..., subprocess.Popen[str]]) -> None:
    worker = machine(0)
    told = end(worker)
    assert worker.returncode == MISCONFIGURED
    assert "NVIDIA container toolkit" in told


# --- prepare.py -------------------------------------------------------------------------------------------------------


def prepare(redis_url: str, storage_url: str, key: str = KEY, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {"FARM_REDIS_URL": redis_url, "FARM_STORAGE_URL": storage_url, "FARM_API_KEY": key}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FARM_"))}
    return subprocess.run(
        [sys.executable, PREPARE], cwd=COMPOSE.parent, env={**kept, "PYTHONPATH": ".", **environment, **given},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def digests(redis_url: str) -> list[str]:
    with closing(Store.connect(redis_url)) as store:
        return [key.digest for key in store.run(registry.keys()).values()]


def test_repeated_runs_make_the_bucket_and_the_key_once(redis_url: str, tmp_path: Path) -> None:
    server = S3Server(tmp_path)
    server.start()
    try:
        first = prepare(redis_url, "s3://narration/somewhere", **server.environment)
        again = prepare(redis_url, "s3://narration/somewhere", **server.environment)
    finally:
        server.stop()
    assert (first.returncode, again.returncode) == (0, 0), first.stdout + again.stdout
    assert "made bucket narration" in first.stdout
    assert "made bucket" not in again.stdout
    assert digests(redis_url) == [hashlib.sha256(KEY.encode()).hexdigest()]


def test_a_key_that_was_changed_replaces_the_old_one(redis_url: str, tmp_path: Path) -> None:
    for key in (KEY, KEY[::-1]):
        assert prepare(redis_url, tmp_path.as_uri(), key).returncode == 0
    assert digests(redis_url) == [hashlib.sha256(KEY[::-1].encode()).hexdigest()]


def test_a_key_that_could_be_guessed_is_refused(redis_url: str, tmp_path: Path) -> None:
    refused = prepare(redis_url, tmp_path.as_uri(), "secret")
    assert refused.returncode == MISCONFIGURED
    assert "openssl rand -hex 24" in refused.stdout
    assert digests(redis_url) == []


def test_wrong_keys_of_the_bucket_are_reported_with_the_settings_to_check(redis_url: str, tmp_path: Path) -> None:
    server = S3Server(tmp_path)
    server.start()
    try:
        wrong = server.environment | {"AWS_SECRET_ACCESS_KEY": "wrong"}
        refused = prepare(redis_url, "s3://narration", **wrong)
    finally:
        server.stop()
    assert refused.returncode == MISCONFIGURED
    assert "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in refused.stdout.splitlines()[-1]
