"""How many requests of one tenant are answered at the same time: as many as there are places free for the others.

A place is a connection that the process may have. One tenant alone gets half of them, two get a third each, and whoever
comes finds some free, however many event streams, long polls and slow downloads the others keep open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from farm.errors import TooOften


class Shares:
    def __init__(self, places: int) -> None:
        self._free = places
        self._taken: Counter[str] = Counter()

    @contextmanager
    def one_more(self, tenant: str) -> Iterator[None]:
        """Raises TooOften where the tenant has its share."""
        taken = self._taken[tenant]
        if taken >= self._free:
            raise TooOften(
                f"{taken:,} requests of yours are open here already, which is your share of this server's connections; "
                "close some, or wait for their answers",
                code="too_many_open_requests",
            )
        self._taken[tenant] += 1
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]
