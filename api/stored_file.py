"""A file of the storage as an answer: whole, in part, or "you have it already", by the rules of RFC 9110.

If-None-Match, If-Modified-Since    304 when the client's copy is still right
Range                               206 with the parts that there are; 416 when there are none; malformed: ignored
HEAD                                the headers of a GET
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path

from fastapi import Request, Response
from fastapi.responses import FileResponse
from starlette.datastructures import Headers

from api.head import is_head
from api.problems import RangeNotSatisfiable

_MOST_RANGES = 100  # more are a mistake or an attack, and get the whole file
_RANGES = re.compile(r"\s*bytes\s*=\s*(?:,\s*)*(?:(?:\d+-\d*|-\d+)\s*(?:,\s*|$))+", re.IGNORECASE)
_RANGE = re.compile(r"(\d*)-(\d*)")
_HUGE = 10**18  # bytes; a longer number means "to the end" as well
_KEPT = ("etag", "last-modified", "cache-control", "content-disposition")  # of the headers, with a 304


def stored_file(request: Request, path: Path, found: os.stat_result, media_type: str | None, filename: str) -> Response:
    """Raises RangeNotSatisfiable. `found`: what the file system says of the path."""
    whole = FileResponse(path, media_type=media_type, filename=filename, stat_result=found)
    if _is_unchanged(request.headers, whole.headers):
        return Response(None, 304, {name: whole.headers[name] for name in _KEPT if name in whole.headers})
    if is_head(request):
        return Response(None, 200, dict(whole.headers))
    wanted, of = request.headers.get("range"), request.headers.get("if-range")
    if wanted is not None:
        changed = of is not None and of not in (whole.headers["etag"], whole.headers["last-modified"])
        _replace_range(request, None if changed else _satisfiable(wanted, found.st_size))
    return whole


def _is_unchanged(asked: Headers, ours: Headers) -> bool:
    tags = asked.getlist("if-none-match")
    if tags:
        known = [tag.strip().removeprefix("W/") for line in tags for tag in line.split(",")]
        return ours["etag"] in known or "*" in known
    since = asked.get("if-modified-since")
    if since is None:
        return False
    try:
        moment, modified = (parsedate_to_datetime(date) for date in (since, ours["last-modified"]))
        return modified <= (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return False


def _satisfiable(wanted: str, size: int) -> str | None:
    """The header with those ranges that the file has. None when it is to be ignored. Raises RangeNotSatisfiable."""
    if wanted.count(",") >= _MOST_RANGES or not _RANGES.fullmatch(wanted):
        return None
    ranges = list(_ranges(wanted))
    if any(first is not None and last is not None and last < first for first, last in ranges):
        return None
    there = [f"{first}-{'' if last is None else last}" for first, last in ranges if first is not None and first < size]
    there += [f"-{last}" for first, last in ranges if first is None and last and size]
    if not there:
        raise RangeNotSatisfiable(size)
    return "bytes=" + ",".join(there)


def _ranges(wanted: str) -> Iterator[tuple[int | None, int | None]]:
    for first, last in _RANGE.findall(wanted):
        yield _number(first), _number(last)


def _number(digits: str) -> int | None:
    if not digits:
        return None
    return int(digits) if len(digits) <= 18 else _HUGE


def _replace_range(request: Request, wanted: str | None) -> None:
    """Starlette, which sends the file, reads the header again."""
    headers = [(name, value) for name, value in request.scope["headers"] if name != b"range"]
    if wanted is not None:
        headers.append((b"range", wanted.encode()))
    request.scope["headers"] = headers
