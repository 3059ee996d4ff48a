"""Fetches a checkpoint from the Hugging Face hub, at pinned revisions, by the hub's own client.

Progress goes to stderr. A cut transfer goes on within the same file, and a hub that does not answer is asked again for
two minutes. A file that has arrived is never fetched again. The file that a killed process was fetching begins anew,
because the client, at version 1.33, keeps no parts of files.
"""

from __future__ import annotations

import errno
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from huggingface_hub import constants, errors, snapshot_download

from farm.errors import FarmError, Misconfigured, Unavailable
from worker.engines.indextts.load.checkpoint import REPOSITORIES, Repository, how_to_fetch, hub_cache

log = logging.getLogger(__name__)

_PAUSES_S = (1, 4, 15, 40, 60)


def fetch(
    version: str, folder: Path | None = None, cache: Path | None = None, wait: Callable[[float], None] = time.sleep
) -> None:
    """Fetches the missing files of a checkpoint into `folder` and its hf_cache/, or all into the hub's cache.

    Raises:
        Misconfigured: the hub refuses, must not be asked, or has no such file; the disk is full or can't be written to.
        Unavailable: the hub can't be reached.
    """
    cache = cache or hub_cache()
    repositories = REPOSITORIES[version]
    for number, repository in enumerate(repositories, 1):
        if repository.is_present(folder, cache):
            continue
        log.info("fetching %s, %d of %d repositories", repository.name, number, len(repositories))
        if folder is not None and repository is repositories[0]:
            _fetch(repository, version, folder, None, wait)
        else:
            _fetch(repository, version, None, folder / "hf_cache" if folder else cache, wait)


def _fetch(
    repository: Repository, version: str, folder: Path | None, cache: Path | None, wait: Callable[[float], None]
) -> None:
    """Its files into a plain `folder`, or into a `cache` of the hub's client."""
    place = folder or cache
    assert place is not None
    for pause in (*_PAUSES_S, None):
        try:
            place.mkdir(parents=True, exist_ok=True)
            snapshot_download(
                repository.name,
                revision=repository.revision,
                allow_patterns=[*repository.files, *repository.more],
                local_dir=folder,
                cache_dir=cache,
            )
            return
        # The errors of the client, its transports and the file system have no other bases in common.
        except (OSError, RuntimeError, ValueError, httpx.HTTPError) as error:
            reason = _reason(error, repository, version, place)
            if pause is None or not reason.retryable:
                raise reason from error
            log.warning("%s; trying again in %d s", reason.message, pause)
            wait(pause)


def _reason(error: Exception, repository: Repository, version: str, place: Path) -> FarmError:
    command = how_to_fetch(version)
    causes = list(_causes(error))
    if any(isinstance(cause, errors.OfflineModeIsEnabled) for cause in causes):
        return Misconfigured(
            f"{repository.name} is not here, and HF_HUB_OFFLINE forbids fetching it; unset that, or copy the files "
            "from a machine that has them and name their folder in FARM_INDEXTTS_DIR"
        )
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    if numbers & {errno.ENOSPC, errno.EDQUOT}:
        free = shutil.disk_usage(place).free / 1e9
        return Misconfigured(
            f"{place} is full: {free:.1f} GB are free, and IndexTTS-{version} takes about 9 in all; make room, or set "
            f"HF_HOME to a larger disk, and run: {command}"
        )
    if numbers & {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
        return Misconfigured(
            f"{place} can't be written to ({error}); set HF_HOME to a folder that can, and run: {command}"
        )
    answers = (getattr(cause, "response", None) for cause in causes)  # older clients have errors whose response is None
    status = next((answer.status_code for answer in answers if answer is not None), None)
    if status in (401, 403):
        return Misconfigured(
            f"{constants.ENDPOINT} refuses {repository.name}; accept its licence there, if it asks for that, and set "
            f"HF_TOKEN to a token of yours, and run: {command}"
        )
    if status == 404:
        return Misconfigured(
            f"{constants.ENDPOINT} has no {repository.name} at {repository.revision}; if HF_ENDPOINT names a mirror, "
            "try without it"
        )
    what = " ".join((str(error) or type(error).__name__).split())[:300]
    return Unavailable(
        f"{repository.name} can't be fetched from {constants.ENDPOINT} ({what}); what has arrived stays: run {command}"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
