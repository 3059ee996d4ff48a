from __future__ import annotations

import errno
import json
import logging
from typing import Any

import httpx
import pytest

from api.problems import answer
from api.state import AppState
from farm.wire import Problem
from tests.api.backstage import Backstage
from tests.api.document import document

FIELDS = {"type", "title", "status", "detail", "code", "retryable", "request_id", "errors"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/dashboard/nothing", 404, "not_found"),
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
    assert api.put("/v1/jobs").headers["allow"] == "GET, HEAD, POST"
    assert api.post("/v1/jobs/job_0000000000000000").headers["allow"] == "DELETE, GET, HEAD, PATCH"


HEADS = ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/v1/models", "/v1/queue", "/v1/voices"]


@pytest.mark.parametrize("path", [*HEADS, "/v1/voices/de", "/v1/jobs", "/v1/nothing", "/v1/jobs/job_0"])
def test_head_answers_as_get_does_without_the_body(api: httpx.Client, path: str) -> None:
    same_id = {"X-Request-Id": "mine"}
    head, get = api.head(path, headers=same_id), api.get(path, headers=same_id)
    assert (head.status_code, head.content) == (get.status_code, b"")
    same = ("content-type", "allow") if path == "/metrics" else ("content-type", "content-length", "allow")
    assert {name: head.headers.get(name) for name in same} == {name: get.headers.get(name) for name in same}


def test_head_of_a_job_and_its_files(api: httpx.Client, backstage: Backstage) -> None:
    job = api.post("/v1/jobs", json={"input": "One.", "output": {"subtitles": ["vtt"]}}).json()["id"]
    assert api.head(f"/v1/jobs/{job}/audio").status_code == 409
    backstage.succeed(job)
    for what in ("", "/audio", "/manifest", "/subtitles.vtt", "/segments", "/deliveries"):
        head, get = api.head(f"/v1/jobs/{job}{what}"), api.get(f"/v1/jobs/{job}{what}")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(get.content))
    assert api.head(f"/v1/jobs/{job}/cancel").status_code == 405


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


def test_the_documentation_names_every_shape_that_it_refers_to() -> None:
    schemas = document()["components"]["schemas"]

    def references(part: Any) -> set[str]:
        if isinstance(part, dict):
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return own.union(*(references(value) for value in part.values()))
        if isinstance(part, list):
            return set().union(*(references(value) for value in part))
        return set()

    assert {name.removeprefix("#/components/schemas/") for name in references(document())} <= schemas.keys()
    assert {"JobRequest", "BatchRequest", "Job", "Batch", "Voice", "Problem"} <= schemas.keys()


def test_the_documentation_shows_what_every_route_takes_answers_and_refuses() -> None:
    identifiers = set()
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation.get("description") or path == "/v1/voices/{name}", where
            assert any(status.startswith(("2", "3")) for status in operation["responses"]), where
            problem = operation["responses"]["503"]["content"]
            assert "application/problem+json" in problem or path == "/readyz", where
            identifiers.add(operation["operationId"])
    assert len(identifiers) == sum(len(operations) for operations in document()["paths"].values())
    submit = document()["paths"]["/v1/jobs"]["post"]
    assert submit["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/JobRequest")
    assert submit["responses"]["202"]["content"]["application/json"]["schema"]["$ref"].endswith("/Job")
    assert {parameter["name"] for parameter in submit["parameters"]} == {"Idempotency-Key", "Prefer"}


def answers(method: str, path: str) -> dict[str, set[str]]:
    """status -> media types"""
    declared = document()["paths"][path][method]["responses"]
    return {status: set(answer.get("content", ())) for status, answer in declared.items()}


PROBLEM = {"application/problem+json"}


def test_the_documentation_says_what_comes_before_the_end_and_for_a_part() -> None:
    for what in ("audio", "manifest", "subtitles.vtt", "subtitles.srt", "segments"):
        declared = answers("get", f"/v1/jobs/{{job_id}}/{what}")
        assert declared["200"], what
        assert declared["409"] == declared["410"] == PROBLEM
        if what != "segments":
            assert declared["206"] == declared["200"]
            assert (declared["304"], declared["307"], declared["416"]) == (set(), set(), PROBLEM)
    assert "audio/mpeg" in answers("get", "/v1/jobs/{job_id}/audio")["200"]
    manifest = document()["paths"]["/v1/jobs/{job_id}/manifest"]["get"]["responses"]["200"]
    assert manifest["content"]["application/json"]["schema"]["$ref"].endswith("/Manifest")


def test_the_documentation_knows_the_jobs_of_a_batch() -> None:
    shape = document()["components"]["schemas"]["BatchRequest"]
    assert shape["properties"]["jobs"]["items"]["$ref"].endswith("/JobRequest")


def test_the_documentation_says_where_no_key_is_needed() -> None:
    without = {
        path for path, operations in document()["paths"].items() if operations.get("get", {}).get("security") == []
    }
    assert without == {"/healthz", "/readyz"}
    assert document()["security"] == [{"key": []}]


def test_the_documentation_says_what_probes_and_forms_answer() -> None:
    assert answers("get", "/readyz")["503"] == {"application/json"}
    assert answers("get", "/metrics")["200"] == {"text/plain"}
    assert answers("post", "/v1/voices")["400"] == answers("post", "/v1/batches")["400"] == PROBLEM
    redeliver = answers("post", "/v1/jobs/{job_id}/deliveries/{delivery_id}/redeliver")
    assert redeliver["202"] == set()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_an_api_without_file_descriptors_asks_to_come_again(number: int) -> None:
    scope = {"request_id": "req_1", "method": "GET", "path": "/v1/jobs", "shown_path": "/v1/jobs"}
    refused = answer(OSError(number, "Too many open files"), scope)
    assert refused.status_code == 503
    assert "retry-after" in refused.headers
    assert json.loads(refused.body)["retryable"] is True
    assert answer(OSError(errno.EIO, "Input/output error"), scope).status_code == 500
