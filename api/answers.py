"""Answers that all routes share: JSON bodies, cursors of lists, and the time that a request may wait."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import BaseModel
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData

from api.problems import UnsupportedMediaType
from api.watch import LONGEST_WAIT
from farm.errors import BadInput, NotFound

_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1"})

Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="seconds to wait for its end before answering")]


def require_json(request: Request) -> None:
    """Raises UnsupportedMediaType. This also keeps web pages out: a browser sends JSON to another site only after
    asking it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaType(f"send JSON with `Content-Type: application/json`, not {kind or 'without a type'!r}")
    require_plain(request)


def require_plain(request: Request) -> None:
    """Raises UnsupportedMediaType for a compressed body: a small one could unpack to any size."""
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType(f"send the body as it is, without `Content-Encoding: {encoding[:40]}`")


def form_of(request: Request) -> AbstractAsyncContextManager[FormData]:
    """A form with one file. Raises UnsupportedMediaType."""
    require_plain(request)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise UnsupportedMediaType("send a form (multipart/form-data)")
    charset = options.get(b"charset", b"utf-8").decode("latin-1")
    if charset.lower() not in _CHARSETS:  # Python knows many more, and not all are of characters
        raise UnsupportedMediaType(f"send the fields of the form as UTF-8, not as {charset[:40]!r}")
    return request.form(max_files=1, max_fields=10)


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
