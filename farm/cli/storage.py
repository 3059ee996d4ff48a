"""`farm adopt-storage`: an operator's word that a storage is the farm's, whatever it was before."""

from __future__ import annotations

import argparse
from contextlib import closing

from farm.cli.screen import OK, line, needs, show
from farm.cli.site import operated_site

with needs("storage"):
    from farm.storage import open_storage
with needs("store"):
    from farm.storage_mark import adopt
    from farm.store import Store


def adopt_storage(given: argparse.Namespace) -> int:
    settings = operated_site()
    storage = open_storage(settings)
    storage.check()
    with closing(Store.connect(settings.redis_url)) as store:
        adopt(store, storage)

    def plainly() -> None:
        line(f"{settings.storage_url} is the storage of this farm now; parts that see another one have to be restarted")

    show(given, {"adopted": settings.storage_url}, plainly)
    return OK
