"""examples/engine, installed as its users would install it: it joins the table, passes the suite and narrates."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from farm.client import Farm
from farm.embedded.supervisor import Local
from farm.wire import JobRequest, Output

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the example is installed, from a copy outside of the tree and without a network."""
    folder = tmp_path_factory.mktemp("outside")
    source, site = folder / "source", folder / "site"
    shutil.copytree(ROOT / "examples" / "engine", source)
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", str(site), str(source)],
        check=True, cwd=folder,
    )  # fmt: skip
    shutil.rmtree(source)
    paths = [str(site), str(ROOT)]
    return {"PYTHONPATH": os.pathsep.join(paths)}


def environment(more: dict[str, str]) -> dict[str, str]:
    """Without the marks by which a pytest in a pytest takes itself for a part of the first."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | more


def test_it_is_listed_beside_the_farms_own_engines(installed: dict[str, str]) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "worker.engines", "tones"],
        env=environment(installed), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "FARM_TONES_LETTER_MS" in listed.stdout


def test_it_passes_the_suite_of_every_engine_from_outside_of_the_tree(
    installed: dict[str, str], tmp_path: Path
) -> None:
    suite = ROOT / "tests" / "engine" / "test_engine_suite.py"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", str(suite), "-k", "tones", "-p", "no:cacheprovider"],
        cwd=tmp_path, env=environment(installed), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:]
    found = re.search(r"(\d+) passed", ran.stdout)
    assert found is not None
    assert int(found[1]) > 30


def test_a_farm_narrates_a_line_with_it(installed: dict[str, str], tmp_path: Path) -> None:
    line = "The tide went out, and nobody saw it go."
    with Local(tmp_path / "data", model="tones", environment=installed) as local, Farm(local.url) as farm:
        job = farm.wait(farm.submit(JobRequest(input=line, voice="high", output=Output(format="wav"))).id)
        assert job.status == "succeeded", job.error
        assert farm.manifest(job.id)["model"] == "tones"
        samples, rate = sf.read(farm.audio(job.id, tmp_path / "line.wav"))
    assert len(samples) / rate == pytest.approx(0.07 * (len(line) - 1), abs=0.3)
    assert np.sqrt(np.mean(samples**2)) > 0.05
