"""Benchmarks of voices run for minutes, so what they lack is said before."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.weights import look_for_ear, look_for_kokoro
from farm.settings import Settings


def test_a_benchmark_without_an_ear_says_in_a_line_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        look_for_ear(Settings(ear_dir=tmp_path))
    assert ended.value.code == (
        f"the ear: {tmp_path}/model.bin is missing; run: python -m worker fetch ear, or set FARM_EAR_DIR"
    )


def test_a_benchmark_without_kokoro_says_in_a_line_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_KOKORO_DIR", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        look_for_kokoro()
    missing = f"{tmp_path}/kokoro-v1.0.int8.onnx is missing; run: python -m worker fetch kokoro"
    assert ended.value.code == f"Kokoro: {missing}, or set FARM_KOKORO_DIR"


@pytest.mark.parametrize("name", ["gate", "gate_tax", "voices"])
def test_a_benchmark_of_voices_looks_for_the_ear_before_it_renders(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = import_module(f"benchmarks.{name}")
    monkeypatch.setattr("sys.argv", [name])
    monkeypatch.setenv("FARM_EAR_DIR", str(tmp_path))
    monkeypatch.setattr(f"benchmarks.{name}.look_for_kokoro", lambda: None)
    monkeypatch.setattr(f"benchmarks.{name}.load", lambda _: pytest.fail("it loads an engine first"))
    with pytest.raises(SystemExit, match="python -m worker fetch ear"):
        benchmark.main()
