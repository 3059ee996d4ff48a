"""The first GPU's command on a CPU: every probe answers or says why not, and none keeps the others from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from benchmarks.first_gpu.__main__ import ask_all, main, obstacle_to
from benchmarks.first_gpu.bench import Bench, Missing, Plan
from benchmarks.first_gpu.probes import PROBES, Probe
from benchmarks.first_gpu.table import Result, Row, as_markdown, as_text
from tests.until import until

NEED_A_GPU = {"suites", "device assert", "kill"}
LONG = {"infer 2"}  # takes more than a minute of a CPU, as it does one text at a time; MODEL=full asks it too
MAY_LACK_A_PACKAGE = {"engine 2.5", "infer 2.5"}


@pytest.mark.timeout(240)
def test_every_probe_runs_or_says_why_not_and_the_table_is_complete(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # a core for each test process: threads that wait for others' would spin
    told = [f"--out={tmp_path / 'out'}", f"--scratch={tmp_path}", f"--checkpoint={checkpoint}"]
    asked = [probe.name for probe in PROBES if probe.name not in LONG or os.environ.get("MODEL") == "full"]
    only = [f"--only={name}" for name in asked]
    assert main([*told, *only, "--tiny", "--device=cpu", "--minutes=30"]) == 0

    results = json.loads((tmp_path / "out" / "results.json").read_text())["results"]
    log = (tmp_path / "out" / "log.txt").read_text()
    assert [result["probe"] for result in results] == asked
    rows = {result["probe"]: result["rows"] for result in results}
    assert [row for told in rows.values() for row in told if row["state"] == "failed"] == [], log
    silent = {name for name, told in rows.items() if not any(row["state"] == "measured" for row in told)}
    assert silent - MAY_LACK_A_PACKAGE == NEED_A_GPU
    assert all(row["says"] for told in rows.values() for row in told if row["state"] == "not run")
    table = (tmp_path / "out" / "table.md").read_text()
    assert table.count("\n| ") == 1 + sum(map(len, rows.values()))
    assert (tmp_path / "out" / "trace.json.gz").exists()


def well(bench: Bench) -> Iterator[Row]:
    yield Row("process", float(os.getpid()))


def raises(bench: Bench) -> Iterator[Row]:
    yield Row("before", 1.0)
    raise ValueError("wrong in this way\nand more")


def hangs(bench: Bench) -> Iterator[Row]:
    yield Row("before", 1.0)
    time.sleep(3600)  # stands for a probe that hangs: the host has to end it


def dies(bench: Bench) -> Iterator[Row]:
    yield Row("before", 1.0)
    os.abort()


def loses_the_device(bench: Bench) -> Iterator[Row]:
    raise RuntimeError("CUDA error: device-side assert triggered")
    yield


def lacks_something(bench: Bench) -> Iterator[Row]:
    raise Missing("there is no such card")
    yield


def lacks_a_package(bench: Bench) -> Iterator[Row]:
    import a_package_that_nobody_has  # type: ignore[import-not-found]

    yield a_package_that_nobody_has


def tells_nothing(bench: Bench) -> Iterator[Row]:
    return
    yield


def probe(function: Any, *, apart: bool = False) -> Probe:
    return Probe(function.__name__, f"{__name__}:{function.__name__}", 1.0, apart)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path, tmp_path, "cpu", tiny=True)


@pytest.mark.timeout(120)
def test_no_fault_of_a_probe_keeps_the_others_from_being_asked(plan: Plan) -> None:
    faulty = [raises, lacks_something, lacks_a_package, tells_nothing, hangs, dies, loses_the_device]
    asked = [probe(one) for one in [well, *faulty, well]]
    results = ask_all(asked, plan, 3600, lambda text: None)

    assert [result.probe for result in results] == [one.name for one in asked]
    first, *between, last = results
    by_name = {result.probe: result.rows for result in between}
    assert [row.says for row in by_name["raises"][1:]] == ["ValueError: wrong in this way"]
    assert [row.says for row in by_name["lacks_something"]] == ["there is no such card"]
    assert "a_package_that_nobody_has" in by_name["lacks_a_package"][0].says
    assert by_name["tells_nothing"][0].state == "failed"
    assert "ended after" in by_name["hangs"][1].says
    assert "SIGABRT" in by_name["dies"][1].says
    for name in ("raises", "hangs", "dies"):
        assert by_name[name][0] == Row("before", 1.0)  # what was told before the fault stays
    assert last.rows[0].state == "measured"
    assert last.rows[0].value != first.rows[0].value, "a process whose device is lost was used again"


@pytest.mark.timeout(60)
def test_a_dangerous_probe_has_a_process_of_its_own(plan: Plan) -> None:
    results = ask_all([probe(well), probe(well, apart=True), probe(well)], plan, 3600, lambda text: None)
    assert len({result.rows[0].value for result in results}) == 3


def starts_another(bench: Bench) -> Iterator[Row]:
    """As the suites do, and the probe that kills."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    (bench.plan.out / "started").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(3600)  # stands for a kernel that runs for long
    yield Row("never", 1.0)


