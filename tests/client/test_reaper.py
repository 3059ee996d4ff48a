"""`farm up` as the first process of a container. A subreaper inherits orphans as that process does."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.patience import patient

BEGIN = """
import ctypes, os, signal, subprocess, sys, time
import psutil
from farm.cli import reaper
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h
ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
reaper.stand_between()
"""
ORPHANS = """
for _ in range(3):
    subprocess.run(("sh", "-c", "sleep 0.05 &"))
first = psutil.Process(os.getppid())
while len(first.children()) > 1:
    time.sleep(0.01)  # no event tells that a process of another parent is gone
sys.exit(7)
"""
STOPPED = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print(flush=True)
signal.pause()
"""


def test_orphans_leave_no_zombies_and_the_exit_code_is_passed_on() -> None:
    ended = subprocess.run((sys.executable, "-c", BEGIN + ORPHANS), timeout=patient(20))
    assert ended.returncode == 7


def test_a_signal_to_the_first_process_reaches_the_farm() -> None:
    with subprocess.Popen((sys.executable, "-c", BEGIN + STOPPED), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(patient(20)) == 5
