"""The OpenAPI document, to which every answer that a test gets is compared: its status and its type are declared."""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx

from api.app import create_app
from farm.settings import Settings

# What `default` declares: refusals of the server itself, of the router and of a broken farm.
_OF_ANY_PATH = frozenset({405, 408, 413, 415, 431, 500})


@cache
def document() -> dict[str, Any]:
    """The same whatever the settings are, and made in a quarter of a second. Who reads it leaves it as it is."""
    return create_app(Settings()).openapi()


@cache
def _templates() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    paths = document()["paths"]
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", template)), operations) for template, operations in paths.items()]


class Document:
    def check(self, answer: httpx.Response) -> None:
        operation = self._operation(answer.request)
        if operation is None:
            return
        where = f"{answer.request.method} {answer.request.url.path} -> {answer.status_code}"
        declared = operation["responses"].get(str(answer.status_code))
        if declared is None:
            assert answer.status_code in _OF_ANY_PATH, f"{where}: the document does not declare this status"
            declared = operation["responses"]["default"]
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if kind != "multipart/byteranges":
            assert kind in (declared.get("content") or {"": None}), f"{where}: the document does not declare {kind!r}"
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            assert operation.get("security") != [], f"{where}: the document says that it needs no key"

    def _operation(self, request: httpx.Request) -> dict[str, Any] | None:
        method = {"HEAD": "get"}.get(request.method, request.method.lower())
        found = [
            operations[method]
            for template, operations in _templates()
            if template.fullmatch(request.url.path) and method in operations
        ]
        return found[0] if found else None