@pytest.mark.timeout(120)
def test_nothing_goes_on_when_the_command_is_killed(tmp_path: Path) -> None:
    asking = f"""
from pathlib import Path
from benchmarks.first_gpu.__main__ import ask_all
from benchmarks.first_gpu.bench import Plan
from tests.indextts.test_first_gpu import probe, starts_another

if __name__ == "__main__":
    out = Path({str(tmp_path)!r})
    ask_all([probe(starts_another)], Plan(out, out, "cpu", tiny=True), 3600, print)
"""
    (tmp_path / "asking.py").write_text(asking)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = subprocess.Popen([sys.executable, str(tmp_path / "asking.py")], env=environment)
    started = tmp_path / "started"
    until(lambda: started.exists() and len(started.read_text().split()) == 2, 40)
    processes = [psutil.Process(int(number)) for number in started.read_text().split()]
    command.kill()
    command.wait()
    until(lambda: all(map(_ended, processes)))


def _ended(process: psutil.Process) -> bool:
    """Also where nobody has asked for its exit code yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def dawdles(bench: Bench) -> Iterator[Row]:
    time.sleep(1.5)  # longer than the probe's second
    yield Row("at last", 1.0)


@pytest.mark.timeout(120)
def test_a_slow_card_for_which_more_minutes_are_given_has_more_for_each_probe(plan: Plan) -> None:
    in_earnest = replace(plan, tiny=False)
    (given_ten,) = ask_all([probe(dawdles)], in_earnest, 600, lambda text: None)
    (given_an_hour,) = ask_all([probe(dawdles)], in_earnest, 3600, lambda text: None)
    assert "ended after 1 s" in given_ten.rows[0].says
    assert [row.what for row in given_an_hour.rows] == ["at last"]


def test_a_probe_for_which_no_time_is_left_says_so(plan: Plan) -> None:
    (result,) = ask_all([probe(hangs)], plan, 0, lambda text: None)
    assert result.rows[0].state == "not run"
    assert "no time" in result.rows[0].says


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_without_a_gpu_nothing_is_asked_and_one_line_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)  # some indexes have a build for CUDA by default
    assert main([f"--out={tmp_path / 'out'}"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: PyTorch {torch.__version__} is a build without CUDA; install the one for your driver, or say --tiny "
        "--device cpu"
    ]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("device", "seen"), [("cuda", 0), ("cuda:1", 1)])
def test_a_gpu_that_pytorch_does_not_see_is_named_with_its_reason(
    device: str, seen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def available() -> bool:
        if not seen:
            warnings.warn("CUDA initialization: The NVIDIA driver on your system is too old", stacklevel=1)
        return bool(seen)

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen or 1)  # NVML counts it without a driver that fits
    reason = "what does nvidia-smi say?" if seen else "The NVIDIA driver on your system is too old"
    said = str(obstacle_to(device))
    assert f"of CUDA 13.0 sees {seen} GPUs here, and not {device}: " in said
    assert reason in said
    seen = 2
    assert obstacle_to(device) is None


def test_a_machine_without_pytorch_is_told_how_to_get_it() -> None:
    hidden = """
import sys, importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "torch" else find_spec(name)
sys.modules["torch"] = None
from benchmarks.first_gpu.__main__ import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", hidden, "--out", "nowhere"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.partition(":")[0]) == (2, "error")
    assert "PyTorch is not installed here" in done.stderr


def test_the_table_keeps_its_columns_whatever_a_row_says() -> None:
    result = Result("one", 1.0, [Row("a|b", "two\nlines", says="x | y")])
    assert as_markdown("Title", [result]).splitlines()[-1] == "| one | a\\|b | two lines | x \\| y |"
    assert "a|b" in as_text(result)
