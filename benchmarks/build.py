"""What a change costs when images are built, and how large they are.

    python -m benchmarks.build                                    the espeak worker and the API
    python -m benchmarks.build --build-arg ENGINE=indextts ...    a worker with torch: any argument of Dockerfile.worker
    python -m benchmarks.build --registry 127.0.0.1:5000          also: a fresh engine that has the registry's cache

Goals: a change of code < 1 s, of pyproject.toml < 30 s, and flash-attn is built again by neither. Works on a copy of
the checkout. Needs what `make e2e` needs, and for --registry a registry on this machine (Debian: docker-registry).
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.containers import docker as engine
from tests.containers.docker import ROOT, build_options, docker, program, run

CONTEXT = ("farm", "api", "worker", "compose", "pyproject.toml", "constraints.txt", ".dockerignore")
GOALS = {"code": 1.0, "pyproject": 30.0}
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Build:
    seconds: float
    log: str

    def ran(self, sign: str) -> bool:
        """Whether a step whose command has this in it was run and not taken from a cache."""
        steps = {line.split()[0] for line in self.log.splitlines() if sign in line and line.startswith("#")}
        cached = {line.split()[0] for line in self.log.splitlines() if line.endswith("CACHED")}
        return bool(steps - cached)


class Images:
    """A copy of the checkout that may be changed, built again and again by one engine."""

    def __init__(self, folder: Path, options: Sequence[str], *, host: str | None = None) -> None:
        self.folder, self._options, self._host = folder, options, host
        for name in (*CONTEXT, "Dockerfile.worker", "Dockerfile.api"):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            else:
                shutil.copy(source, folder / name)

    def build(self, which: str, *options: str) -> Build:
        command = [program("docker") or "docker", *(("--host", self._host) if self._host else ()), "build"]
        command += ["--progress", "plain", "--file", str(self.folder / f"Dockerfile.{which}"), "--tag", tag(which)]
        command += [*build_options(), *(self._options if which == "worker" else ()), *options, str(self.folder)]
        started = time.monotonic()
        done = run(*command, environment={"DOCKER_BUILDKIT": "1"})
        return Build(time.monotonic() - started, done.stdout + done.stderr)

    def change(self, name: str) -> None:
        """Into something that no engine has seen, this benchmark's earlier runs included."""
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(f"# {secrets.token_hex(8)}\n")

    def ask_for(self, package: str) -> None:
        pyproject = self.folder / "pyproject.toml"
        wanted = f'dependencies = ["{package}!=0.{secrets.randbelow(10**9)}", '
        pyproject.write_text(pyproject.read_text("utf-8").replace("dependencies = [", wanted, 1), "utf-8")


def tag(which: str) -> str:
    return f"tts-farm-{which}:bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--registry", metavar="HOST:PORT", help="one that keeps the cache; its content is added to")
    given = parser.parse_args()
    options = [part for each in given.build_arg for part in ("--build-arg", each)]
    with tempfile.TemporaryDirectory(prefix="tts-farm-bench-") as name:
        folder = Path(name)
        with engine.engine(folder / "dockerd.log"):
            engine.make_base_image()
            (folder / "context").mkdir()
            images = Images(folder / "context", options)
            for which in ("worker", "api"):
                measure(images, which)
            if given.registry:
                from_registry(folder, options, given.registry)


def measure(images: Images, which: str) -> None:
    code = f"{which}/__init__.py"
    show(f"{which}: with whatever this engine has built before", images.build(which).seconds)
    show(f"{which}: nothing changed", median(images, which, None))
    show(f"{which}: {code} changed", median(images, which, code), GOALS["code"])
    images.change("pyproject.toml")
    show(f"{which}: pyproject.toml changed, not what it asks for", images.build(which).seconds, GOALS["pyproject"])
    images.ask_for("tzdata")
    show(f"{which}: pyproject.toml asks for something else", images.build(which).seconds, GOALS["pyproject"])
    size = int(docker("image", "inspect", "--format", "{{.Size}}", tag(which)).stdout)
    print(f"{which}: size{'':43} {size / 1e6:8.0f} MB")


def median(images: Images, which: str, changed: str | None) -> float:
    seconds = []
    for _ in range(ROUNDS):
        if changed:
            images.change(changed)
        seconds.append(images.build(which).seconds)
    return statistics.median(seconds)


def from_registry(folder: Path, options: Sequence[str], registry: str) -> None:
    """What a developer or a CI machine pays that has never built it, after somebody else has."""
    kept = f"{registry}/tts-farm-worker:cache"
    inline = ("--build-arg", "BUILDKIT_INLINE_CACHE=1")
    (folder / "theirs").mkdir()
    Images(folder / "theirs", options).build("worker", *inline, "--tag", kept)
    docker("push", kept)
    base = folder / "base.tar"
    docker("save", "--output", str(base), engine.BASE_IMAGE)
    with second_engine(folder) as host:
        run(program("docker") or "docker", "--host", host, "load", "--input", str(base))
        (folder / "ours").mkdir()
        ours = Images(folder / "ours", options, host=host)
        ours.change("worker/__init__.py")
        built = ours.build("worker", "--cache-from", kept, *inline)
    show("worker: a fresh engine, the registry's cache, changed code", built.seconds)
    layers = {"flash-attn": "FLASH_ATTN", "torch": "torch==", "packages": "pip install -r requirements.txt"}
    for layer, sign in layers.items():
        print(f"  {layer}: {'RUN AGAIN' if built.ran(sign) else 'not run again'}")


@contextmanager
def second_engine(folder: Path) -> Iterator[str]:
    """With nothing in it, beside the first, whose bridge and firewall it shares: a build with --network has other
    cache keys."""
    host = f"unix://{folder}/second.sock"
    command = [program("dockerd") or "dockerd", "--host", host, "--data-root", f"{folder}/second", "--exec-root"]
    command += [f"{folder}/second-run", "--pidfile", f"{folder}/second.pid", "--iptables=false"]
    with (folder / "second.log").open("wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while run(program("docker") or "docker", "--host", host, "info", check=False).returncode:
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the second engine does not answer:\n{(folder / 'second.log').read_text()[-2000:]}")
            time.sleep(0.2)
        yield host
    finally:
        daemon.terminate()
        daemon.wait()


def show(what: str, seconds: float, goal: float | None = None) -> None:
    verdict = "" if goal is None else f"   goal < {goal:g} s: {'met' if seconds < goal else 'MISSED'}"
    print(f"{what:<58} {seconds:6.2f} s{verdict}", flush=True)


if __name__ == "__main__":
    main()
