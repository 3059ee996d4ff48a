"""`farm keys`: API keys. The store keeps their SHA-256 alone, so a key is shown once, when it is made.

The command talks to Redis directly: access to Redis is what makes an operator.
"""

from __future__ import annotations

import argparse
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from farm.cli.screen import OK, line, needs, remark, show, table
from farm.cli.site import operated_site
from farm.errors import BadInput, Misconfigured
from farm.layout import is_name

_LONGEST = 100  # characters
_CLOSED = (
    "No key is left, and the farm stays closed: make a key with `farm keys create NAME`, or let programs of the API's "
    "machine in without one by `farm keys open`."
)

with needs("store"):
    from farm.store import Store, registry
    from farm.webhooks.secrets import secret_for


def create(given: argparse.Namespace) -> int:
    settings = operated_site()
    name, tenant = (
        _checked("name", given.name),
        _checked("tenant", given.name if given.tenant is None else given.tenant),
    )
    key = "fk_" + secrets.token_urlsafe(32)
    with _store(settings.redis_url) as store:
        if not store.run(registry.put_key(hashlib.sha256(key.encode()).hexdigest(), tenant, name)):
            raise BadInput(f"there is a key named {name} already; choose another name, or revoke it first")
    secret = secret_for(tenant, settings.webhook_secret) if settings.webhook_secret else None
    made = {"name": name, "tenant": tenant, "key": key, "webhook_secret": secret}

    def plainly() -> None:
        line(key)
        remark(f"This is the only time that it is shown. Use it: export FARM_API_KEY={key}")
        remark(
            f"Webhooks of tenant {tenant} are signed with {secret}" if secret else "No FARM_WEBHOOK_SECRET is set here."
        )

    show(given, made, plainly)
    return OK


def list_all(given: argparse.Namespace) -> int:
    with _store(operated_site().redis_url) as store:
        found = store.run(registry.keys())
        closed = store.run(registry.closed())
    rows = [
        {"name": name, "tenant": key["tenant"], "created_at": _moment(key["created_ms"])}
        for name, key in sorted(found.items())
    ]
    show(given, rows, lambda: table(("key", "tenant", "made"), [list(row.values()) for row in rows]))
    if closed and not rows:
        remark(_CLOSED)
    return OK


def revoke(given: argparse.Namespace) -> int:
    with _store(operated_site().redis_url) as store:
        if not store.run(registry.drop_key(given.name)):
            raise BadInput(f"there is no key named {given.name}; `farm keys list` shows which there are")
        last = not store.run(registry.keys())
    show(given, {"revoked": given.name}, lambda: line(f"{given.name} is revoked"))
    if last:
        remark(_CLOSED)
    return OK


def open_without_keys(given: argparse.Namespace) -> int:
    """Only for a farm that has no keys left: a key would close it again at once."""
    with _store(operated_site().redis_url) as store:
        if store.run(registry.keys()):
            raise BadInput(
                "there are keys, and a farm with keys is closed to all others; `farm keys revoke` them first"
            )
        store.run(registry.open_without_keys())
    show(given, {"open": True}, lambda: line("programs of the API's machine get in without a key now"))
    return OK


def secret(given: argparse.Namespace) -> int:
    """What a receiver verifies the webhooks of a tenant with. Derived, so Redis is not asked."""
    master = operated_site().webhook_secret
    if master is None:
        raise Misconfigured("FARM_WEBHOOK_SECRET is not set here; set it as for the API and the desk")
    found = secret_for(given.tenant, master)
    show(given, {"tenant": given.tenant, "webhook_secret": found}, lambda: line(found))
    return OK


def _checked(what: str, name: str) -> str:
    """A tenant's name becomes a folder of storage, and a key's name a line of `farm keys list`."""
    if not is_name(name) or len(name) > _LONGEST or name != name.strip():
        raise BadInput(
            f"{name!r} can't be the {what}: use 1 to {_LONGEST} printable characters, no / and \\, no dot at the "
            "beginning, and no space at either end"
        )
    return name


@contextmanager
def _store(url: str) -> Iterator[Store]:
    store = Store.connect(url)
    try:
        yield store
    finally:
        store.close()


def _moment(ms: str) -> str:
    return datetime.fromtimestamp(int(ms) / 1000, UTC).isoformat(timespec="seconds")
