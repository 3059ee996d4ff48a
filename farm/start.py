"""What each process of the farm examines before it works: the form of all settings, Redis, the broker, the storage.

A wrong setting ends the process now, with one line that names it, not at the first job that needs it. An outage of the
broker or of the storage does not: the farm waits for these while it runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from farm.errors import Misconfigured, StorageUnavailable, StoreUnavailable
from farm.redis_address import RedisAddress
from farm.settings import Settings
from farm.storage import check_form as check_storage_url
from farm.storage import open_storage
from farm.storage_mark import recognise
from farm.store import Store, connection
from farm.store.outage import farm_error
from farm.webhooks.addresses import allowed_networks
from farm.webhooks.secrets import check_form as check_secret

log = logging.getLogger(__name__)

_ANSWER_S = 5.0  # a bucket that hangs for longer counts as away: the part starts, and meets it again at work


def examine(settings: Settings, *, writes: bool = True) -> None:
    """Raises Misconfigured for what a restart can't mend, StoreUnavailable when Redis is away. A part that does not
    write to storage at once (`writes` false) starts even where storage refuses it."""
    check_forms(settings)
    with closing(Store.connect(settings.redis_url, synchronous=settings.synchronous_commit)) as store:
        for ill in ills(store.info()):
            log.warning("Redis: %s", ill)
        try:
            storage = open_storage(settings, timeout=_ANSWER_S, attempts=1)
            if writes:
                storage.check()
            recognise(store, storage, settings)
        except StorageUnavailable as error:
            log.warning("storage can't be used yet: %s", error)
    try:
        check_broker(settings)
    except StoreUnavailable as error:
        log.warning("nobody can be woken yet: %s", error)


def check_forms(settings: Settings) -> None:
    """Raises Misconfigured, which names every malformed setting."""
    checks: tuple[Callable[[], object], ...] = (
        lambda: RedisAddress.read(settings.redis_url, "FARM_REDIS_URL"),
        lambda: settings.broker,
        lambda: _check_web_address("FARM_PUBLIC_URL", settings.public_url),
        lambda: _check_web_address("FARM_URL", settings.url),
        lambda: _check_web_address("FARM_S3_PROXY", settings.s3_proxy),
        lambda: allowed_networks(settings.webhook_allow),
        lambda: allowed_networks(settings.webhook_allow_keyless),
        lambda: allowed_networks(settings.trusted_proxies, "FARM_TRUSTED_PROXIES"),
        lambda: check_secret(settings.webhook_secret),
        lambda: check_storage_url(settings),
    )
    wrong = []
    for check in checks:
        try:
            check()
        except Misconfigured as error:
            wrong.append(error.message)
    if wrong:
        raise Misconfigured("; ".join(dict.fromkeys(wrong)))


def _check_web_address(setting: str, url: str | None) -> None:
    """A message does not repeat it: a proxy's may hold a password."""
    if not url:
        return
    try:
        parts = urlsplit(url)
        well = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        well = well and url.isprintable() and " " not in url and not parts.query and not parts.fragment
    except ValueError:
        well = False
    if not well:
        raise Misconfigured(f"{setting}: it must be like https://farm.example.com, without ? and #")


def check_broker(settings: Settings) -> None:
    """Raises Misconfigured when no database of this number exists, or it refuses; StoreUnavailable when it is away."""
    setting = "FARM_BROKER_URL"
    with closing(connection.client(settings.broker, setting)) as broker:
        try:
            broker.set("farm:writable", 1, px=1000)
        except RedisError as error:
            if "DB index is out of range" in str(error):
                number = RedisAddress.read(settings.broker, setting).database
                raise Misconfigured(
                    f"{setting}: this Redis has no database {number}; name one that exists, which may be the one of "
                    "FARM_REDIS_URL"
                ) from None
            known = farm_error(error, setting)
            raise known or Misconfigured(f"{setting}: this broker refuses the farm ({error}); correct it") from error


def ills(facts: Mapping[str, Any]) -> Iterator[str]:
    """The faults that Redis reports in its INFO."""
    if not facts["aof_enabled"]:
        yield "the append-only file is off, so a restart loses jobs: set appendonly yes"
    elif facts.get("aof_last_write_status", "ok") != "ok":
        yield "the last write to the append-only file failed: look whether its disk is full"
    limit, used = int(facts["maxmemory"]), int(facts["used_memory"])
    if limit and used > 0.8 * limit:
        yield f"{used:,} of {limit:,} bytes are in use, so no new work is accepted: raise maxmemory"
