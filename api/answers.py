"""Answers that all routes share: JSON bodies, cursors of lists, and the time that a request may wait."""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData

from api.problems import UnsupportedMediaType
from api.watch import LONGEST_WAIT
from farm.errors import BadInput

_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1"})

JOB_ID = "job_[0-9a-z_]{1,60}"
BATCH_ID = "batch_[0-9a-z]{1,60}"


def _after(id: str) -> Any:
    """The parameter with the cursor of a list. read_cursor refuses in words of its own, so that it only says how."""
    written = {"pattern": f"^({_cursor_of(id)})?$"}
    return Query(max_length=200, description="`next_cursor` of the page before", json_schema_extra=written)


def _cursor_of(id: str) -> str:
    return rf"[0-9]{{1,16}}\.{id}"


AfterJob = Annotated[str | None, _after(JOB_ID)]
AfterBatch = Annotated[str | None, _after(BATCH_ID)]
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
    encoding = ", ".join(request.headers.getlist("content-encoding")).strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType(f"send the body as it is, without `Content-Encoding: {encoding[:40]}`")


MOST_FORM_FIELDS = 10  # beside the file


def form_of(request: Request) -> AbstractAsyncContextManager[FormData]:
    """A form with one file. Raises UnsupportedMediaType."""
    require_plain(request)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise UnsupportedMediaType("send a form (multipart/form-data)")
    charset = options.get(b"charset", b"utf-8").decode("latin-1")
    if charset.lower() not in _CHARSETS:  # Python knows many more, and not all are of characters
        raise UnsupportedMediaType(f"send the fields of the form as UTF-8, not as {charset[:40]!r}")
    return request.form(max_files=1, max_fields=MOST_FORM_FIELDS)


def json_response(shown: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(shown.model_dump_json(), status, headers, "application/json")


def cursor(place: tuple[int, str]) -> str:
    """The `next_cursor` of a page that ended at this place of its list."""
    return f"{place[0]}.{place[1]}"


def read_cursor(cursor: str, id: str) -> tuple[int, str]:
    """`id` is the pattern of the list's ids. Raises BadInput for a malformed cursor."""
    if not re.fullmatch(_cursor_of(id), cursor):
        raise BadInput("is not a cursor of this list; use next_cursor of the page before", pointer="/after")
    number, _, found = cursor.partition(".")
    return int(number), found
