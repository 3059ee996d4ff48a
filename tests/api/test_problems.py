from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.state import AppState
from farm.settings import Settings
from farm.wire import Problem

FIELDS = {"type", "title", "status", "detail", "code", "retryable", "request_id", "errors"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/jobs/", 404, "not_found"),
        ("PUT", "/v1/jobs", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("GET", "/v1/jobs/job_0000000000000000", 404, "not_found"),
        ("POST", "/v1/jobs", 415, "unsupported_media_type"),
    ],
)
def test_every_error_has_the_same_shape(api: httpx.Client, method: str, path: str, status: int, code: str) -> None:
    answer = api.request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().keys() == FIELDS
    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, problem.status, problem.code) == (status, status, code)
    assert problem.request_id == answer.headers["x-request-id"]


def test_a_wrong_method_is_told_the_allowed_ones(api: httpx.Client) -> None:
    assert api.put("/v1/jobs").headers["allow"] == "GET, POST"
    assert api.post("/v1/jobs/job_0000000000000000").headers["allow"] == "DELETE, GET"


@pytest.mark.parametrize("given", ["my-trace.1", "x" * 128])
def test_a_clients_request_id_is_kept(api: httpx.Client, given: str) -> None:
    assert api.get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b'])
def test_a_request_id_that_would_spoil_a_log_is_replaced(api: httpx.Client, given: str) -> None:
    assert api.get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"].startswith("req_")


def test_the_unexpected_is_logged_and_says_nothing_of_itself(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(self: AppState) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(AppState, "check_room", stumble)
    with caplog.at_level(logging.ERROR):
        answer = api.post("/v1/jobs", json={"input": "a"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret detail" not in answer.text
    assert answer.json()["request_id"] in caplog.text
    assert "secret detail" in caplog.text


def test_the_documentation_names_every_shape_that_it_refers_to(settings: Settings) -> None:
    document = create_app(settings).openapi()
    schemas = document["components"]["schemas"]

    def references(part: Any) -> set[str]:
        if isinstance(part, dict):
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return own.union(*(references(value) for value in part.values()))
        if isinstance(part, list):
            return set().union(*(references(value) for value in part))
        return set()

    assert {name.removeprefix("#/components/schemas/") for name in references(document)} <= schemas.keys()
    assert {"JobRequest", "BatchRequest", "Job", "Batch", "Voice", "Problem"} <= schemas.keys()


def test_the_documentation_shows_what_every_route_takes_answers_and_refuses(settings: Settings) -> None:
    document = create_app(settings).openapi()
    identifiers = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation.get("description") or path == "/v1/voices/{name}", where
            assert any(status.startswith(("2", "3")) for status in operation["responses"]), where
            problem = operation["responses"]["503"]["content"]
            assert "application/problem+json" in problem or path == "/readyz", where
            identifiers.add(operation["operationId"])
    assert len(identifiers) == sum(len(operations) for operations in document["paths"].values())
    submit = document["paths"]["/v1/jobs"]["post"]
    assert submit["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/JobRequest")
    assert submit["responses"]["202"]["content"]["application/json"]["schema"]["$ref"].endswith("/Job")
    assert {parameter["name"] for parameter in submit["parameters"]} == {"Idempotency-Key", "Prefer"}
