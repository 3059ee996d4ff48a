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
from farm.errors import BadInput

with needs("store"):
    from farm.store import Store, registry
    from farm.webhooks.secrets import secret_for


def create(given: argparse.Namespace) -> int:
    settings = operated_site()
    tenant = given.tenant or given.name
    key = "fk_" + secrets.token_urlsafe(32)
    with _store(settings.redis_url) as store:
        if not store.run(registry.put_key(hashlib.sha256(key.encode()).hexdigest(), tenant, given.name)):
            raise BadInput(f"there is a key named {given.name} already; choose another name, or revoke it first")
    secret = secret_for(tenant, settings.webhook_secret) if settings.webhook_secret else None
    made = {"name": given.name, "tenant": tenant, "key": key, "webhook_secret": secret}

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
    rows = [
        {"name": name, "tenant": key["tenant"], "created_at": _moment(key["created_ms"])}
        for name, key in sorted(found.items())
    ]
    show(given, rows, lambda: table(("key", "tenant", "made"), [list(row.values()) for row in rows]))
    return OK


def revoke(given: argparse.Namespace) -> int:
    with _store(operated_site().redis_url) as store:
        if not store.run(registry.drop_key(given.name)):
            raise BadInput(f"there is no key named {given.name}; `farm keys list` shows which there are")
    show(given, {"revoked": given.name}, lambda: line(f"{given.name} is revoked"))
    return OK


@contextmanager
def _store(url: str) -> Iterator[Store]:
    store = Store.connect(url)
    try:
        yield store
    finally:
        store.close()


def _moment(ms: str) -> str:
    return datetime.fromtimestamp(int(ms) / 1000, UTC).isoformat(timespec="seconds")
