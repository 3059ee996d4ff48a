"""Every error answer, as problem+json (RFC 9457): what is wrong, in which field, and whether to try again.

The farm's own errors, failed validation, unknown routes and the unexpected all end here, in one shape.
"""

from __future__ import annotations

import codecs
import errno
import json
import logging
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from api import rate_limit
from api.json_width import check_width
from api.openai_errors import is_openai, openai_problem, status_at
from farm.errors import BadInput, FarmError, FieldError, Unavailable
from farm.quota import QuotaExceeded
from farm.wire import Problem

log = logging.getLogger(__name__)

_Model = TypeVar("_Model", bound=BaseModel)

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20  # wrong fields that one answer names
_MANY = 1_000  # faults; putting more into words takes seconds, and nobody reads them
_RETRY_AFTER = "2"  # seconds
_OF_NAME = "[key]"  # where pydantic says that not the member but its name is wrong
# Registered by the draft of the RateLimit fields: draft-ietf-httpapi-ratelimit-headers-10, 6.1.
_QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"

_SENTENCES = {
    "extra_forbidden": "is not a field of this request; remove it",
    "missing": "is required",
    "string_unicode": "contains a lone surrogate; send valid Unicode",
}


class Gone(FarmError):
    """The job's audio existed, and its retention is over."""

    status = 410
    code = "gone"


class UnsupportedMediaType(FarmError):
    status = 415
    code = "unsupported_media_type"


class RangeNotSatisfiable(FarmError):
    status = 416
    code = "range_not_satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size:,} bytes, and the range lies behind them")
        self.size = size


class _Routing(FarmError):
    """The router's refusals: an unknown path, or a method that the path does not have."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, code=HTTPStatus(status).name.lower())
        self.status = status


def install(app: FastAPI) -> None:
    async def refuse(request: Request, error: Exception) -> Response:
        return answer(error, request.scope)

    for kind in (FarmError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, refuse)


def answer(error: Exception, scope: Mapping[str, Any]) -> Response:
    """The response to any exception. A fault of the farm is logged under the request id; its client sees only that
    id."""
    request_id = scope["request_id"]
    known = _as_farm_error(error, scope)
    if known is None or known.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request %s: %s %r failed", request_id, scope["method"], scope["shown_path"], exc_info=error)
        code = known.code if known is not None else None
        known = FarmError("the farm failed to answer this; its log has the reason under the request id", code=code)
    elif known.status > HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request %s: %s %r: %s", request_id, scope["method"], scope["shown_path"], known.message)
    status = status_at(scope["path"], known.status)
    if "app" in scope:  # a connection that is refused before there is a request has none
        scope["app"].state.process.count_problem(status, known.code)
    body = document(known, request_id, status, as_openai=is_openai(scope["path"]))
    return Response(body, status, _headers(known, scope), MEDIA_TYPE)


def document(error: FarmError, request_id: str, status: int | None = None, *, as_openai: bool = False) -> bytes:
    """The problem as JSON. `status` is that of the answer where the error's own is another."""
    status = status or error.status
    exceeded = error.policies if isinstance(error, QuotaExceeded) else None
    problem = Problem(
        type=_QUOTA_EXCEEDED if exceeded else "about:blank",
        violated_policies=exceeded,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.message,
        code=error.code,
        retryable=error.retryable,
        request_id=request_id,
        errors=[
            Problem.FieldProblem(pointer=field.pointer, message=field.message, position=field.position)
            for field in (error.fields if isinstance(error, BadInput) else ())
        ],
    )
    shown = openai_problem(problem, error) if as_openai else problem
    return shown.model_dump_json(by_alias=True, exclude_none=not as_openai).encode(errors="replace")


def _headers(error: FarmError, scope: Mapping[str, Any]) -> dict[str, str]:
    headers = {"Retry-After": _RETRY_AFTER} if error.retryable else {}
    if isinstance(error, QuotaExceeded):
        headers |= _of_quota(error)
    hopeless = not error.retryable and error.status >= HTTPStatus.TOO_MANY_REQUESTS
    if hopeless and (is_openai(scope["path"]) or isinstance(error, QuotaExceeded)):
        headers["x-should-retry"] = "false"  # without it OpenAI's client tries every 429 and 5xx again
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(scope))
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        headers["Connection"] = "close"  # the rest of the body is not wanted
    if isinstance(error, RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.size}"
    return headers


