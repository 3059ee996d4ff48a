"""The process in which probes run, one after another, so that they share what is loaded.

A CUDA call that hangs can't be interrupted, and after some faults a CUDA context is lost. So the process that asks has
no context of its own. It ends the host of a probe that hangs or breaks the device, and the next probe gets a new one.
The rows that a probe had told before stay. Where the process that asks is itself killed, its host ends too, with all
that the probe has started: none of them keeps a GPU.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.first_gpu.bench import Bench, Missing, Plan
from benchmarks.first_gpu.probes import Probe
from benchmarks.first_gpu.table import Result, Row, failed, not_run

_START_S = 90.0  # for a process to import what it needs, before a probe's own seconds count

Tell = Callable[[Row], None]


@dataclass(frozen=True, slots=True)
class _Ready:
    """The host can take a probe."""


@dataclass(frozen=True, slots=True)
class _Over:
    """The probe has ended; `broken`: no other may run in this process."""

    broken: bool


class Host:
    """Runs probes by a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._line: Any = None

    def ask(self, probe: Probe, seconds: float) -> Result:
        """Never raises for what a probe does. `seconds`: how long the probe may take, at most."""
        rows: list[Row] = []
        if probe.apart:
            self.close()
        started = time.monotonic()
        broken = self._listen(probe, seconds, rows.append)
        if broken or probe.apart:
            self.close()
        if not rows:
            rows.append(failed(probe.name, "the probe told nothing"))
        return Result(probe.name, time.monotonic() - started, rows)

    def close(self) -> None:
        if self._process is None:
            return
        self._line.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # with the processes that it has started
        self._process.kill()
        self._process.join()
        self._process = self._line = None

    def _listen(self, probe: Probe, seconds: float, keep: Tell) -> bool:
        """Whether the process is of no more use."""
        try:
            if self._process is None:
                self._start()
            self._line.send(probe)
            deadline = time.monotonic() + seconds
            while self._line.poll(max(0.0, deadline - time.monotonic())):
                told = self._line.recv()
                if isinstance(told, _Over):
                    return told.broken
                keep(told)
        except (EOFError, OSError):
            self._process.join(5)
            keep(failed(probe.name, f"its process died ({_cause(self._process.exitcode)})"))
        else:
            keep(failed(probe.name, f"ended after {seconds:.0f} s, in which it did not answer"))
        return True

    def _start(self) -> None:
        self._line, far = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(far, self._plan), daemon=False)
        self._process.start()
        far.close()
        if not self._line.poll(_START_S):
            raise EOFError
        self._line.recv()


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def _serve(line: Connection, plan: Plan) -> None:
    """The host's own side. What libraries print goes into the log beside the table."""
    os.setpgrp()
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    log = os.open(plan.out / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    bench = Bench(plan)
    line.send(_Ready())
    while True:
        try:
            probe = line.recv()
        except EOFError:
            return
        print(f"--- {probe.name}", flush=True)
        broken = False
        try:
            for row in _rows(probe, bench):
                line.send(row)
        except Missing as missing:
            line.send(not_run(probe.name, str(missing)))
        except ImportError as error:
            traceback.print_exc()
            name = error.name or "a package"
            line.send(not_run(probe.name, f"{name} can't be imported here: {_first_line(error)}"))
        except Exception as error:
            traceback.print_exc()
            broken = _lost(error)
            line.send(failed(probe.name, _first_line(error)))
        sys.stdout.flush()
        line.send(_Over(broken or not bench.tidy()))


def _end_with(parent: Any) -> None:
    parent.join()
    os.killpg(0, signal.SIGKILL)  # this process's group


def _rows(probe: Probe, bench: Bench) -> Iterator[Row]:
    module, _, function = probe.run.partition(":")
    rows: Iterator[Row] = getattr(import_module(module), function)(bench)
    return rows


def _lost(error: BaseException) -> bool:
    try:
        from worker.engines.indextts.device_error import device_failed
    except ImportError:
        return True  # a new process does no harm
    return device_failed(error)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
