"""Ends the processes that a killed supervisor left running, and no others.

    python -m farm.embedded.orphans FOLDER      waits until its stdin closes without a word: the supervisor was killed

The supervisor starts this as its warden, and sweeps by itself at every start. A process is a child of the farm on a
folder if its environment has the mark that the supervisor wrote into run/mark, and names the folder. The mark is random
and new at every start: neither a clock that was set, nor a process that got the number of a dead one, nor a farm on a
copy of the folder can be mistaken for it.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from farm.embedded.data_folder import lock, write

MARK = "TTS_FARM_CHILD"  # in the environment of every child: the mark, and the child's name
GRACE_S = 10.0
UNLOCK_S = 3.0  # a dying process closes its files one by one: the lock may be free only after the pipe is
_LAST = ("api", "redis")  # workers go first, so that they can give their segments back; Redis goes last


def new_mark(data: Path) -> str:
    """Makes the mark of the children that are started from now on. Call it after `sweep`, which needs the last one."""
    mark = secrets.token_hex(16)
    write(data / "run" / "mark", mark)
    return mark


def sweep(data: Path, grace: float = GRACE_S) -> list[str]:
    """Stops the orphans of the data folder, in order, and removes the pid files. Returns the names it stopped."""
    leaders = sorted(
        ((name, process) for name, process in _orphans(data) if _leads(process)),
        key=lambda found: (_rank(found[0]), found[0]),
    )
    for _, process in leaders:
        _end(process, grace)
    for _, process in _orphans(data):  # what they have started, if it outlived them
        with suppress(psutil.NoSuchProcess):
            process.kill()
    for file in (data / "run").glob("*.pid"):
        file.unlink(missing_ok=True)
    return [name for name, _ in leaders]


def hold(data: Path) -> IO[str] | None:
    """The lock of a data folder, held while the file is open; None when another process has it."""
    file = lock(data / "run" / "lock")
    if file is not None:
        file.truncate(0)  # it has the number of the last holder
    return file


def _rank(name: str) -> int:
    return _LAST.index(name) + 1 if name in _LAST else 0


def _orphans(data: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The living children by their names, and what they have started."""
    try:
        mark = (data / "run" / "mark").read_text()
    except FileNotFoundError:
        return
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended meanwhile, or is another user's
            found = process.environ()
            given, _, name = found.get(MARK, "").partition(" ")
            if mark and given == mark and found.get("FARM_DATA_DIR") == str(data) and not _is_zombie(process):
                yield name, process


def _leads(process: psutil.Process) -> bool:
    """Whether it is a child itself: each has a session of its own."""
    try:
        return os.getsid(process.pid) == process.pid
    except ProcessLookupError:
        return False


def _end(process: psutil.Process, grace: float) -> None:
    with suppress(psutil.NoSuchProcess):
        process.terminate()
    if not _gone(process, grace):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        _gone(process, grace)


def _gone(process: psutil.Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if not process.is_running() or _is_zombie(process):
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def _is_zombie(process: psutil.Process) -> bool:
    """A zombie counts as gone: a container without an init has nobody to reap it."""
    return process.status() == psutil.STATUS_ZOMBIE


def main() -> None:
    data = Path(sys.argv[1])
    if sys.stdin.buffer.read():
        return  # the supervisor stopped everything itself, and said so
    deadline = time.monotonic() + UNLOCK_S
    while time.monotonic() < deadline:
        held = hold(data)
        if held is not None:
            with held:
                sweep(data)
            return
        time.sleep(0.05)
    # A new supervisor was faster, and it sweeps by itself.


if __name__ == "__main__":
    main()
