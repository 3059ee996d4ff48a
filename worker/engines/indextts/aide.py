"""A process beside the worker that answers questions: for work that holds Python's lock, and for a model of its own.

    ask() ──> pipe ──> a module's begin() ──> pipe ──> the answer, or the error that it raised

Every question has a deadline, and so has the start. A process that is late is killed, whether it computes, hangs in a
write or was stopped. The next question starts another. A process ends when its pipe closes, so a killed worker leaves
none behind.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")

# The environment of a process that computes on the CPU, one question at a time, beside others of its kind.
ON_ONE_CORE: Mapping[str, str] = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Late(Exception):
    """The process did not answer in time, and was killed."""


class Ended(Exception):
    """The process ended while it was asked."""


class Aide:
    """Runs the function `begin` of one module, which gets the opening and returns what answers questions. Not
    thread-safe: one question at a time."""

    def __init__(
        self, module: str, opening: object, *, start_s: float, environment: Mapping[str, str] | None = None
    ) -> None:
        """`opening` is the first that the process is told. It may take `start_s` seconds until it can be asked."""
        self._module, self._opening, self._start_s = module, opening, start_s
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._ready = False

    def start(self) -> None:
        """Begins to start the process, if none runs, and returns at once."""
        if self._process is not None:
            return
        self._pipe, theirs = Pipe()
        # A session of its own: a Ctrl-C that is meant for the worker must not end an answer on its way. Its stdout goes
        # nowhere, because the package prints customers' texts.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, self._module, str(theirs.fileno())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=self._environment,
            start_new_session=True,
        )  # fmt: skip
        theirs.close()
        self._ready = False

    def ask(self, question: object, deadline_s: float) -> Any:
        """The answer. Raises Late, Ended, or what the process raised."""
        self.start()
        if not self._ready:
            self._within(self._start_s, self._begin)
            self._ready = True
        error, answer = self._within(deadline_s, lambda: self._exchange(question))
        if error is not None:
            raise error
        return answer

    def close(self) -> None:
        """Ends the process by force: it has nothing to lose."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.kill()
            process.wait()

    def _begin(self) -> None:
        assert self._pipe is not None
        _send(self._pipe, self._opening)
        _receive(self._pipe)

    def _exchange(self, question: object) -> Any:
        assert self._pipe is not None
        _send(self._pipe, question)
        return _receive(self._pipe)

    def _within(self, seconds: float, act: Callable[[], T]) -> T:
        process = self._process
        assert process is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            return act()
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.close()
            if late.is_set():
                raise Late(f"no answer within {seconds:.0f} s") from error
            raise Ended(str(error) or "the process ended") from error
        finally:
            timer.cancel()
            if late.is_set():
                self.close()


def _serve(begin: Callable[[Any], Callable[[Any], object]], pipe: Connection[Any, Any]) -> None:
    """The process's side. Runs until the pipe closes."""
    with pipe, contextlib.suppress(EOFError, ConnectionError):
        answer = begin(_receive(pipe))
        _send(pipe, "ready")
        while True:
            _send(pipe, _tried(answer, _receive(pipe)))


def _send(pipe: Connection[Any, Any], value: object) -> None:
    """By the plain pickle: that of a Connection would share a tensor's memory, which a process that was not forked
    can't open."""
    pipe.send_bytes(pickle.dumps(value))


def _receive(pipe: Connection[Any, Any]) -> Any:
    return pickle.loads(pipe.recv_bytes())


def _tried(answer: Callable[[Any], object], question: object) -> tuple[Exception | None, object]:
    try:
        return None, answer(question)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return RuntimeError(f"{type(error).__name__}: {error}"), None
        return error, None


if __name__ == "__main__":
    _serve(importlib.import_module(sys.argv[1]).begin, Connection(int(sys.argv[2])))
