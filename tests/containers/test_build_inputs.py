"""The small programs that stand in the images: pins.py, take-gpu, prepare.py."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def test_each_package_has_one_pin_also_where_indextts_is_installed_for_its_tests() -> None:
    files = [COMPOSE.parent / "constraints.txt", COMPOSE.parent / "tests" / "indextts" / "constraints.txt"]
    lines = [line.partition(" ;") for file in files for line in file.read_text().splitlines() if line[0] != "#"]
    pinned = Counter((pin.partition("==")[0], where) for pin, _, where in lines)
    assert [package for (package, _), count in pinned.items() if count > 1] == []


def test_the_pins_of_indextts_leave_torch_to_the_dockerfile() -> None:
    for name in ("package", "official"):
        lines = (COMPOSE / "build" / "indextts" / f"{name}.txt").read_text().splitlines()
        assert not [line for line in lines if line.startswith(("torch==", "torchaudio==", "nvidia-"))]
        assert all("==" in line or line.startswith("indextts @ https://") for line in lines if line[0] != "#")


def test_the_images_of_this_project_have_extras_to_install() -> None:
    extras = tomllib.loads((COMPOSE.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"api", "worker", "espeak"} <= extras.keys()


# What the image does not have is here, for other tests.
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {absent}:
            raise ModuleNotFoundError(f"no module named {{name!r}} in this image", name=name)
sys.meta_path.insert(0, Absent())
import {part}
"""


@pytest.mark.parametrize(
    ("part", "extras"),
    [
        ("api.__main__", ["api", "otel"]),
        ("worker.app, worker.desk.desk", ["worker", "otel", "espeak"]),
    ],
)
def test_a_part_of_the_farm_imports_only_what_its_image_installs(part: str, extras: list[str], tmp_path: Path) -> None:
    root = COMPOSE.parent
    arguments = [root / "pyproject.toml", root / "constraints.txt", tmp_path, *extras]
    subprocess.run([sys.executable, PINS, *map(str, arguments)], check=True)
    installed = with_requirements((tmp_path / "requirements.txt").read_text().splitlines())
    absent = [
        module
        for module, packages in packages_distributions().items()
        if installed.isdisjoint(map(canonicalize_name, packages)) and module not in ("farm", "api", "worker")
    ]
    script = WITHOUT.format(absent=absent, part=part)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr


def with_requirements(lines: Sequence[str]) -> set[str]:
    """The packages that pip installs for these lines, by the metadata of those that are here."""
    found: set[str] = set()
    waiting = [(Requirement(line), "") for line in lines]
    done = set()
    while waiting:
        wanted, extra = waiting.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        found.add(name)
        for each in ("", *wanted.extras):
            if (name, each) not in done:
                done.add((name, each))
                waiting += [(Requirement(line), each) for line in requires(name) or ()]
    return found


# --- take-gpu ---------------------------------------------------------------------------------------------------------


def whole(number: int) -> str:
    return f"GPU-{number:08x}-5d3c-4f1e-8a43-2f0d3b1c7e90"


def slice_of(number: int, place: int) -> str:
    return f"MIG-{number:08x}-{place:04x}-5f0a-9c55-c1f6d1e6a1ab"


