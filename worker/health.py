"""Whether a worker is well, asked of the process itself.

    python -m worker.health     asks every worker of this machine (a container has one); exit code 0: all are well

A worker answers on an abstract Unix socket named by its pid. The socket is gone when the process is. Redis is not
asked: its outage would make every worker ill, and all of them would be restarted at once. Nothing large is imported,
because a container asks every ten seconds (30 ms of CPU; by way of Celery it would be 600).
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_PREFIX = "tts-farm/worker/"
_SOCKETS = Path("/proc/net/unix")
_PATIENCE_S = 3.0
_WELL = "well: "


class Health:
    """The answering side, for the life of the process. Other systems than Linux have no such sockets, and no answer.

    `lost_threads` names the threads that the process needs and that have ended; only a ready worker is asked."""

    def __init__(self, role: str, lost_threads: Callable[[], Sequence[str]]) -> None:
        self._role, self._lost_threads = role, lost_threads
        self._state = "starting"
        self._since = time.monotonic()

    def start(self) -> None:
        if sys.platform != "linux":
            return
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"\0{_PREFIX}{os.getpid()}")
        listener.listen()
        os.register_at_fork(after_in_child=listener.close)  # or a pool would keep the name of a dead parent
        threading.Thread(target=self._answering, args=(listener,), name="health", daemon=True).start()

    def ready(self) -> None:
        self._enter("ready")

    def draining(self) -> None:
        self._enter("draining")

    def report(self) -> str:
        since = f"{self._state} for {time.monotonic() - self._since:.0f} s"
        if self._state == "starting":
            return f"ill: {self._role} is {since}: its engine is not loaded yet"
        if self._state == "ready" and (lost := self._lost_threads()):
            return f"ill: {self._role} lost its {' and '.join(lost)} thread; its log says why, a restart mends it"
        return f"{_WELL}{self._role} is {since}"

    def _enter(self, state: str) -> None:
        self._state, self._since = state, time.monotonic()

    def _answering(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):  # the asker has gone away
                connection.sendall(self.report().encode())


def ask(name: str) -> str:
    """The report of the worker on this socket, or the reason why there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE_S)
        try:
            connection.connect(f"\0{name}")
            return connection.recv(4096).decode()
        except OSError as error:
            return f"ill: no answer from pid {name.removeprefix(_PREFIX)} ({error}); it hangs, or is gone"


def _names() -> Iterator[str]:
    """The kernel lists a socket once for its listener, and once for every connection that is open."""
    fields = (line.split() for line in _SOCKETS.read_text().splitlines()[1:])
    names = {field[-1].removeprefix("@") for field in fields if len(field) == 8}
    yield from sorted(name for name in names if name.startswith(_PREFIX))


def main() -> int:
    if not _SOCKETS.exists():
        print("workers can be asked on Linux only; GET /v1/queue lists those with a heartbeat")  # noqa: T201
        return 1
    reports = [ask(name) for name in _names()] or ["ill: no worker runs here"]
    print("\n".join(reports))  # noqa: T201
    return 0 if all(report.startswith(_WELL) for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
