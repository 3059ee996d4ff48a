"""The birth mark of the storage: a random id that is written there once, and that the farm's Redis knows.

Parts of a farm that see two storages lose work without an error: a job succeeds, and its result is nowhere. So each
part compares what lies in its storage with what Redis knows: at its start, and a worker again every minute.

    Redis    storage
    -        -            a new farm, or one of before there were marks: both get one
    -        a mark       a Redis that was emptied: it takes that mark over
    a mark   the same     well
    a mark   another, -   not the storage of this farm: Misconfigured. `farm adopt-storage` makes it the farm's own
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable

from farm.errors import Misconfigured, ObjectMissing, StorageUnavailable
from farm.layout import MARK
from farm.settings import Settings
from farm.storage import Storage
from farm.store import Store, registry
from farm.wire import Worker

_BIRTH_MS = 30_000  # while one process writes the first mark, the others wait
_PAUSE_S = 0.1


def recognise(store: Store, storage: Storage, settings: Settings) -> None:
    """Raises Misconfigured when this is not the storage of the farm, StorageUnavailable when it can't be looked at."""
    holder, gives_birth = secrets.token_hex(8), False
    deadline = time.monotonic() + _BIRTH_MS / 1000
    while (known := store.run(registry.storage_mark())) is None:
        found = read_mark(storage)
        if found is None and gives_birth:
            found = secrets.token_hex(8)
            storage.put(MARK, found.encode(), "text/plain")
        if found is not None:
            store.run(registry.keep_storage_mark(found))
            if gives_birth:  # else a storage that is emptied now would wait until the lock is over
                store.run(registry.unlock("storage"))
        elif time.monotonic() > deadline:
            raise StorageUnavailable("another process of the farm is still writing the first object of its storage")
        else:
            gives_birth = store.run(registry.lock("storage", holder, _BIRTH_MS))
            if not gives_birth:
                time.sleep(_PAUSE_S)
    compare(known, read_mark(storage), settings)


def adopt(store: Store, storage: Storage) -> None:
    """Makes this the storage of the farm, whatever it was before."""
    found = read_mark(storage)
    if found is None:
        found = secrets.token_hex(8)
        storage.put(MARK, found.encode(), "text/plain")
    store.run(registry.adopt_storage_mark(found))


def read_mark(storage: Storage) -> str | None:
    try:
        return storage.get(MARK).decode("ascii", "replace")
    except ObjectMissing:
        return None


def on_another_storage(workers: Iterable[Worker], known: str | None) -> list[Worker]:
    """Those whose heartbeat has another mark than Redis knows."""
    return [each for each in workers if known is not None and each.storage_mark not in (None, known)]


def compare(known: str | None, found: str | None, settings: Settings) -> None:
    """Raises Misconfigured when Redis knows another mark than the storage has."""
    if known is not None and known != found:
        holds = "nothing of this farm" if found is None else "another farm's objects"
        raise Misconfigured(
            f"FARM_STORAGE_URL names {settings.storage_url} here, and the farm in FARM_REDIS_URL keeps its objects "
            f"elsewhere: this storage holds {holds}. Give all parts of the farm the same FARM_STORAGE_URL (on two "
            "machines a bucket, or a folder that both mount). If its objects are lost or have moved: "
            "`farm adopt-storage` makes this storage the farm's own"
        )
