"""The gates that others run: GitHub's workflows, .ci/run and pre-commit say the same as the Makefile and the pins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def workflow(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text("utf-8"))
    return found


def steps(job: dict[str, Any], action: str) -> list[dict[str, Any]]:
    return [step for step in job["steps"] if step.get("uses", "").startswith(f"{action}@")]


@pytest.mark.parametrize("file", [*WORKFLOWS, ROOT / ".ci" / "run"], ids=lambda file: file.name)
def test_a_gate_names_targets_that_make_has(file: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z0-9-]+)", file.read_text())) <= targets


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_job_may_only_read_unless_it_says_more(file: Path) -> None:
    found = yaml.safe_load(file.read_text("utf-8"))
    assert found["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in found["jobs"].items() if "permissions" in job}
    assert all(rights == {"contents": "read", "packages": "write"} for rights in more.values())


def test_images_are_built_only_of_what_passed_all_tiers() -> None:
    jobs = workflow("images.yml")["jobs"]
    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    for name in ("images", "gpu-flash"):
        assert "ci" in jobs[name]["needs"]


@pytest.mark.parametrize("name", ["check", "model", "faults"])
def test_packages_are_kept_for_as_long_as_the_pins_are_the_same(name: str) -> None:
    (python,) = steps(workflow("ci.yml")["jobs"][name], "actions/setup-python")
    pins = python["with"]["cache-dependency-path"].split()
    assert pins == ["constraints.txt"] + (["tests/indextts/constraints.txt"] if name == "model" else [])
    assert all((ROOT / pin).is_file() for pin in pins)


def test_the_grammars_of_indextts_are_kept_in_the_folder_of_the_package() -> None:
    job = workflow("ci.yml")["jobs"]["model"]
    (python,), (cache,) = steps(job, "actions/setup-python"), steps(job, "actions/cache")
    version = python["with"]["python-version"]
    utils = f".venv/lib/python{version}/site-packages/indextts/utils"
    assert cache["with"]["path"].split() == [f"{utils}/nemo_cache", f"{utils}/tagger_cache"]
    runs = [step.get("run") for step in job["steps"]]
    assert runs.index("make types-model") < job["steps"].index(cache) < runs.index("make test-model")


def test_the_kernels_are_compiled_in_the_model_tier_by_the_nvcc_of_the_image() -> None:
    runs = [step.get("run", "") for step in workflow("ci.yml")["jobs"]["model"]["steps"]]
    (install,) = [run for run in runs if "cuda-toolkit" in run]
    (asked,) = re.findall(r'"(cuda-toolkit\[.*)\.\*"', install)
    dockerfile = (ROOT / "Dockerfile.worker").read_text("utf-8")
    (version,) = re.findall(r"^ARG NVCC=(.+)$", dockerfile, re.MULTILINE)
    assert asked.replace(version, "$NVCC") in dockerfile
    assert f"/cu{version.partition('.')[0]}/bin" in install
    assert runs.index(install) < runs.index("make test-model")


def test_a_commit_is_formatted_by_the_ruff_that_lints_it() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    (ruff,) = (repository for repository in hooks if repository["repo"].endswith("/ruff-pre-commit"))
    assert f"ruff=={ruff['rev'].removeprefix('v')}\n" in (ROOT / "constraints.txt").read_text()
