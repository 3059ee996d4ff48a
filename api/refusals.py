"""A line in the log for requests without a valid key: one a minute for each address, with a count."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

_EVERY_S = 60.0
_ADDRESSES = 1000  # that are remembered; the one that was quiet for longest is forgotten


@dataclass(slots=True)
class _Seen:
    told: float  # when the last line was written
    since: int = 0  # refusals after it


class Refusals:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def note(self, address: str, why: str) -> None:
        """`why` holds nothing of the request."""
        now = self._clock()
        seen = self._seen.get(address)
        if seen is None:
            log.warning("refused a request of %s: %s", address, why)
            self._seen[address] = _Seen(now)
            if len(self._seen) > _ADDRESSES:
                self._seen.popitem(last=False)
            return
        self._seen.move_to_end(address)
        seen.since += 1
        if now - seen.told >= _EVERY_S:
            log.warning("refused %d further requests of %s, the latest: %s", seen.since, address, why)
            seen.told, seen.since = now, 0
