"""The data folder of an embedded farm, which no other user of the machine can read.

It holds texts, voices, digests of keys, the secret of webhooks, and the socket of a Redis that runs what it is told to.
So its folders are open to their owner alone, whatever the umask of the shell is.
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from farm.errors import Misconfigured

UMASK = 0o077  # of every process of the farm
FOLDERS = ("run", "logs", "redis", "storage")
_SECRET = "webhook.secret"
_OWN = frozenset({*FOLDERS, _SECRET})


def prepare(data: Path) -> None:
    """Makes the folder and those in it, and closes them to other users. A folder that holds other things as well keeps
    its own mode, because it may be /tmp or a home. Raises Misconfigured, which names what can't be made."""
    try:
        data.mkdir(0o700, parents=True, exist_ok=True)
        if set(os.listdir(data)) <= _OWN:
            _close(data)
        for name in FOLDERS:
            (data / name).mkdir(0o700, exist_ok=True)
            _close(data / name)
    except OSError as error:
        raise Misconfigured(
            f"{error.filename or data} can't be used ({error.strerror}); "
            "choose another folder with --data or FARM_DATA_DIR"
        ) from None


def readable(data: Path) -> Path:
    """The folder, if its name can stand in URLs and JSON, which are UTF-8. Raises Misconfigured otherwise."""
    try:
        str(data).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(data).decode(errors="backslashreplace")
        raise Misconfigured(f"{shown} is not UTF-8; choose another folder with --data or FARM_DATA_DIR") from None
    return data


def is_closed(folder: Path) -> bool:
    return not stat.S_IMODE(folder.stat().st_mode) & 0o077


def private(path: str, flags: int) -> int:
    """An opener: open(path, "w", opener=private) makes a file that only its owner can read."""
    return os.open(path, flags, 0o600)


def write(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    fresh = path.with_name(f"{path.name}.fresh")
    with open(fresh, "w", encoding="utf-8", opener=private) as file:
        file.write(text)
    fresh.replace(path)


def webhook_secret(data: Path) -> str:
    """The farm's own `whsec_…`, made once; only the owner of the file can read it."""
    path = data / _SECRET
    with suppress(FileExistsError), os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
    return path.read_text().strip()


def lock(path: Path) -> IO[str] | None:
    """The file, locked until it is closed here and in every process that inherited it; None when another has it."""
    file = os.fdopen(private(str(path), os.O_RDWR | os.O_CREAT | os.O_APPEND), "a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _close(folder: Path) -> None:
    if not is_closed(folder):
        with suppress(PermissionError):  # it is another user's, or its file system has no modes
            folder.chmod(0o700)
