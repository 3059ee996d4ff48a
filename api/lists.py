"""Lists that are read page by page and filtered here: of jobs, and of batches.

A filtered page looks at a bounded number of records, so it may be short, or even empty, and have more behind it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi import Request

from api.answers import cursor

T = TypeVar("T")

Place = tuple[int, str]  # the score and the id of a member of a list

AT_ONCE = 100  # records that one call of the store reads
_SCANNED = 1_000  # records that one filtered page looks at


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    records: Sequence[T]
    more: bool
    place: Place | None  # of the last record that was looked at

    @property
    def next_cursor(self) -> str | None:
        return cursor(self.place) if self.more and self.place else None


async def find_some(
    read: Callable[[Place | None, int], Awaitable[Sequence[T]]],
    place_of: Callable[[T, Place | None], Place],
    *,
    holds: Callable[[T], bool] | None,
    limit: int,
    after: Place | None,
) -> Found[T]:
    """Up to `limit` records for which `holds` is true, from behind `after` on. `read` gives the records behind a place,
    `place_of` the place of a record, which follows another place."""
    found: list[T] = []
    place, scanned, more = after, 0, True
    at_once = AT_ONCE if holds is not None else min(AT_ONCE, limit + 1)
    while more and len(found) < limit and scanned < _SCANNED:
        page = await read(place, at_once)
        more = len(page) == at_once
        for record in page:
            if len(found) == limit:
                more = True
                break
            place = place_of(record, place)
            if holds is None or holds(record):
                found.append(record)
        scanned += len(page)
    return Found(found, more, place)


def metadata_of(request: Request) -> dict[str, str]:
    """What a request asks for as `metadata[key]=value`."""
    return {
        name[len("metadata[") : -1]: value
        for name, value in request.query_params.multi_items()
        if name.startswith("metadata[") and name.endswith("]")
    }
