"""The parts of the OpenAPI document that FastAPI can't derive: bodies that routes parse by hand, files, keys, and
problem answers.

A route declares the answers of its own. What every route may answer is added here, by method and by the kind of its
body; `default` stands for the refusals that any path has, such as 405 and 500.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api.answers import MOST_FORM_FIELDS
from api.event_stream import MEDIA_TYPE as EVENT_STREAM
from api.openai_errors import OpenAiProblem, is_openai, status_at
from api.problems import MEDIA_TYPE
from api.speech.request import SpeechRequest
from farm.lexicon.entries import LexiconRequest
from farm.wire import BatchRequest, JobEdit, JobOptions, JobRequest, Problem, SegmentRetry, Webhook

_SHAPES = (
    *(JobRequest, JobEdit, BatchRequest, JobOptions, LexiconRequest, SegmentRetry, Webhook, SpeechRequest),
    *(Problem, OpenAiProblem),
)
_REF = "#/components/schemas/{model}"
_EVERY = ("401", "403", "404", "422", "429", "503")
_WITH_BODY = ("413", "415")
_WITH_FORM = ("400",)
_WITHOUT_KEY = ("/healthz", "/readyz")
_BY_ADDRESS = "/v1/listen/"  # which lets in by itself
_WITH_OR_WITHOUT = {("get", "/v1/session")}


def ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


def json_body(name: str, example: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": ref(name), "example": example}}}


def form_content(
    required: dict[str, dict[str, Any]],
    optional: dict[str, dict[str, Any]],
    kinds: dict[str, Sequence[str]],
    *,
    closed: bool = False,
) -> dict[str, Any]:
    """A multipart form: the schemas of its fields, and the media types that files and fields may have. A closed form is
    refused for any other field. In others each further field is a text, because an array is sent as a field an item."""
    schema: dict[str, Any] = {"type": "object", "required": list(required), "properties": {**required, **optional}}
    schema["additionalProperties"] = False if closed else {"type": "string"}
    if not closed:
        schema["maxProperties"] = MOST_FORM_FIELDS + 1
    return {"schema": schema, "encoding": {name: {"contentType": ", ".join(each)} for name, each in kinds.items()}}


def form_body(*parts: dict[str, Any]) -> dict[str, Any]:
    """A body that is a `form_content` of these parts."""
    return {"requestBody": {"required": True, "content": {"multipart/form-data": form_content(*parts)}}}


def text_field(description: str, **limits: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **limits}


def file_field(description: str) -> dict[str, Any]:
    return text_field(description, format="binary")


def header(name: str, description: str, **limits: Any) -> dict[str, Any]:
    """A header of requests, which may be left out. `limits` are of its value, as JSON Schema has them."""
    schema = {"type": "string", **limits}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def answer_header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def json_query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter whose value is JSON."""
    content = {"application/json": {"schema": schema}}
    return {"name": name, "in": "query", "required": False, "description": description, "content": content}


IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "1 to 255 printable characters; the same key with the same request is accepted once",
    pattern="^[!-~]([ -~]{0,253}[!-~])?$",  # HTTP takes blanks away at both ends
)


def problem(description: str) -> dict[str, Any]:
    """An answer that is a problem."""
    return {"description": description, "content": {MEDIA_TYPE: {"schema": ref("Problem")}}}


TOO_MANY_WAITS: dict[int | str, dict[str, Any]] = {429: problem("So many requests of yours wait already")}

OVER_QUOTA: dict[int | str, dict[str, Any]] = {
    429: problem("It would take the tenant over a quota, which violated-policies names; nothing was accepted")
}


def text(description: str, *media_types: str) -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": {"type": "string"}} for kind in media_types}}


def events(description: str, *names: str) -> dict[str, Any]:
    """An answer that is a stream of server-sent events, as the shape of each of them. Without names they have none."""
    event = {"event": {"type": "string", "enum": list(names)}, "id": {"type": "string"}} if names else {}
    data = {"type": "string", "contentMediaType": "application/json"}
    schema = {"type": "object", "required": ["data"], "properties": {**event, "data": data}}
    return {"description": description, "content": {EVENT_STREAM: {"schema": schema}}}


