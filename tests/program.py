"""Runs `python -P -m …` of the farm in a process of its own, without the second or two in which Python loads libraries.

The process is forked from one that has loaded them, and nothing of the farm: the program reads its environment, its
settings and its own modules as a fresh one does. What depends on the start of Python itself, its PYTHON… variables, its
exit handlers or signals, needs a `subprocess`.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from tests.patience import patient

# What api, worker and the command import from others, most of it through these.
_LIBRARIES = [
    "boto3", "celery.bin.worker", "fastapi", "httpx", "kombu.transport.redis", "pydantic_settings",
    "redis.asyncio", "soundfile", "soxr", "uvicorn",
]  # fmt: skip

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_LIBRARIES)


def run(
    *command: str,
    env: Mapping[str, str],
    cwd: Path | None = None,
    say: bytes = b"",
    timeout: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """`python -P -m *command`, which hears `say` at its standard input.

    Raises subprocess.TimeoutExpired once it has ended the process, after `timeout` seconds, times the patience.
    """
    with TemporaryDirectory() as folder:
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        hears, says = _context.Pipe(duplex=False)
        process = _context.Process(target=_become, args=(command, dict(env), cwd or Path.cwd(), hears, stdout, stderr))
        process.start()
        hears.close()
        speaker = Thread(target=_speak, args=(says, say), daemon=True)
        speaker.start()
        process.join(patient(timeout))
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(command, patient(timeout), stdout.read_bytes(), stderr.read_bytes())
        return subprocess.CompletedProcess(command, process.exitcode, stdout.read_text(), stderr.read_text())


def _speak(says: Connection, say: bytes) -> None:
    with says, open(says.fileno(), "wb", closefd=False) as pipe:
        try:
            pipe.write(say)
            pipe.flush()
        except BrokenPipeError:  # the program did not want to hear it
            pass


def _become(
    command: tuple[str, ...], env: dict[str, str], folder: Path, hears: Connection, stdout: Path, stderr: Path
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    os.dup2(hears.fileno(), 0)
    for number, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    module, *words = command
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