class Machine:
    """One on which nvidia-smi tells of `gpus`: each is the number of its slices, or None for one that is not cut. Its
    workers say what they have, and stay."""

    def __init__(self, folder: Path, *gpus: int | None) -> None:
        self._folder = folder
        self._workers: list[subprocess.Popen[str]] = []
        (folder / "locks").mkdir()
        lines, modes = [], []
        for number, slices in enumerate(gpus):
            lines.append(f"GPU {number}: NVIDIA H100 80GB HBM3 (UUID: {whole(number)})")
            lines += [f"  MIG 1g.10gb     Device  {at}: (UUID: {slice_of(number, at)})" for at in range(slices or 0)]
            modes.append(f"{whole(number)}, {'[N/A]' if slices is None else 'Enabled'}")
        self.says("\n".join(lines), "\n".join(modes))

    def says(self, listed: str, modes: str = "", code: int = 0) -> None:
        """What nvidia-smi prints to --list-gpus and to a query."""
        program = self._folder / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        (self._folder / "listed").write_text(f"{listed}\n" if listed else "")
        (self._folder / "modes").write_text(f"{modes}\n" if modes else "")
        program.write_text(
            f'#!/bin/sh\ncase $1 in --list-gpus) cat "{self._folder}/listed"; exit {code} ;; '
            f'--query-gpu=uuid,mig.mode.current) cat "{self._folder}/modes" ;; *) exit 2 ;; esac\n'
        )
        program.chmod(0o755)

    def start(self, **environment: str) -> subprocess.Popen[str]:
        given = {"PATH": f"{self._folder}/bin:{os.environ['PATH']}", "GPU_LOCKS": str(self._folder / "locks")}
        told = "echo $CUDA_VISIBLE_DEVICES $CUDA_DEVICE_ORDER $OMP_NUM_THREADS; exec cat"
        worker = subprocess.Popen(
            [str(TAKE_GPU), "sh", "-c", told], env={**given, **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._workers.append(worker)
        return worker

    def refused(self) -> str:
        """What a worker says that finds no place here."""
        worker = self.start()
        told = end(worker)
        assert worker.returncode == MISCONFIGURED
        assert len(told.splitlines()) == 1
        assert told.startswith("error: ")
        return told

    def close(self) -> None:
        for worker in self._workers:
            with worker:  # closes its pipes, also after a failed assertion
                worker.kill()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    made: list[Machine] = []

    def make(*gpus: int | None) -> Machine:
        made.append(Machine(tmp_path, *gpus))
        return made[-1]

    yield make
    for each in made:
        each.close()


def environment(worker: subprocess.Popen[str]) -> list[str]:
    """The worker's device, the order of devices and the number of threads, as its command finds them."""
    assert worker.stdout is not None
    worker.stdout.readline()
    return worker.stdout.readline().split()


def taken(worker: subprocess.Popen[str]) -> str:
    return environment(worker)[0]


def end(worker: subprocess.Popen[str], *, kill: bool = False) -> str:
    if kill:
        worker.kill()
    return worker.communicate()[1]


def test_each_worker_of_a_machine_has_a_gpu_of_its_own(machine: Callable[..., Machine]) -> None:
    here = machine(None, None)
    assert [taken(here.start()), taken(here.start())] == [whole(0), whole(1)]
    assert "each of the 2 GPUs of this machine has a worker" in here.refused()


def test_a_gpu_that_is_cut_counts_as_its_slices_alone(machine: Callable[..., Machine]) -> None:
    here = machine(2, None, 1)
    found = [taken(here.start()) for _ in range(4)]
    assert found == [slice_of(0, 0), slice_of(0, 1), whole(1), slice_of(2, 0)]
    assert "each of the 4 GPUs" in here.refused()


def test_slices_as_older_drivers_name_them_can_be_locked(machine: Callable[..., Machine]) -> None:
    here = machine()
    here.says(f"GPU 0: NVIDIA A100 (UUID: {whole(0)})\n  MIG 3g.20gb Device 0: (UUID: MIG-{whole(0)}/2/0)")
    assert taken(here.start()) == f"MIG-{whole(0)}/2/0"
    assert "each of the 1 GPUs" in here.refused()


def test_a_gpu_whose_cutting_is_on_and_undone_is_left_to_nobody(machine: Callable[..., Machine]) -> None:
    here = machine(0, None)
    assert taken(here.start()) == whole(1)
    assert "each of the 1 GPUs" in here.refused()


def test_a_machine_with_nothing_but_uncut_gpus_in_mig_mode_is_told_so(machine: Callable[..., Machine]) -> None:
    assert "none has slices" in machine(0, 0).refused()


def test_a_driver_without_mig_is_no_obstacle(machine: Callable[..., Machine]) -> None:
    here = machine()
    here.says(f"GPU 0: NVIDIA GeForce RTX 4090 (UUID: {whole(0)})", "Field mig.mode.current is not a valid field")
    assert taken(here.start()) == whole(0)


def test_a_worker_sees_its_gpu_by_name_and_starts_few_threads(machine: Callable[..., Machine]) -> None:
    here = machine(None, None)
    assert environment(here.start()) == [whole(0), "PCI_BUS_ID", "2"]
    assert environment(here.start(OMP_NUM_THREADS="7")) == [whole(1), "PCI_BUS_ID", "7"]


def test_a_gpu_is_free_when_its_worker_was_killed(machine: Callable[..., Machine]) -> None:
    here = machine(None)
    first = here.start()
    assert taken(first) == whole(0)
    end(first, kill=True)
    assert taken(here.start()) == whole(0)


@pytest.mark.parametrize(
    ("says", "code"),
    [("No devices found.", 6), ("Failed to initialize NVML: Driver/library version mismatch", 18), ("", 0)],
)
def test_a_machine_without_a_gpu_is_told_what_to_install(says: str, code: int, machine: Callable[..., Machine]) -> None:
    here = machine()
    here.says(says, code=code)
    told = here.refused()
    assert "NVIDIA container toolkit" in told
    assert says in told


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
