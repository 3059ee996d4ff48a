"""A farm on a data folder that was emptied, was moved, or was left by a farm that was killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from farm.client import Farm
from farm.embedded.running import Running
from farm.embedded.supervisor import Local
from farm.wire import JobRequest
from tests.client.conftest import clean_environment
from tests.patience import patient
from tests.until import until


def test_a_farm_whose_storage_was_emptied_starts_and_works(tmp_path: Path) -> None:
    """The folder is its own, so nobody has to say that it is the right one."""
    for _ in range(2):
        began = time.monotonic()
        with Local(tmp_path) as local, Farm(local.url) as client:
            assert time.monotonic() - began < patient(12), "the second start waited for a lock of the first"
            job = client.submit(JobRequest(input="Once more."))
            assert client.wait(job.id, timeout=patient(60)).status == "succeeded"
        shutil.rmtree(tmp_path / "storage")


def test_a_data_folder_that_was_moved_serves_its_jobs_at_another_address(tmp_path: Path) -> None:
    with Local(tmp_path / "here") as local, Farm(local.url) as client:
        job = client.submit(JobRequest(input="On the move."))
        client.wait(job.id, timeout=patient(60))
        before = client.audio(job.id, tmp_path / "before.mp3").read_bytes()
    (tmp_path / "here").rename(tmp_path / "there")
    host = "::1" if socket.has_dualstack_ipv6() else "127.0.0.1"
    with Local(tmp_path / "there", host=host) as local, Farm(local.url) as client:
        assert client.audio(job.id, tmp_path / "after.mp3").read_bytes() == before
        again = client.submit(JobRequest(input="And on it goes."))
        assert client.wait(again.id, timeout=patient(60)).status == "succeeded"


def test_a_killed_farm_leaves_no_process_and_goes_on_with_its_jobs_until_it_is_stopped(tmp_path: Path) -> None:
    killed, running = _up(tmp_path)
    parts = _parts(tmp_path)
    assert set(parts) == {"redis", "api", "render", "desk"}
    for file in (tmp_path / "run").glob("*.pid"):
        os.utime(file, (time.time() - 180, time.time() - 180))  # as after a clock that was set forward by 3 minutes
    with Farm(running.url) as client:
        job = client.submit(JobRequest(input="On we go. " * 500)).id
    killed.kill()
    killed.communicate()
    _wait_for_the_end_of(parts)
    assert Running.read(tmp_path) is None

    nohup = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    process, running = _up(tmp_path, nohup)
    process.send_signal(signal.SIGHUP)  # its terminal is closed
    parts = _parts(tmp_path)
    with Farm(running.url) as client:
        assert client.wait(job, timeout=patient(60)).status == "succeeded"
    process.terminate()
    _, said = process.communicate(timeout=patient(60))
    assert process.returncode == 0
    assert running.url in said
    assert said.rstrip().endswith("stopped")
    _wait_for_the_end_of(parts)
    assert list((tmp_path / "run").glob("*.pid")) == []
    assert not (tmp_path / "run" / "farm.json").exists()


def _up(data: Path, before: Callable[[], object] | None = None) -> tuple[subprocess.Popen[str], Running]:
    """`farm up`, ready."""
    process = subprocess.Popen(
        (sys.executable, "-P", "-m", "farm", "up", "--data", str(data), "--port", "0"),
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        preexec_fn=before,
    )
    with suppress(AssertionError):  # what the farm says tells more
        until(lambda: Running.read(data) is not None or process.poll() is not None, 90)
    if (running := Running.read(data)) is not None:
        return process, running
    process.kill()
    raise AssertionError(process.communicate()[1])


def _parts(data: Path) -> dict[str, psutil.Process]:
    return {file.stem: psutil.Process(int(file.read_text())) for file in (data / "run").glob("*.pid")}


def _wait_for_the_end_of(parts: dict[str, psutil.Process]) -> None:
    until(lambda: not any(map(_lives, parts.values())), 30)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
