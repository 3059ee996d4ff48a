"""The parts of the OpenAPI document that FastAPI can't derive: bodies that routes parse by hand, and problem
answers."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api.problems import MEDIA_TYPE
from farm.wire import BatchRequest, JobOptions, JobRequest, Problem, Webhook

_SHAPES = (JobRequest, BatchRequest, JobOptions, Webhook, Problem)
_REF = "#/components/schemas/{model}"
_STATUSES = {
    "get": ("401", "404", "422", "503"),
    "delete": ("401", "404", "422", "503"),
    "post": ("401", "404", "409", "413", "415", "422", "503"),
}


def ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


def json_body(name: str, example: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": ref(name), "example": example}}}


def form_body(fields: dict[str, tuple[str, str | None]]) -> dict[str, Any]:
    """name -> (description, format); every field is required."""
    properties = {
        name: {"type": "string", "description": said} | ({"format": kind} if kind else {})
        for name, (said, kind) in fields.items()
    }
    schema = {"type": "object", "required": list(fields), "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}


def query(name: str, description: str) -> dict[str, Any]:
    return {**header(name, description), "in": "query"}


IDEMPOTENCY_KEY = header(
    "Idempotency-Key", "1 to 255 printable characters; the same key with the same request is accepted once"
)


def install(app: FastAPI) -> None:
    generated = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = generated()
        _, shapes = models_json_schema([(shape, "validation") for shape in _SHAPES], ref_template=_REF)
        components = document.setdefault("components", {})
        components["schemas"] = {**shapes["$defs"], **components.get("schemas", {})}
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "an API key"}}
        document["security"] = [{"key": []}]
        content = {MEDIA_TYPE: {"schema": ref("Problem")}}
        problem = {"description": "What is wrong, and with which field", "content": content}
        for path in document["paths"].values():
            for method, operation in path.items():
                for status in _STATUSES.get(method, ()):
                    operation["responses"][status] = problem
        components["schemas"].pop("HTTPValidationError", None)
        components["schemas"].pop("ValidationError", None)
        app.openapi_schema = document
        return document

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way
