"""`farm keys`: API keys, the quotas of their tenants, and the secrets of their tenants' webhooks. The store keeps the
SHA-256 of a key alone, so a key is shown once, when it is made.

The command talks to Redis directly: access to Redis is what makes an operator.
"""

from __future__ import annotations

import argparse
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from farm.cli.quotas import COLUMNS, account_row, limits_of, short_account, show_account
from farm.cli.screen import OK, line, needs, remark, show, table
from farm.cli.site import operated_site
from farm.errors import BadInput, Misconfigured
from farm.job import DEFAULT_TENANT
from farm.layout import is_name
from farm.settings import Settings

_LONGEST = 100  # characters
_CLOSED = (
    "No key is left, and the farm stays closed: make a key with `farm keys create NAME`, or let programs of the API's "
    "machine in without one by `farm keys open`."
)

with needs("store"):
    from farm.store import Store, quotas, registry
    from farm.webhooks.secrets import secret_for


def create(given: argparse.Namespace) -> int:
    settings = operated_site()
    name, tenant = (
        _checked("name", given.name),
        _checked("tenant", given.name if given.tenant is None else given.tenant),
    )
    key = "fk_" + secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    with _store(settings) as store:
        if not store.run(registry.put_key(digest, tenant, name, operator=given.operator)):
            raise BadInput(f"there is a key named {name} already; choose another name, or revoke it first")
        secret = _secret(store, settings, tenant) if settings.webhook_secret else None
    made = {"name": name, "tenant": tenant, "operator": given.operator, "key": key, "webhook_secret": secret}

    def plainly() -> None:
        line(key)
        remark(f"This is the only time that it is shown. Use it: export FARM_API_KEY={key}")
        if given.operator:
            remark("It is an operator's: with it /metrics, /v1/queue and the workers of the whole farm are seen.")
        remark(
            f"Webhooks of tenant {tenant} are signed with {secret}" if secret else "No FARM_WEBHOOK_SECRET is set here."
        )

    show(given, made, plainly)
    return OK


def list_all(given: argparse.Namespace) -> int:
    """The keys, with what their tenants have and may have."""
    with _store(operated_site()) as store:
        found = store.run(registry.access())
        accounts = {tenant: store.run(quotas.account(tenant)) for tenant in {key.tenant for key in found.keys.values()}}
    rows = [
        {
            "name": name,
            "tenant": key.tenant,
            "operator": key.operator,
            "created_at": _moment(key.created_ms),
            "quotas": account_row(accounts[key.tenant]),
        }
        for name, key in sorted(found.keys.items())
    ]

    def plainly() -> None:
        keys = sorted(found.keys.items())
        table(
            ("key", "tenant", "operator", "made"),
            [(name, key.tenant, "yes" if key.operator else "", _moment(key.created_ms)) for name, key in keys],
        )
        line("")
        table(("tenant", *COLUMNS), [(tenant, *short_account(accounts[tenant])) for tenant in sorted(accounts)])

    show(given, rows, plainly)
    if found.closed and not rows:
        remark(_CLOSED)
    return OK


def limit(given: argparse.Namespace) -> int:
    """Sets what the tenant of a key may have; without an option, shows it."""
    limits = limits_of(given)
    with _store(operated_site()) as store:
        tenant = _tenant(store, given.name)
        if limits:
            store.run(quotas.limit(tenant, limits))
        account = store.run(quotas.account(tenant))
    show_account(given, tenant, account)
    return OK


def revoke(given: argparse.Namespace) -> int:
    with _store(operated_site()) as store:
        if not store.run(registry.drop_key(given.name)):
            raise BadInput(f"there is no key named {given.name}; `farm keys list` shows which there are")
        last = not store.run(registry.keys())
    show(given, {"revoked": given.name}, lambda: line(f"{given.name} is revoked"))
    if last:
        remark(_CLOSED)
    return OK


def open_without_keys(given: argparse.Namespace) -> int:
    """Only for a farm that has no keys left: a key would close it again at once."""
    with _store(operated_site()) as store:
        if store.run(registry.keys()):
            raise BadInput(
                "there are keys, and a farm with keys is closed to all others; `farm keys revoke` them first"
            )
        store.run(registry.open_without_keys())
    show(given, {"open": True}, lambda: line("programs of the API's machine get in without a key now"))
    return OK


def secret(given: argparse.Namespace) -> int:
    """What a receiver verifies the webhooks of a tenant with: the latest, where it was rotated."""
    settings = operated_site()
    with _store(settings) as store:
        found = _secret(store, settings, given.tenant)
    show(given, {"tenant": given.tenant, "webhook_secret": found}, lambda: line(found))
    return OK


def rotate_secret(given: argparse.Namespace) -> int:
    """Gives the tenant of a key a new secret for its webhooks. The one before signs as well for a day."""
    settings = operated_site()
    with _store(settings) as store:
        tenant = _tenant(store, given.name)
        _master(settings)
        store.run(quotas.rotate_secret(tenant))
        found = _secret(store, settings, tenant)

    def plainly() -> None:
        line(found)
        remark(
            f"Webhooks of tenant {tenant} are signed with this from now on, and for 24 hours with the one before too."
        )

    show(given, {"tenant": tenant, "webhook_secret": found}, plainly)
    return OK


def _tenant(store: Store, name: str) -> str:
    """Whose key is named so; a name that no key has may be a tenant's. Raises BadInput."""
    keys = store.run(registry.keys())
    if name in keys:
        return keys[name].tenant
    if name == DEFAULT_TENANT or any(key.tenant == name for key in keys.values()):
        return name
    raise BadInput(f"there is no key named {name}; `farm keys list` shows which there are")


def _secret(store: Store, settings: Settings, tenant: str) -> str:
    now_ms = round(store.run(registry.clock()).timestamp() * 1000)
    return secret_for(tenant, _master(settings), store.run(quotas.secret_generations(tenant, now_ms))[0])


def _master(settings: Settings) -> str:
    if settings.webhook_secret is None:
        raise Misconfigured("FARM_WEBHOOK_SECRET is not set here; set it as for the API and the desk")
    return settings.webhook_secret


def _checked(what: str, name: str) -> str:
    """A tenant's name becomes a folder of storage, and a key's name a line of `farm keys list`."""
    if not is_name(name) or len(name) > _LONGEST or name != name.strip():
        raise BadInput(
            f"{name!r} can't be the {what}: use 1 to {_LONGEST} printable characters, no / and \\, no dot at the "
            "beginning, and no space at either end"
        )
    return name


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    store = Store.connect(settings.redis_url)
    try:
        yield store
    finally:
        store.close()


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
