"""The test suites of the stages on this device, as `pytest` counts them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks.first_gpu.bench import Bench, Missing
from benchmarks.first_gpu.table import Row, failed, judged

_SUITES = ("test_kv", "test_sampling", "test_decode", "test_flow", "test_vocoder", "test_kernels")
_TESTS = Path(__file__).parents[2] / "tests" / "indextts"
_SECONDS = 100
_NAMED = 8


def on_the_device(bench: Bench) -> Iterator[Row]:
    if not bench.on_cuda:
        raise Missing("on a CPU `make test-model` runs them")
    if lacking := [name for name in ("pytest", "pytest_timeout", "hypothesis") if find_spec(name) is None]:
        raise Missing(f"needs {' and '.join(lacking)}: pip install pytest pytest-timeout hypothesis")
    bench.close_engine()
    files = [str(path) for name in _SUITES if (path := _TESTS / f"{name}.py").exists()]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rf", "--no-header", *files]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        yield failed("suites", f"ended after {_SECONDS} s: {_tail(error.stdout)}")
        return
    (bench.plan.out / "suites.txt").write_text(said.stdout + said.stderr)
    counts = {kind: int(number) for number, kind in re.findall(r"(\d+) (passed|failed|skipped|error)", said.stdout)}
    good = not counts.get("failed") and not counts.get("error") and bool(counts.get("passed"))
    told = ", ".join(f"{number} {kind}" for kind, number in counts.items()) or f"exit code {said.returncode}"
    yield judged("suites", good, told, " ".join(_SUITES))
    wrong = re.findall(r"^FAILED \S*?(\w+\.py::\S+)", said.stdout, re.MULTILINE)
    for name in wrong[:_NAMED]:
        yield failed(name, "suites.txt has its report")


def _tail(output: str | bytes | None) -> str:
    text = output.decode(errors="replace") if isinstance(output, bytes) else output or ""
    return text.strip().rpartition("\n")[2]
