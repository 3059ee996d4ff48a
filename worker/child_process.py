"""The parent's end of a child process that serves requests: a line of JSON and some bytes there, the same back.

The child ends with its standard input, so it never outlives its parent. worker/engines/espeak/speaker.py and
worker/desk/plan_process.py are such children. One that nothing else stops within a request calls end_with_parent().
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

_END_S = 5.0  # for a child that is to end by itself
_NICE = 10
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")  # of the environment


def bare_environment() -> dict[str, str]:
    """Nothing of the farm's settings, for a child that reads what strangers send; with the paths of this Python."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


def limit(memory_bytes: int, cpu_s: int) -> None:
    """Of this process, a child: bytes of addresses, and seconds of a processor."""
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def end_with_parent() -> None:
    """For a child that may loop or hang within a request, where it reads nothing: the process ends as soon as the other
    end of its standard input, a pipe, is closed."""
    threading.Thread(target=_end_at_hangup, name="end-with-parent", daemon=True).start()


def _end_at_hangup() -> None:
    ends = select.poll()
    ends.register(0, 0)  # a hangup is told of without being asked for; what can be read is not
    ends.poll()
    os._exit(1)


class ChildProcess:
    """`environment` None: the parent's own."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        # A session of its own: a Ctrl-C for the worker must not end a request in flight.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env=environment
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ending(self) -> int | None:
        """As subprocess has it: the exit code, or the negative number of a signal; None while it runs."""
        return self._process.poll()

    def ask(self, head: Mapping[str, Any], body: bytes = b"") -> None:
        """Raises BrokenPipeError where it has ended."""
        self._requests.write(json.dumps(head).encode() + b"\n" + body)
        self._requests.flush()

    def answers_within(self, seconds: float) -> bool:
        """Whether an answer begins, or the child ends, in this time."""
        return bool(select.select([self._replies], [], [], seconds)[0])

    def answer(self) -> dict[str, Any]:
        """The line of an answer. Raises EOFError where the child ended before it was complete."""
        line = self._replies.readline()
        if not line.endswith(b"\n"):
            raise EOFError(f"its process ended ({self._process.wait()})")
        head: dict[str, Any] = json.loads(line)
        return head

    def read(self, size: int) -> bytes:
        """The bytes after the line. Raises EOFError where the child ended within them."""
        body = self._replies.read(size)
        if len(body) != size:
            raise EOFError("its process ended within the answer")
        return body

    def stop(self) -> None:
        """Lets it end by itself, for a while."""
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self.kill()

    def kill(self) -> None:
        if self.ending is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
