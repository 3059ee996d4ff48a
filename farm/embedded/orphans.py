"""Ends the processes that a killed supervisor left running, and no others.

    python -m farm.embedded.orphans FOLDER      waits until its stdin closes without a word: the supervisor was killed

The supervisor starts this as its warden, and sweeps by itself at every start. A process is an orphan of a data folder
if all of this holds: a pid file names it, it is older than that file, and its environment names the folder. A younger
process has got the number of one that is gone.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

GRACE_S = 10.0
UNLOCK_S = 3.0  # a dying process closes its files one by one: the lock may be free only after the pipe is
_LAST = ("api", "redis")  # workers go first, so that they can give their segments back; Redis goes last


def sweep(data: Path, grace: float = GRACE_S) -> list[str]:
    """Stops the orphans of the data folder, in order, and removes their pid files. Returns the names it stopped."""
    stopped = []
    files = sorted((data / "run").glob("*.pid"), key=lambda file: (_rank(file.stem), file.stem))
    for file in files:
        process = _orphan(file, data)
        if process is not None:
            _end(process, grace)
            stopped.append(file.stem)
        file.unlink(missing_ok=True)
    return stopped


def hold(data: Path) -> IO[str] | None:
    """The lock of a data folder, held while the file is open; None when another process has it."""
    file = (data / "run" / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _rank(name: str) -> int:
    return _LAST.index(name) + 1 if name in _LAST else 0


def _orphan(file: Path, data: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(int(file.read_text()))
        older = process.create_time() <= file.stat().st_mtime + 1  # create_time is exact to clock ticks only
        ours = process.environ().get("FARM_DATA_DIR") == str(data)
    except (ValueError, FileNotFoundError, psutil.Error):
        return None
    return process if older and ours else None


def _end(process: psutil.Process, grace: float) -> None:
    process.terminate()
    if not _gone(process, grace):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        _gone(process, grace)


def _gone(process: psutil.Process, seconds: float) -> bool:
    """A zombie counts as gone: a container without an init has nobody to reap it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def main() -> None:
    data = Path(sys.argv[1])
    if sys.stdin.buffer.read():
        return  # the supervisor stopped everything itself, and said so
    deadline = time.monotonic() + UNLOCK_S
    while time.monotonic() < deadline:
        lock = hold(data)
        if lock is not None:
            with lock:
                sweep(data)
            return
        time.sleep(0.05)
    # A new supervisor was faster, and it sweeps by itself.


if __name__ == "__main__":
    main()
