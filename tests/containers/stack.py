"""One farm of containers: compose/compose.yaml with the stand-ins over it, under a project name of its own."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from tests.conftest import free_port
from tests.containers.docker import API_IMAGE, HERE, ROOT, WORKER_IMAGE, docker, program, run
from tests.patience import patient
from tests.s3_server import ACCESS_KEY, SECRET_KEY

COMPOSE_FILES = (ROOT / "compose" / "compose.yaml", HERE / "stand_ins" / "compose.yaml")
_ASK_S = 0.2  # between two looks at something that Docker can't be asked to wait for


@dataclass(frozen=True, slots=True)
class Death:
    service: str
    exit_code: int


class Stack:
    """`environment` is what a user writes into compose/.env, made up here; nothing of the caller's own is seen."""

    def __init__(self, folder: Path, project: str) -> None:
        self._folder = folder
        self.project = project
        self.api_key = secrets.token_hex(24)
        self.port, storage_port = free_port(), free_port()
        self.environment = {
            "REDIS_PASSWORD": secrets.token_hex(24),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "FARM_API_KEY": self.api_key,
            "FARM_S3_PUBLIC_ENDPOINT": f"http://127.0.0.1:{storage_port}",
            "API_PORT": str(self.port),
            "STORAGE_PORT": str(storage_port),
            "API_IMAGE": API_IMAGE,
            "WORKER_IMAGE": WORKER_IMAGE,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def compose(
        self, *arguments: str, check: bool = True, files: tuple[Path, ...] = COMPOSE_FILES, **changed: str
    ) -> CompletedProcess[str]:
        """`changed`: variables of .env that are different this time."""
        settings = self._folder / f"{self.project}.env"
        settings.write_text("".join(f"{name}={value}\n" for name, value in (self.environment | changed).items()))
        return compose(*arguments, project=self.project, settings=settings, files=files, check=check)

    def containers(self, service: str, *, all: bool = False) -> list[str]:
        """Ids, by label: the names are made differently by the two Composes."""
        labels = (f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}")
        filters = [part for label in labels for part in ("--filter", f"label={label}")]
        return docker("ps", "--quiet", "--no-trunc", *(["--all"] if all else []), *filters).stdout.split()

    def inspect(self, container: str) -> dict[str, Any]:
        (found,) = json.loads(docker("inspect", container).stdout)
        return dict(found)

    def kill(self, container: str) -> None:
        """kill -9 of the process itself: what `docker kill` ends is not started again."""
        before = self.inspect(container)["State"]["Pid"]
        os.kill(before, signal.SIGKILL)
        self.until(f"{container[:12]} runs again", lambda: self.inspect(container)["State"]["Pid"] not in (0, before))

    def until_healthy(self, *services: str, seconds: float = 90) -> None:
        for service in services:
            for container in self.containers(service, all=True):
                self.until(f"{service} is healthy", lambda of=container: self._health(of) == "healthy", seconds)

    def until(self, what: str, holds: Any, seconds: float = 60) -> None:
        seconds = patient(seconds)
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:g} s until {what}:\n{self.compose('logs', '--tail=20').stdout}")
            time.sleep(_ASK_S)  # what is waited for is in other containers, which tell nobody: it has to be asked

    @contextmanager
    def deaths(self) -> Iterator[list[Death]]:
        """Those of this project's containers while the block runs, known at its end. Listened to and not looked up:
        the engine keeps 256 events, and health checks fill them in half a minute."""
        command = (
            program("docker") or "docker", "events", "--since", f"{time.time():.3f}", "--filter", "event=die",
            "--filter", f"label=com.docker.compose.project={self.project}", "--format", "{{json .Actor.Attributes}}",
        )  # fmt: skip
        listener = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        found: list[Death] = []
        try:
            yield found
        finally:
            listener.terminate()
            told, _ = listener.communicate()
            for line in told.splitlines():
                of = json.loads(line)
                found.append(Death(of["com.docker.compose.service"], int(of["exitCode"])))

    def down(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")

    def _health(self, container: str) -> str:
        return str(self.inspect(container)["State"]["Health"]["Status"])


def compose(
    *arguments: str, project: str, files: tuple[Path, ...], settings: Path | None = None, check: bool = True
) -> CompletedProcess[str]:
    """docker-compose 1.29, which refuses more than v2 does."""
    command = [program("docker-compose") or "docker-compose", "--project-name", project]
    if settings is not None:
        command += ["--env-file", str(settings)]
    command += [part for file in files for part in ("--file", str(file))]
    return run(*command, *arguments, without=("AWS_", "FARM_", "REDIS_"), check=check)
