"""`farm tenants purge`: forgets a tenant, for an operator who has to delete all of somebody's data.

Like `farm keys`, the command talks to Redis and storage directly: access to them is what makes an operator.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from farm.cli.screen import OK, line, needs, remark, show
from farm.cli.site import operated_site
from farm.errors import BadInput

with needs("store"):
    from farm.removal import Possessions, possessions, purge_tenant
    from farm.storage import open_storage
    from farm.store import Store


def purge(given: argparse.Namespace) -> int:
    settings, tenant = operated_site(), given.tenant
    with closing(Store.connect(settings.redis_url)) as store:
        found = possessions(store, tenant)
        if not given.yes:
            _confirm(tenant, found)
        purge_tenant(store, open_storage(settings), tenant)
    counts = {"tenant": tenant, **found.counts}
    show(given, counts, lambda: line(f"{tenant} is forgotten: {_in_words(found)}"))
    return OK


def _confirm(tenant: str, found: Possessions) -> None:
    """Raises BadInput unless the operator types the name once more."""
    remark(f"This deletes for good all that {tenant} has here, its audio too: {_in_words(found)}.")
    if not sys.stdin.isatty():
        raise BadInput("nothing was deleted: there is no terminal to ask at; say --yes if you are sure")
    remark("Type the tenant's name to go on:")
    if sys.stdin.readline().strip() != tenant:
        raise BadInput("nothing was deleted: that is another name")


def _in_words(found: Possessions) -> str:
    return ", ".join(f"{count} {name}" for name, count in found.counts.items())
