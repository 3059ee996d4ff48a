"""No test is lost between the tiers, and each target runs what CONTRIBUTING.md says."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.order import CALCULATE, LONGEST, in_turn, uses_the_farm
from tests.tiers import BEFORE, CONTRIBUTING, TESTS, TIERS, count, folders, table

ROOT = TESTS.parent
QUICK = "test"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """One that make takes for ready."""
    for ready in (".ready", ".engines-ready"):
        (tmp_path / ready).touch()
    return tmp_path


def command(environment: Path, target: str, arguments: str = "", faults: str = "") -> list[str]:
    """The words of pytest's command line, as make would run it."""
    outside = {name: value for name, value in os.environ.items() if name not in ("ARGS", "PROCESSES", "MAKEFLAGS")}
    said = subprocess.run(
        ("make", "--dry-run", target, f"FARM_VENV={environment}", f"ARGS={arguments}", f"FAULTS={faults}"),
        cwd=ROOT, env=outside, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    (line,) = (line for line in said.splitlines() if line.startswith(f"{environment}/bin/pytest "))
    return line.split()[1:]


def processes(words: list[str]) -> str:
    return words[words.index("-n") + 1]


def paths(words: list[str]) -> set[str]:
    """The folders and files that pytest would collect."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    return {word for word in words if word.startswith("tests/")} or set(settings["testpaths"])


def test_every_folder_with_tests_belongs_to_one_tier() -> None:
    assert sorted(folder for members in TIERS.values() for folder in members) == folders()
    assert not list(TESTS.glob("test_*.py")), "a test outside the folders belongs to no tier"


@pytest.mark.parametrize("target", TIERS)
def test_a_target_of_make_runs_the_folders_of_its_tier(target: str, environment: Path) -> None:
    assert paths(command(environment, target)) == {f"tests/{folder}" for folder in TIERS[target]}


@pytest.mark.parametrize("target", TIERS)
def test_a_filter_alone_keeps_the_tier(target: str, environment: Path) -> None:
    words = command(environment, target, "-k lease")
    assert paths(words) == {f"tests/{folder}" for folder in TIERS[target]}
    assert words[-2:] == ["-k", "lease"]


@pytest.mark.parametrize("target", TIERS)
def test_named_tests_run_alone_of_whatever_tier(target: str, environment: Path) -> None:
    words = command(environment, target, "tests/chaos/test_kills.py -k desk")
    assert paths(words) == {"tests/chaos/test_kills.py"}


def test_faults_whose_seconds_are_published_run_in_one_process(environment: Path) -> None:
    assert processes(command(environment, "test-faults", faults="full")) == "0"
    assert processes(command(environment, QUICK, "tests/chaos")) == "0"
    assert processes(command(environment, "test-faults")) == "3"


@pytest.mark.parametrize("target", TIERS)
def test_every_tier_is_part_of_the_gates(target: str) -> None:
    with_lint = "check" if target == QUICK else target
    for gate in (".ci/run", ".github/workflows/ci.yml"):
        assert f"make {with_lint}" in (ROOT / gate).read_text()


def test_processes_take_every_file_of_the_tier_once_in_turns_and_the_short_ones_last() -> None:
    files = [file for folder in TIERS[QUICK] for file in (TESTS / folder).glob("test_*.py")]
    ordered = [file.parent.name for file in in_turn(reversed(files))]
    assert sorted(in_turn([*files, *files])) == sorted(files)
    assert set(ordered[-12:]) <= set(CALCULATE)
    for tenth in range(7):
        some = ordered[tenth * len(ordered) // 10 :][: len(ordered) // 10]
        assert {"flow", "api", "pure"} <= set(some), "files that wait and files that calculate are mixed"


def test_files_that_use_the_farm_are_known() -> None:
    client = {file.name for file in (TESTS / "client").glob("test_*.py") if uses_the_farm(file)}
    assert {"test_cli.py", "test_client.py", "test_local.py"} <= client
    assert client.isdisjoint({"test_child.py", "test_port.py"})
    assert not any(map(uses_the_farm, (TESTS / "store").glob("test_*.py")))


@pytest.mark.parametrize("folder", ["indextts", "chaos"])
def test_files_that_take_minutes_begin(folder: str) -> None:
    longest = [file for file in LONGEST if file.startswith(f"{folder}/")]
    ordered = in_turn((TESTS / folder).glob("test_*.py"))
    assert [f"{folder}/{file.name}" for file in ordered[: len(longest)]] == sorted(longest)
    assert len(longest) > 2


@pytest.mark.parametrize("folder", BEFORE)
def test_no_test_was_lost_since_there_are_tiers(folder: str) -> None:
    assert count(folder).functions >= BEFORE[folder][0]


def test_the_numbers_are_those_of_the_table() -> None:
    assert table() in CONTRIBUTING.read_text("utf-8"), "run `python -m tests.tiers`"
