"""A cached value with a time to live. Concurrent callers share one refresh."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TtlCache(Generic[T]):
    """A value at most `seconds` old. If a refresh fails, its callers get the error, and the next caller tries again."""

    def __init__(self, read: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._value: T | None = None
        self._read_at = -math.inf
        self._reading: asyncio.Task[T] | None = None

    async def get(self, seconds: float | None = None) -> T:
        """The value, at most `seconds` old (default: as the cache was made)."""
        if time.monotonic() - self._read_at < (self._seconds if seconds is None else seconds):
            return self._value  # type: ignore[return-value]  # None only where T allows it
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._renew())
        # Shielded: a client that goes away must not take the answer from the others.
        return await asyncio.shield(self._reading)

    def forget(self) -> None:
        """The next caller refreshes the value."""
        self._read_at = -math.inf

    async def _renew(self) -> T:
        try:
            asked = time.monotonic()
            self._value = await self._read()
            self._read_at = asked
            return self._value
        finally:
            self._reading = None
