"""The Docker engine that the container tests run on: this machine's, or Debian's, started for as long as they last.

Needs no image registry. Where there is no engine it needs root and Debian's packages; `why_not` says so in a sentence.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.patience import patient

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PACKAGES = ("docker.io", "docker-compose", "debootstrap", "iptables")
BASE_IMAGE = "local/python:3.11-slim-bookworm"
API_IMAGE, WORKER_IMAGE = "tts-farm-api:e2e", "tts-farm-worker:e2e"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_START_S = 30.0
_CAPABILITIES = (12, 21)  # CAP_NET_ADMIN, CAP_SYS_ADMIN


def program(name: str) -> str | None:
    """Debian's own before others: a client of another make may not know the engine that Debian has."""
    return shutil.which(name, path=f"/usr/bin:/usr/sbin:{os.environ['PATH']}")


def run(
    *command: str, environment: Mapping[str, str] | None = None, without: tuple[str, ...] = (), check: bool = True
) -> subprocess.CompletedProcess[str]:
    """In this process's environment without what begins so, and with what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(without)}
    done = subprocess.run(
        command, cwd=ROOT, env=kept | dict(environment or {}), capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"`{' '.join(command)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run(program("docker") or "docker", *arguments, environment={"DOCKER_BUILDKIT": "1"}, check=check)


def answers() -> bool:
    return program("docker") is not None and docker("info", check=False).returncode == 0


def why_not() -> str | None:
    """What keeps the container tests from running here; None where they can."""
    if answers() and program("docker-compose") and docker("image", "inspect", BASE_IMAGE, check=False).returncode == 0:
        return None
    if os.geteuid() != 0:
        return "they need root, to start an engine and to make a base image without a registry"
    if program("apt-get") is None:
        return "they need Debian's packages (apt-get), to start an engine without a registry"
    if not answers() and not _may_start_an_engine():
        return "they need an engine, and root may start none here (CAP_SYS_ADMIN and CAP_NET_ADMIN are missing)"
    if _missing():
        fetched = run("apt-get", "update", "--quiet", "--option", "APT::Update::Error-Mode=any", check=False)
        if fetched.returncode:
            return f"they need {', '.join(_missing())}, and apt-get can't reach Debian's packages"
    return None


@contextmanager
def engine(log: Path) -> Iterator[None]:
    """One that runs already is used and left alone. What is missing comes from Debian."""
    if missing := _missing():
        quietly = {"DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "install", "--yes", "--no-install-recommends", *missing, environment=quietly)
    if answers():
        yield
        return
    with log.open("wb") as output:
        daemon = subprocess.Popen([program("dockerd") or "dockerd"], stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + patient(_START_S)
        while not answers():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"dockerd does not answer; the end of its log:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)  # a daemon says nothing when it is ready: it has to be asked
        yield
    finally:
        daemon.terminate()
        daemon.wait()


def _missing() -> list[str]:
    """Of Debian's packages; an engine of another make brings its own client."""
    needed = PACKAGES if not answers() else [name for name in PACKAGES if name != "docker.io"]
    return [name for name in needed if run("dpkg", "--status", name, check=False).returncode]


def _may_start_an_engine() -> bool:
    held = int(re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)[1], 16)  # type: ignore[index]
    return all(held >> capability & 1 for capability in _CAPABILITIES)


def make_base_image() -> None:
    if docker("image", "inspect", BASE_IMAGE, check=False).returncode:
        run(str(HERE / "base-image"), BASE_IMAGE)


def build(dockerfile: str, tag: str, *options: str, context: Path = ROOT) -> float:
    """Seconds that it took. Packages come from where this machine's pip takes them."""
    started = time.monotonic()
    docker("build", "--file", dockerfile, "--tag", tag, *build_options(), *options, str(context))
    return time.monotonic() - started


def build_options() -> Sequence[str]:
    options = ["--build-arg", f"PYTHON_IMAGE={BASE_IMAGE}"]
    if CA_BUNDLE.exists():
        options += ["--secret", f"id=ca,src={CA_BUNDLE}"]
    config = pip_configuration()
    if config is not None:
        options += ["--secret", f"id=pip,src={config}"]
    return options


def pip_configuration() -> Path | None:
    candidates = (Path.home() / ".config/pip/pip.conf", Path("/etc/pip.conf"))
    return next((path for path in candidates if path.exists()), None)


if __name__ == "__main__":
    reason = why_not()
    print(f"the container tests can't run here: {reason}" if reason else "the container tests can run here")  # noqa: T201
    sys.exit(reason is not None)
