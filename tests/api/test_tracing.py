"""The trace of a request: continued from its client, handed to its job, and told in the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import httpx
import pytest

from farm import logs
from farm.settings import Settings
from farm.store import Store, batches, jobs
from tests.api.conftest import Served
from tests.collector import Here
from tests.pure.test_tracing import GOOD

TRACE = GOOD[3:35]
CHANGES = {"id", "status_url", "created_at", "request_id"}  # from answer to answer


@pytest.fixture(scope="module")
def traced(session_settings: Settings) -> Iterator[tuple[Served, Here]]:
    here = Here()
    served = Served(session_settings, here)
    yield served, here
    served.stop()


@pytest.fixture
def here(traced: tuple[Served, Here]) -> Here:
    here = traced[1]
    here.forget()
    return here


@pytest.fixture
def api(store: Store, settings: Settings, traced: tuple[Served, Here]) -> Iterator[httpx.Client]:
    """One that is traced."""
    with traced[0].client() as client:
        yield client


def trace_of(store: Store, job: str) -> str | None:
    """Without its flags: a new trace is marked as random."""
    record = store.run(jobs.record(job))
    assert record is not None
    return record.trace and record.trace[:52]


def test_a_request_continues_the_trace_of_its_client_and_its_job_keeps_it(
    api: httpx.Client, here: Here, store: Store
) -> None:
    job = api.post("/v1/jobs", json={"input": "One."}, headers={"traceparent": GOOD}).json()["id"]
    accept, request = here.ended(2)
    assert (request.name, request.trace, request.parent) == ("POST /v1/jobs", TRACE, GOOD[36:52])
    assert (accept.name, accept.trace, accept.parent) == ("accept", TRACE, request.id)
    assert accept.attributes["farm.job_id"] == job
    assert trace_of(store, job) == f"00-{TRACE}-{request.id}"


def test_without_a_client_that_traces_the_request_begins_a_trace(api: httpx.Client, here: Here, store: Store) -> None:
    job = api.post("/v1/jobs", json={"input": "One."}, headers={"traceparent": "nonsense"}).json()["id"]
    _, request = here.ended(2)
    assert request.parent == ""
    assert trace_of(store, job) == f"00-{request.trace}-{request.id}"


def test_a_batch_keeps_the_trace_of_its_request(api: httpx.Client, here: Here, store: Store) -> None:
    batch = api.post("/v1/batches", json={"jobs": [{"input": "One."}]}).json()["id"]
    accept, request = here.ended(2)
    assert (accept.name, accept.parent, accept.attributes["farm.batch_id"]) == ("accept", request.id, batch)
    record = store.run(batches.record(batch))
    assert record is not None
    assert record.trace is not None
    assert record.trace.startswith(f"00-{request.trace}-{request.id}-")


@pytest.mark.parametrize("sent", ['{"input": "One."}', '{"input": ""}', '{"input"', ""])
def test_a_farm_that_traces_accepts_and_refuses_as_another_does(
    api: httpx.Client, session_api: Served, sent: str
) -> None:
    """Its requests go through the router, and those of the other do not."""

    def shape(answer: httpx.Response) -> object:
        said = {name: value for name, value in answer.json().items() if name not in CHANGES}
        return answer.status_code, sorted(answer.headers), said

    kind = {"Content-Type": "application/json"} if sent else {}
    with session_api.client() as other:
        answers = [each.post("/v1/jobs", content=sent, headers=kind) for each in (api, other)]
    assert shape(answers[0]) == shape(answers[1])


def test_a_span_has_no_words_of_a_query_or_of_an_error(api: httpx.Client, here: Here) -> None:
    api.get("/v1/jobs", params={"metadata[shelf]": "herons", "custom_id": "reeds", "limit": "1"})
    api.post("/v1/jobs", json={"input": "herons", "model": "herons"})
    listed, refused = here.ended(2)
    assert listed.attributes["url.query"] == "REDACTED"
    assert not refused.failed  # 4xx is the client's fault
    assert "herons" not in listed.text + refused.text
    assert "reeds" not in listed.text


def test_what_nobody_waits_for_is_not_traced(api: httpx.Client, here: Here) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/", "/dashboard/app.js", "/docs"):
        assert api.get(path).status_code == 200
    job = api.post("/v1/jobs", json={"input": "One."}).json()["id"]
    with api.stream("GET", f"/v1/jobs/{job}/events") as events:
        assert next(events.iter_lines())
    assert {span.name for span in here.ended(2)} == {"accept", "POST /v1/jobs"}


def test_where_nothing_is_traced_a_job_keeps_what_its_client_sent(
    store: Store, settings: Settings, session_api: Served
) -> None:
    with session_api.client() as api:
        with_it = api.post("/v1/jobs", json={"input": "One."}, headers={"traceparent": GOOD}).json()["id"]
        without = api.post("/v1/jobs", json={"input": "One."}).json()["id"]
    assert (trace_of(store, with_it), trace_of(store, without)) == (GOOD[:52], None)


def test_the_log_of_an_accepted_job_has_the_ids_of_request_job_and_trace(
    api: httpx.Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caplog.handler, "formatter", logs.Json())
    with caplog.at_level(logging.INFO, logger="api.jobs"):
        job = api.post("/v1/jobs", json={"input": "One."}, headers={"X-Request-Id": "mine", "traceparent": GOOD}).json()
    (event,) = [json.loads(line) for line in caplog.text.splitlines() if job["id"] in line]
    assert (event["request_id"], event["job_id"], event["trace_id"]) == ("mine", job["id"], TRACE)


def test_a_speech_request_is_one_trace_with_plan_and_rendering_in_it(
    api: httpx.Client, here: Here, store: Store, stage: object
) -> None:
    with stage.rendering():  # type: ignore[attr-defined]
        answer = api.post("/v1/audio/speech", json={"input": "One.", "response_format": "wav"})
    assert answer.status_code == 200
    spans = {span.name: span for span in here.ended(4)}
    request, render = spans["POST /v1/audio/speech"], spans["render"]
    assert {name: span.parent for name, span in spans.items() if span is not request} == dict.fromkeys(
        ("plan", "accept", "render"), request.id
    )
    job = answer.headers["x-farm-job"]
    assert (render.attributes["farm.job_id"], render.attributes["farm.segments"]) == (job, 1)
    assert 0 <= render.seconds <= request.seconds + 0.002  # the store counts milliseconds
    assert trace_of(store, job) == f"00-{request.trace}-{request.id}"
