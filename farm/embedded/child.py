"""One process of the embedded farm: started, named by a pid file, and started again whenever it dies.

A child has a session of its own, so a Ctrl-C reaches the supervisor alone. Processes that a dead child leaves in its
session are killed before the next child starts. A child that keeps failing on its own is given up, and the error shows
the end of its log. Three kinds of child are never given up: one that was killed from outside, one that its work brought
down, and one that has proved itself. Redis or the bucket may be away for a while, or have new keys.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from farm.embedded.data_folder import UMASK, private, write
from farm.errors import EXIT_FAULT, EXIT_HUNG, EXIT_MISCONFIGURED, FarmError, Misconfigured

STEADY_S = 10.0  # after so long a life, a proven child is started again without delay
FAILURES = 4  # so many failures in a row of a child that never proved itself are a crash loop
FIRST_PAUSE_S = 0.1  # before a restart; doubles with every failure
LONGEST_PAUSE_S = 5.0
LOG_LIMIT = 10_000_000  # bytes; a longer log is set aside when its child is first started
TAIL_LINES = 15

_HUNG = (EXIT_HUNG, -signal.SIGALRM)  # ended by its watchdog, or by its alarm when the watchdog hung as well
_NO_FAULT_OF_ITS_OWN = (-signal.SIGKILL, -signal.SIGTERM, EXIT_FAULT, *_HUNG)


@dataclass(frozen=True, slots=True)
class Program:
    """The command of a child. `environment` is complete: the child inherits no other variable, and no open file but
    those numbered in `inherits`."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    inherits: tuple[int, ...] = ()


class Child:
    def __init__(self, program: Program, run: Path, logs: Path, give_up: Callable[[FarmError], None]) -> None:
        self.program = program
        self.log = logs / f"{program.name}.log"
        self._pid_file = run / f"{program.name}.pid"
        self._give_up = give_up
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._proven = False
        self._run_began = 0  # where in the log the present run began
        self._thread = threading.Thread(target=self._keep_alive, name=f"child-{program.name}", daemon=True)

    def start(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        self._thread.start()

    def prove(self) -> None:
        """Call it once the child was seen to work. Time alone proves nothing: a slow machine takes longer to read an
        API's modules than a quick one to serve a book."""
        self._proven = True

    def _keep_alive(self) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            try:
                process = self._spawn()
            except OSError as error:
                self._give_up(Misconfigured(f"{self.program.name} can't be started: {error}"))
                return
            if process is None:
                return
            code = process.wait()
            self._bury(process.pid)
            steady = self._proven and time.monotonic() - started > STEADY_S
            failures = 0 if code in _NO_FAULT_OF_ITS_OWN or steady else failures + 1
            if (failures == FAILURES or code == EXIT_MISCONFIGURED) and not self._proven and not self._stopping:
                times = "" if code == EXIT_MISCONFIGURED else f" {failures} times in a row before it was ready"
                self._give_up(
                    Misconfigured(
                        f"{self.program.name} ended{times} (exit code {code}); the end of {self.log}:\n{self.tail()}"
                    )
                )
                return
            pause = min(FIRST_PAUSE_S * 2**failures, LONGEST_PAUSE_S)
            with self._changed:
                if self._changed.wait_for(lambda: self._stopping, timeout=pause):
                    return

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        with self._changed, open(self.log, "ab", opener=private) as log:
            if self._stopping:
                return None
            self._run_began = log.tell()
            self._process = process = subprocess.Popen(
                self.program.command,
                env=dict(self.program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self.program.inherits,
                umask=UMASK,
            )
            write(self._pid_file, f"{process.pid}\n")
            self._changed.notify_all()
            return process

    def _bury(self, pid: int) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of a group of zombies
            os.killpg(pid, signal.SIGKILL)
        with self._changed:
            self._pid_file.unlink(missing_ok=True)
            self._process = None
            self._changed.notify_all()

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None else None

    def signal(self, number: signal.Signals) -> int | None:
        """Signals the process alone, as the system or a user would. Returns its pid; None when no process runs."""
        process = self._process
        if process is None:
            return None
        process.send_signal(number)
        return process.pid

    def replaced(self, old: int | None, timeout: float) -> int:
        """Waits until another process than `old` runs, and returns its pid."""
        with self._changed:
            self._changed.wait_for(lambda: self.pid not in (None, old), timeout)
            pid = self.pid
        if pid is None or pid == old:
            raise TimeoutError(f"{self.program.name} was not started again within {timeout:g} s; see {self.log}")
        return pid

    def end(self) -> None:
        """Asks the process to finish and forbids restarts; `join` waits for it."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self.signal(signal.SIGTERM)

    def join(self, deadline: float) -> None:
        """Waits until the monotonic time `deadline`, then kills a process that still runs, with its whole session."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive() and (pid := self.pid) is not None:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self._thread.join(5)

    def tail(self) -> str:
        """The last lines of the log, none of them from before the present run."""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._run_began, size - 8192))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:]) or "  (it wrote nothing)"
