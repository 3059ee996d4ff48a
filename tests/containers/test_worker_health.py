"""python -m worker.health, asked of real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.patience import patient
from worker import health
from worker.health import Health

# A process that answers, and enters the state that it reads from stdin. It has lost three threads.
WORKER = """
import sys
from worker.health import Health
health = Health("render", lambda: ["heartbeat", "keeper", "standby"])
health.start()
print("up", flush=True)
for line in sys.stdin:
    getattr(health, line.strip())()
    print("done", flush=True)
"""


class Worker:
    def __init__(self) -> None:
        command = [sys.executable, "-c", WORKER]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._heard()

    def enter(self, state: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{state}\n")
        self.process.stdin.flush()
        self._heard()

    def asked(self) -> str:
        return health.ask(self.name)

    @property
    def name(self) -> str:
        return f"tts-farm/worker/{self.process.pid}"

    def _heard(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(health, "_PATIENCE_S", patient(3))
    started = Worker()
    yield started
    started.process.kill()
    started.process.communicate()


def test_a_worker_that_loads_its_engine_is_not_well_yet(worker: Worker) -> None:
    assert re.match(r"ill: render is starting for \d+ s", worker.asked())


def test_a_worker_that_drains_is_well(worker: Worker) -> None:
    worker.enter("draining")
    assert re.fullmatch(r"well: render is draining for \d+ s", worker.asked())


def test_a_worker_that_lost_a_thread_is_ill_and_says_which(worker: Worker) -> None:
    worker.enter("ready")
    assert worker.asked().startswith("ill: render lost its heartbeat and keeper and standby thread")


def test_a_worker_with_all_its_threads_is_well() -> None:
    ready = Health("desk", list)
    ready.ready()
    assert re.fullmatch(r"well: desk is ready for \d+ s", ready.report())


def test_a_worker_that_hangs_gives_no_answer(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PATIENCE_S", 0.2)
    os.kill(worker.process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, worker.process.pid, os.WSTOPPED | os.WNOWAIT)
    assert worker.asked().startswith(f"ill: no answer from pid {worker.process.pid} (timed out)")


def test_a_worker_that_was_killed_leaves_nothing_behind(worker: Worker) -> None:
    assert worker.name in list(health._names())
    worker.process.kill()
    worker.process.wait()
    assert worker.name not in list(health._names())
    assert "Connection refused" in worker.asked()


def test_all_workers_of_the_machine_must_be_well(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Worker()
    monkeypatch.setattr(health, "_names", lambda: iter((worker.name, other.name)))
    worker.enter("draining")
    assert health.main() == 1
    other.enter("draining")
    assert health.main() == 0
    other.process.kill()
    other.process.communicate()
    assert capsys.readouterr().out.count("well:") == 3


def test_without_a_worker_the_health_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(health, "_names", lambda: iter(()))
    assert health.main() == 1
    assert capsys.readouterr().out == "ill: no worker runs here\n"


def test_the_health_command_imports_no_large_package() -> None:
    command = [sys.executable, "-c", "import sys, worker.health; print(sorted(sys.modules))"]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for large in ("celery", "pydantic", "redis", "numpy", "logging"):
        assert f"'{large}'" not in loaded
