"""The playlists that one API process has, so that a poll costs one call of the store and looks at fresh clips alone.

A playlist is made from the plan and the clips. What is forgotten here, or never was here, is made again at the next
poll, up to AT_ONCE segments of it, and the rest at the polls that follow.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import cast

from starlette.requests import HTTPConnection

from api.jobs import unknown
from api.listening.playlist import AT_ONCE, Playlist
from api.listening.sound import JobSound
from api.manifest_rows import manifest_rows
from api.state import AppState
from farm.job import Status
from farm.outcome import Rendered, read_outcome
from farm.segment import Segment
from farm.spec import Spec
from farm.store import jobs
from farm.store.jobs import Settling

MOST_FRAGMENTS = 400_000  # of all playlists together; each takes some 60 bytes

_LOOKS = 16  # clips that storage is asked for at the same time
_FEW = 4  # are looked at one after another


@dataclass(slots=True)
class _Kept:
    version: str
    playlist: Playlist
    growing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Shelf:
    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._threads = ThreadPoolExecutor(_LOOKS, "listening")

    async def grown(self, state: AppState, job: str, tenant: str, known: Settling) -> Playlist:
        """The playlist of a planned job, with all that is settled by now. Raises ObjectMissing without a plan."""
        kept = await self._find(state, job, tenant, known)
        async with kept.growing:
            if not kept.playlist.is_whole:
                dead = await _dead(state, job, known, kept.playlist.next) if known.dead else ()
                await state.blocking(kept.playlist.grow, known, dead, self._look)
        self._drop_oldest()
        return kept.playlist

    async def sound(self, state: AppState, job: str, tenant: str, known: Settling) -> JobSound:
        return (await self._find(state, job, tenant, known)).playlist.sound

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _find(self, state: AppState, job: str, tenant: str, known: Settling) -> _Kept:
        kept = self._kept.get(job)
        if kept is None or kept.version != known.version:
            record = await state.store.run(jobs.record(job, tenant))
            if record is None:
                raise unknown(job)
            output = Spec.model_validate_json(record.spec).output
            sound = await state.blocking(JobSound, state.storage, job, output, record.revision)
            kept = _Kept(known.version, Playlist(sound))
            self._kept[job] = kept
        self._kept.move_to_end(job)
        return kept

    def _drop_oldest(self) -> None:
        fragments = sum(kept.playlist.fragments for kept in self._kept.values())
        while fragments > MOST_FRAGMENTS and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            fragments -= dropped.playlist.fragments

    def _look(self, at: Callable[[Segment], int | None], rows: Sequence[Segment]) -> Iterable[int | None]:
        return map(at, rows) if len(rows) <= _FEW else self._threads.map(at, rows)


async def _dead(state: AppState, job: str, known: Settling, first: int) -> Collection[int]:
    """Segments that the recording goes without. The store forgets them when the job ends; its manifest does not."""
    rendered = read_outcome(known.outcome) if known.outcome and known.status is Status.SUCCEEDED else None
    if isinstance(rendered, Rendered):
        rows = await state.blocking(manifest_rows, state.storage, rendered.manifest_key, first, AT_ONCE)
        return {row["index"] for row in rows if row.get("error") is not None}
    lost = await state.store.run(jobs.attempts(job))
    return {index for index, each in lost.items() if each.error is not None}


def shelf_of(request: HTTPConnection) -> Shelf:
    return cast(Shelf, request.app.state.shelf)
