"""What all speech requests of one process share: threads for audio, places, and the names that clients ship with."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import ParamSpec, TypeVar, cast

from starlette.requests import HTTPConnection

from api.speech.aliases import Aliases
from farm.errors import TooOften
from farm.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

MOST_STREAMS = 100  # of one tenant: each has an encoder, and one clip in memory
_SHORTEST_S = 60


class Studio:
    def __init__(self, settings: Settings) -> None:
        self.aliases = Aliases(settings.speech_aliases)
        self.retention_s = max(_SHORTEST_S, round(timedelta(hours=settings.speech_hours).total_seconds()))
        # Half of the processors: audio must not take the time of those who ask for other things.
        self.threads = ThreadPoolExecutor(max(1, (os.cpu_count() or 2) // 2), "speech")
        self._streams: Counter[str] = Counter()

    def enter(self, tenant: str) -> None:
        """Takes a place. Raises TooOften where the tenant has none left."""
        if self._streams[tenant] >= MOST_STREAMS:
            raise TooOften(
                f"{MOST_STREAMS} speech requests of yours are under way here; wait for one, or submit jobs",
                code="too_many_streams",
            )
        self._streams[tenant] += 1

    def leave(self, tenant: str) -> None:
        self._streams[tenant] -= 1
        if not self._streams[tenant]:
            del self._streams[tenant]

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In one of the threads for audio."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, lambda: work(*args, **kwargs))

    def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)


def studio_of(request: HTTPConnection) -> Studio:
    return cast(Studio, request.app.state.studio)
