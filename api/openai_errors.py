"""Errors as clients of OpenAI's API read them: the problem of the farm, with a member `error` beside its own.

On the routes that such a client calls, a wrong field is a 400, because OpenAI has no 422 there.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from pydantic import BaseModel

from farm.errors import FarmError, FieldError
from farm.wire import Problem

_AUDIO, _MODELS = "/v1/audio/", "/v1/models"
_CODES: Mapping[str, str] = {"unknown_model": "model_not_found", "unauthorized": "invalid_api_key"}
_TYPES: Mapping[int, str] = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class ErrorObject(BaseModel):
    """What the client shows (`message`) and gives to its program."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class OpenAiProblem(Problem):
    error: ErrorObject


def is_openai(path: str) -> bool:
    """Whether clients of OpenAI's API call this path."""
    return path.startswith((_AUDIO, f"{_MODELS}/")) or path == _MODELS


def status_at(path: str, status: int) -> int:
    return HTTPStatus.BAD_REQUEST if status == HTTPStatus.UNPROCESSABLE_ENTITY and path.startswith(_AUDIO) else status


def error_object(error: FarmError) -> ErrorObject:
    fields: tuple[FieldError, ...] = getattr(error, "fields", ())
    kind = "server_error" if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    code = _CODES.get(error.code, error.code)
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        code = "rate_limit_exceeded" if error.retryable else "insufficient_quota"
    return ErrorObject(
        message=error.message,
        type=_TYPES.get(error.status, kind),
        param=fields[0].pointer.lstrip("/").replace("/", ".") or None if fields else None,
        code=code,
    )


def openai_problem(problem: Problem, error: FarmError) -> OpenAiProblem:
    return OpenAiProblem(**problem.model_dump(), error=error_object(error))
