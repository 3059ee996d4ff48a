"""Connections to Redis, the same for all of the farm: their timeouts, and how often a request is sent again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry

from farm.errors import Misconfigured
from farm.redis_address import RedisAddress

# With redis-py's defaults a half-open connection hung for more than 100 s; with these it is noticed within about 10 s.
_OPTIONS: Mapping[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 3, "health_check_interval": 5}
_OVER_TCP: Mapping[str, Any] = {"socket_keepalive": True}
_RETRIES = 2
_BACKOFF = ExponentialBackoff(cap=0.5, base=0.05)


def client(url: str, setting: str = "FARM_REDIS_URL", **options: Any) -> redis.Redis:
    """Connects at its first request. Raises Misconfigured, which begins with the name of the setting."""
    retry = Retry(_BACKOFF, _RETRIES, supported_errors=(ConnectionError,))
    address = _address(url, setting)
    return redis.Redis.from_url(address.url, retry=retry, **_options(address), **options)


def async_client(url: str) -> redis.asyncio.Redis:
    # uvloop raises RuntimeError when the connection was lost just before a write.
    supported = (ConnectionError, RuntimeError)
    retry = AsyncRetry(_BACKOFF, _RETRIES, supported_errors=supported)  # type: ignore[arg-type]
    address = _address(url, "FARM_REDIS_URL")
    return redis.asyncio.Redis.from_url(address.url, retry=retry, **_options(address))


def _address(url: str, setting: str) -> RedisAddress:
    address = RedisAddress.read(url, setting)
    for name, path in address.files.items():
        if not Path(path).exists():
            raise Misconfigured(f"{setting}: its option {name} names {path}, which is not there")
    return address


def _options(address: RedisAddress) -> dict[str, Any]:
    return {**_OPTIONS, "protocol": 2, **({} if address.scheme == "unix" else _OVER_TCP)}
