"""One supervised process: restarts, giving up, and leaving nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from farm.embedded.child import FAILURES, Child, Program
from farm.embedded.orphans import MARK, hold, new_mark, sweep
from farm.errors import EXIT_FAULT, EXIT_HUNG, EXIT_MISCONFIGURED, FarmError
from tests.patience import patient

Start = Callable[[str], Child]


class GaveUp:
    def __init__(self) -> None:
        self.error: FarmError | None = None
        self.happened = threading.Event()

    def __call__(self, error: FarmError) -> None:
        self.error = error
        self.happened.set()


@pytest.fixture
def gave_up() -> GaveUp:
    return GaveUp()


@pytest.fixture
def start(tmp_path: Path, gave_up: GaveUp) -> Iterator[Start]:
    children: list[Child] = []

    def start(script: str) -> Child:
        program = Program("child", ("/bin/sh", "-c", script), {"PATH": os.environ["PATH"]})
        child = Child(program, tmp_path, tmp_path, gave_up)
        children.append(child)
        child.start()
        return child

    yield start
    for child in children:
        child.end()
        child.join(time.monotonic() + patient(5))


def test_a_killed_child_is_started_again_and_the_pid_file_names_the_new_one(start: Start, tmp_path: Path) -> None:
    child = start("exec sleep 1000")
    first = child.replaced(None, patient(5))
    child.signal(signal.SIGKILL)
    second = child.replaced(first, patient(5))
    assert int((tmp_path / "child.pid").read_text()) == second != first


def test_a_child_that_is_killed_ever_so_often_is_never_given_up(start: Start, gave_up: GaveUp) -> None:
    child = start("exec sleep 1000")
    pid = child.replaced(None, patient(5))
    for _ in range(8):
        child.signal(signal.SIGKILL)
        pid = child.replaced(pid, patient(5))
    assert not gave_up.happened.is_set()


@pytest.mark.parametrize("end", [f"exit {EXIT_HUNG}", f"exit {EXIT_FAULT}", "kill -ALRM $$"])
def test_a_worker_that_poison_brings_down_is_started_again_however_often(
    start: Start, gave_up: GaveUp, end: str
) -> None:
    child = start(f"sleep 0.05; {end}")
    pid = child.replaced(None, patient(5))
    for _ in range(FAILURES + 2):
        pid = child.replaced(pid, patient(5))
    assert not gave_up.happened.is_set()


def test_a_child_that_keeps_failing_is_given_up_with_the_end_of_its_log(start: Start, gave_up: GaveUp) -> None:
    start("echo the reason; exit 3")
    assert gave_up.happened.wait(patient(10))
    assert "4 times in a row" in str(gave_up.error)
    assert "the reason" in str(gave_up.error)


def test_a_child_that_calls_itself_misconfigured_is_given_up_at_once(
    start: Start, gave_up: GaveUp, tmp_path: Path
) -> None:
    child = start("echo set FARM_X; exit 78")
    assert gave_up.happened.wait(patient(10))
    assert "set FARM_X" in str(gave_up.error)
    assert child.log.read_text() == "set FARM_X\n"


@pytest.mark.parametrize("code", [EXIT_MISCONFIGURED, 3])
def test_a_slow_start_is_no_proof_and_the_reason_is_given_as_soon_as_on_a_quick_machine(
    start: Start, gave_up: GaveUp, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr("farm.embedded.child.STEADY_S", 0.1)  # its imports alone take longer than this
    start(f"sleep 0.2; echo set FARM_X; exit {code}")
    assert gave_up.happened.wait(patient(10))
    assert "set FARM_X" in str(gave_up.error)


def test_a_child_that_has_proved_itself_is_not_given_up_for_keys_that_were_changed(
    start: Start, tmp_path: Path, gave_up: GaveUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.embedded.child.LONGEST_PAUSE_S", 0.1)
    well, runs = tmp_path / "well", tmp_path / "runs"
    well.touch()
    child = start(f"echo >> {runs}; [ -e {well} ] && exec sleep 1000; exit {EXIT_MISCONFIGURED}")
    first = child.replaced(None, patient(5))
    _appears(runs)
    child.prove()
    well.unlink()
    child.signal(signal.SIGKILL)
    child.replaced(first, patient(5))

    deadline = time.monotonic() + patient(10)
    while len(runs.read_text()) <= FAILURES + 2:
        assert time.monotonic() < deadline, "it was not started again"
        assert not gave_up.happened.wait(0.02)


def test_a_program_that_cannot_start_is_given_up(tmp_path: Path, gave_up: GaveUp) -> None:
    Child(Program("child", ("/nowhere/redis-server",), {}), tmp_path, tmp_path, gave_up).start()
    assert gave_up.happened.wait(patient(10))
    assert "/nowhere/redis-server" in str(gave_up.error)


def test_the_grandchildren_of_a_dead_child_die_with_it(start: Start, tmp_path: Path) -> None:
    child = start(f"sleep 1000 & echo $! > {tmp_path}/grandchild; wait")
    first = child.replaced(None, patient(5))
    grandchild = psutil.Process(int(_appears(tmp_path / "grandchild")))
    child.signal(signal.SIGKILL)
    child.replaced(first, patient(5))
    assert _is_gone(grandchild)


def test_ending_asks_first_and_kills_after_the_deadline(start: Start, tmp_path: Path) -> None:
    child = start(f"trap 'touch {tmp_path}/asked' TERM; echo > {tmp_path}/ready; while :; do sleep 0.05; done")
    process = psutil.Process(child.replaced(None, 5))
    _appears(tmp_path / "ready")
    child.end()
    child.join(time.monotonic() + patient(0.5))
    assert (tmp_path / "asked").exists()
    assert _is_gone(process)
    assert child.pid is None
    assert not (tmp_path / "child.pid").exists()


def test_only_the_orphans_of_this_folder_are_swept(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    (ours / "run").mkdir(parents=True)
    mark = new_mark(ours)
    shutil.copytree(ours, theirs)
    orphan = _sleep(FARM_DATA_DIR=str(ours), **{MARK: f"{mark} redis"})
    stranger = _sleep(FARM_DATA_DIR=str(theirs), **{MARK: f"{mark} api"})
    try:
        (ours / "run" / "redis.pid").write_text(f"{orphan.pid}\n")
        (ours / "run" / "api.pid").write_text(f"{stranger.pid}\n")
        (ours / "run" / "desk.pid").write_text("nonsense")
        assert sweep(ours) == ["redis"]
        assert orphan.wait(patient(5)) == -signal.SIGTERM
        assert stranger.poll() is None
        assert list((ours / "run").glob("*.pid")) == []
    finally:
        stranger.kill()
        stranger.wait()


def test_an_orphan_is_recognised_whatever_the_clock_and_its_pid_file_say(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    mark = new_mark(tmp_path)
    render, desk = (_sleep(FARM_DATA_DIR=str(tmp_path), **{MARK: f"{mark} {name}"}) for name in ("render", "desk"))
    stale = tmp_path / "run" / "render.pid"
    stale.write_text(f"{render.pid}\n")
    os.utime(stale, (time.time() - 180, time.time() - 180))  # the clock was set forward; the desk has no file at all
    assert sweep(tmp_path) == ["desk", "render"]
    assert (render.wait(patient(5)), desk.wait(patient(5))) == (-signal.SIGTERM, -signal.SIGTERM)


def test_what_an_orphan_has_started_goes_with_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    marked = {"FARM_DATA_DIR": str(tmp_path), MARK: f"{new_mark(tmp_path)} render"}
    speaker = _sleep(False, **marked)  # it leads no session, so it is no child itself
    assert sweep(tmp_path) == []
    assert speaker.wait(patient(5)) == -signal.SIGKILL


def test_a_process_that_got_the_number_of_a_dead_child_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    new_mark(tmp_path)
    stale = tmp_path / "run" / "render.pid"
    later = _sleep(FARM_DATA_DIR=str(tmp_path))
    try:
        stale.write_text(f"{later.pid}\n")
        os.utime(stale, (time.time() - 60, time.time() - 60))
        assert sweep(tmp_path) == []
        assert later.poll() is None
    finally:
        later.kill()
        later.wait()


def test_a_folder_has_one_holder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    first = hold(tmp_path)
    assert first is not None
    assert hold(tmp_path) is None
    first.close()
    second = hold(tmp_path)
    assert second is not None
    second.close()


def _sleep(leads: bool = True, /, **environment: str) -> subprocess.Popen[bytes]:
    """A process that runs, leader of a session. Of one that only begins, nobody can read the environment yet."""
    command = (sys.executable, "-c", "import sys, time; print(flush=True); time.sleep(1000)")
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=leads)
    assert process.stdout is not None
    with process.stdout as ready:
        ready.readline()
    return process


def _appears(file: Path) -> str:
    deadline = time.monotonic() + patient(10)
    while time.monotonic() < deadline:
        if file.exists() and (text := file.read_text()):
            return text
        time.sleep(0.01)
    raise TimeoutError(file)


def _is_gone(process: psutil.Process) -> bool:
    deadline = time.monotonic() + patient(10)
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False