def _of_quota(error: QuotaExceeded) -> dict[str, str]:
    headers = {"Retry-After": str(error.retry_after_s)}
    said = rate_limit.fields(error.standing)
    return headers | ({} if said is None else {"RateLimit-Policy": said[0], "RateLimit": said[1]})


def invalid(error: ValidationError, at: str = "") -> BadInput:
    """Failed validation of a request's body, or of its part at the pointer `at`."""
    if error.error_count() > _MANY:
        return BadInput(
            f"{error.error_count():,} fields or values are wrong; see /docs for those there are", pointer=at
        )
    found = error.errors(include_url=False, include_context=False, include_input=False)
    fields = field_errors(found, at)
    return BadInput(_summary(fields), code=_code(found), fields=fields)


def field_errors(errors: Iterable[Mapping[str, Any]], at: str = "") -> list[FieldError]:
    return [_field_error(item, at) for item in islice(errors, MAX_ERRORS)]


def _field_error(item: Mapping[str, Any], at: str) -> FieldError:
    *path, last = item["loc"] or ("",)
    if path and last == _OF_NAME:
        return FieldError(at + pointer(path), _sentence(item).replace("String", "has a name that", 1))
    return FieldError(at + pointer(item["loc"]), _sentence(item))


def pointer(path: Iterable[object]) -> str:
    """RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def without_bom(text: bytes) -> bytes:
    """UTF-8 without the mark that some editors and shells write first. Raises BadInput for UTF-16 and UTF-32, named as
    such; without a mark their zeros give them away."""
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in text[:4]:
        encoding = "UTF-32" if b"\0\0" in text[:4] else "UTF-16"
        raise BadInput(f"is {encoding}; send JSON as UTF-8", code="malformed_json", pointer="")
    return text.removeprefix(codecs.BOM_UTF8)


def parse(model: type[_Model], body: bytes) -> _Model:
    """A request from its JSON, with or without a byte order mark. Raises BadInput with every wrong field named. The
    fast parser reports a lone surrogate by its position alone, so a slow parser then finds its field."""
    body = without_bom(body)
    check_width(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        if error.error_count() == 1 and _code(error.errors()) == "malformed_json" and b"\\u" in body:
            try:
                return model.model_validate(json.loads(body))
            except ValidationError as found:
                raise invalid(found) from None
            except (ValueError, RecursionError):
                pass
        raise invalid(error) from None


def _as_farm_error(error: Exception, scope: Mapping[str, Any]) -> FarmError | None:
    if isinstance(error, FarmError):
        return error
    if isinstance(error, RequestValidationError):
        fields = field_errors({**item, "loc": item["loc"][1:]} for item in error.errors())  # without "query"
        return BadInput(_summary(fields), fields=fields)
    if isinstance(error, HTTPException):
        if error.status_code == HTTPStatus.NOT_FOUND:
            return _Routing(404, f"there is nothing at {scope['path']}; /docs lists what there is")
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return _Routing(405, f"{scope['path']} takes no {scope['method']}, only {', '.join(_methods(scope))}")
        return _Routing(error.status_code, str(error.detail))
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return Unavailable("the API has no file descriptors left; send the request again in a moment")
    return None


def _methods(scope: Mapping[str, Any]) -> list[str]:
    """All methods of the path. The router's own answer names only the methods of the first route with that path."""
    methods = {
        method.upper()
        for template, operations in scope["app"].openapi()["paths"].items()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), scope["path"])
        for method in operations
    }
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def _sentence(item: Mapping[str, Any]) -> str:
    kind, message = item["type"], str(item["msg"])
    if kind == "json_invalid":
        return "is not valid JSON: " + message.removeprefix("Invalid JSON: ")
    return _SENTENCES.get(kind) or message.removeprefix("Value error, ").replace("Input should", "should")


def _summary(fields: list[FieldError]) -> str:
    first = fields[0]
    more = f"; {len(fields) - 1} more in errors" if len(fields) > 1 else ""
    return f"{first.pointer or 'the body'} {first.message}{more}"


def _code(errors: Iterable[Mapping[str, Any]]) -> str:
    return "malformed_json" if {item["type"] for item in errors} == {"json_invalid"} else "invalid_request"
