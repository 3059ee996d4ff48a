"""Answers that all routes share: JSON bodies, cursors of lists, and the time that a request may wait."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import BaseModel

from api.problems import UnsupportedMediaType
from api.watch import LONGEST_WAIT
from farm.errors import BadInput, NotFound

Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="seconds to wait for its end before answering")]


def require_json(request: Request) -> None:
    """Raises UnsupportedMediaType. This also keeps web pages out: a browser sends JSON to another site only after
    asking it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaType(f"send JSON with `Content-Type: application/json`, not {kind or 'without a type'!r}")


def json_response(shown: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(shown.model_dump_json(), status, headers, "application/json")


def cursor(place: tuple[int, str]) -> str:
    """The opaque `next_cursor` of a page that ended at this place of its list."""
    return base64.urlsafe_b64encode(f"{place[0]}.{place[1]}".encode()).decode().rstrip("=")


def read_cursor(cursor: str, known: Callable[[str], str]) -> tuple[int, str]:
    """Raises BadInput for a malformed cursor. `known` checks the form of the id in it, and raises NotFound."""
    try:
        number, _, job_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(".")
        return int(number), known(job_id)
    except (ValueError, binascii.Error, NotFound):
        raise BadInput("is not a cursor of this list; use next_cursor of the page before", pointer="/after") from None
