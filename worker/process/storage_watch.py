"""Looks again and again whether the storage is still the farm's own.

A part compares the storage's birth mark at its start (farm/start.py). A worker that started while storage was away was
never compared, and a mount or a bucket may be replaced later: what it uploads from then on is lost to everybody else.
So each worker looks every minute. After two looks in a row at another storage it ends as it would have at its start;
heartbeats carry the mark, by which the API and `farm doctor` name it until then.
"""

from __future__ import annotations

import logging
import os
from functools import partial

from farm.errors import EXIT_MISCONFIGURED, Misconfigured, StorageUnavailable
from farm.settings import Settings
from farm.storage import Storage
from farm.storage_mark import read_mark, recognise
from farm.store import Store
from worker.process.ticker import Ticker

log = logging.getLogger(__name__)

_EVERY_S = 60.0
_LOOKS = 2  # a file system on a network may have shown something else for a moment


class StorageWatch:
    """`storage` has short timeouts: the end of the process waits for a look."""

    def __init__(self, store: Store, storage: Storage, settings: Settings) -> None:
        self._store, self._storage, self._settings = store, storage, settings
        self._strange = 0  # looks in a row
        self.mark: str | None = None  # as last seen; None while storage is away, or has none
        self.ticker = Ticker(
            "storage-watch", _EVERY_S, self._look_or_end, on_outage=partial(log.debug, "storage not compared: %s"),
            at_once=True, survives=True,
        )  # fmt: skip

    def look(self) -> None:
        """Raises Misconfigured at the second look in a row at another storage than the farm's."""
        try:
            self.mark = read_mark(self._storage)
            recognise(self._store, self._storage, self._settings)
            self.mark = self.mark or read_mark(self._storage)  # which it may just have been given
        except StorageUnavailable as error:
            self.mark = None
            log.debug("storage not compared: %s", error)
        except Misconfigured as error:
            self._strange += 1
            if self._strange >= _LOOKS:
                raise
            log.warning("%s", error.message)
        else:
            self._strange = 0

    def _look_or_end(self) -> None:
        try:
            self.look()
        except Misconfigured as error:
            log.critical("this worker ends: %s", error.message)
            logging.shutdown()
            os._exit(EXIT_MISCONFIGURED)