def binary(*media_types: str) -> dict[str, Any]:
    """The content of an answer of bytes. Generators of clients that know none of the types know what to do with
    application/octet-stream."""
    return _each((*media_types, "application/octet-stream"), {"type": "string", "format": "binary"})


def textual(*media_types: str) -> dict[str, Any]:
    """The content of an answer of text, with text/plain for the same reason."""
    return _each((*media_types, "text/plain"), {"type": "string"})


ANY_JSON: dict[str, Any] = {"application/json": {"schema": {}}}


def _each(media_types: Iterable[str], schema: dict[str, Any]) -> dict[str, Any]:
    return {kind: {"schema": schema} for kind in media_types}


def file_answers(content: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """The answers of a route that sends a file of the storage."""
    return {
        200: {"description": "The file", "content": content},
        206: {"description": "The part that Range asks for", "content": content},
        304: {"description": "The client has it: If-None-Match, If-Modified-Since"},
        307: {"description": "It is at a presigned URL of the storage, good for 15 minutes"},
        409: problem("There is no result yet, or there will be none"),
        410: problem("Its retention is over"),
        416: problem("Range lies behind the end"),
    }


def install(app: FastAPI) -> None:
    generated = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generated()
            _complete_components(document)
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    _complete_operation(path, method, operation)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way


def _complete_components(document: dict[str, Any]) -> None:
    _, shapes = models_json_schema([(shape, "validation") for shape in _SHAPES], ref_template=_REF)
    components = document.setdefault("components", {})
    schemas = components["schemas"] = {**shapes["$defs"], **components.get("schemas", {})}
    batch = schemas["BatchRequest"]["properties"]
    batch["jobs"]["items"] = ref("JobRequest")  # parsed one by one, after their defaults are known
    schemas["BatchWebhook"] = _of_batches(schemas["Webhook"])
    batch["webhook"]["anyOf"][0] = ref("BatchWebhook")
    schemas["Webhook"]["properties"]["events"]["contains"] = {"pattern": "^job\\."}
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "an API key"}}
    document["security"] = [{"key": []}]


def _of_batches(webhook: dict[str, Any]) -> dict[str, Any]:
    """A webhook that hears of one event alone."""
    told = {"type": "array", "items": {"const": "batch.completed"}, "minItems": 1, "maxItems": 1}
    properties = {**webhook["properties"], "events": {**told, "default": ["batch.completed"]}}
    return {**webhook, "title": "BatchWebhook", "properties": properties}


def _complete_operation(path: str, method: str, operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        _without_null(parameter)
    answers = operation["responses"]
    answers["default"] = problem("Any other refusal")
    if path in _WITHOUT_KEY:
        operation["security"] = []
        answers.setdefault("503", problem("The server has too many connections"))
        return
    if (method, path) in _WITH_OR_WITHOUT:
        operation["security"] = [{"key": []}, {}]
    if path.startswith(_BY_ADDRESS):
        operation["security"] = [{}]
    body = operation.get("requestBody", {}).get("content", {})
    statuses = [*_EVERY, *(_WITH_BODY if body else ()), *(_WITH_FORM if "multipart/form-data" in body else ())]
    if method in ("post", "patch"):
        statuses.append("409")
    declared = problem("What is wrong, and with which field")
    # FastAPI declares a 422 of its own, which is not what is answered.
    answers |= {status: declared for status in statuses if status == "422" or status not in answers}
    if is_openai(path):
        _speak_openai(path, answers)


def _without_null(parameter: dict[str, Any]) -> None:
    """A parameter may be left out. FastAPI says of it that it may be null, which a URL can't say."""
    kinds = parameter.get("schema", {}).get("anyOf", ())
    if {"type": "null"} in kinds:
        (kind,) = (kind for kind in kinds if kind != {"type": "null"})
        schema = parameter["schema"]
        del schema["anyOf"]
        schema.update(kind)


def _speak_openai(path: str, answers: dict[str, Any]) -> None:
    """The problems of a route that clients of OpenAI's API call."""
    if status_at(path, 422) != 422:
        answers[str(status_at(path, 422))] = answers.pop("422")
    for status, declared in answers.items():
        if MEDIA_TYPE in declared.get("content", {}):
            answers[status] = {**declared, "content": {MEDIA_TYPE: {"schema": ref("OpenAiProblem")}}}
