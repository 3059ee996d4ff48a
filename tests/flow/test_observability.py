"""The logs and traces of a whole run: a farm of real processes with an API key, JSON logs at DEBUG, and a collector.

The run has everything in it that a log must not tell: texts, an API key, the secret of the webhooks, the query of a
webhook's URL. tests/pure/test_logs.py has presigned queries, which need a bucket.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from examples.receiver import Receiver
from farm.embedded.supervisor import Local
from farm.webhooks.secrets import secret_for
from tests.collector import Collector, Spanned
from tests.patience import patient
from tests.pure.test_tracing import GOOD

TENANT = "heron"
TEXTS = ("A canaryinthetext sings.", "Another canaryinthebatch sings.", "A canaryinthespeech sings.")
PARTS = ("api", "render", "desk")


@dataclass(frozen=True)
class Run:
    job: str
    batch_jobs: list[str]
    logs: dict[str, str]  # by part
    spans: list[Spanned]
    headers: list[dict[str, str]]  # of the webhook
    canaries: list[str]

    def events(self, part: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.logs[part].splitlines()]

    def of(self, trace: str) -> list[Spanned]:
        return [span for span in self.spans if span.trace == trace]


class Heard(Receiver):
    """Keeps the headers too."""

    def __init__(self, secret: str) -> None:
        super().__init__(secret)
        self.headers: list[dict[str, str]] = []

    def _take(self, body: bytes, headers: dict[str, str]) -> int:
        self.headers.append(headers)
        return super()._take(body, headers)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Logs and spans are read when all has ended: what a process has not sent by then it sends at its end."""
    with Collector() as collector:
        environment = {
            "FARM_LOG_FORMAT": "json", "FARM_LOG_LEVEL": "DEBUG", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_EXPORTER_OTLP_HEADERS": "x-collector=canaryofthecollector",
            "FARM_WEBHOOK_ALLOW": "127.0.0.0/8",
        }  # fmt: skip
        with Local(tmp_path_factory.mktemp("farm"), environment=environment) as local:
            key, secret = _key(local), (local.data / "webhook.secret").read_text().strip()
            files = {part: local.log(part) for part in PARTS}
            with Heard(secret_for(TENANT, secret)) as receiver:
                job, batch_jobs = _work(local.url, key, receiver)
        return Run(
            job, batch_jobs, {part: file.read_text() for part, file in files.items()}, collector.spans,
            receiver.headers, [key, key[3:], secret, secret_for(TENANT, secret), "canary", "sings"],
        )  # fmt: skip


def _work(url: str, key: str, receiver: Heard) -> tuple[str, list[str]]:
    """A job and a batch, to their webhooks, a speech request, and requests that are refused."""
    with httpx.Client(base_url=url, timeout=patient(60), headers={"Authorization": f"Bearer {key}"}) as client:
        hook = {"url": f"{receiver.url}?token=canaryofthewebhook"}
        asked = {"traceparent": GOOD, "X-Request-Id": "mine-1"}
        job = client.post("/v1/jobs", json={"input": TEXTS[0], "webhook": hook}, headers=asked).json()["id"]
        batch = client.post("/v1/batches", json={"jobs": [{"input": TEXTS[1]}] * 2, "webhook": hook}).json()["id"]
        assert client.post("/v1/audio/speech", json={"input": TEXTS[2], "response_format": "wav"}).status_code == 200
        assert client.get("/v1/jobs", headers={"Authorization": "Bearer fk_canaryofanotherkey"}).status_code == 401
        broken = '{"input": "canaryinthetext", "pitch": "canaryinthetext"'
        for body in (broken, broken + "}"):
            refused = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
            assert refused.status_code in (400, 422)
        assert client.get(f"/v1/jobs/{job}/audio", params={"canary": "canaryinthequery"}).status_code in (200, 307, 409)
        assert receiver.wait_for(lambda events: len(events) == 2, timeout=patient(60))
        return job, [each["id"] for each in client.get(f"/v1/batches/{batch}/jobs").json()["data"]]


def _key(local: Local) -> str:
    command = [sys.executable, "-P", "-m", "farm", "keys", "create", TENANT]
    given = os.environ | {"FARM_REDIS_URL": local.redis_url}
    made = subprocess.run(command, env=given, capture_output=True, text=True, timeout=patient(30), check=True)
    return made.stdout.strip()


def test_the_logs_of_a_whole_run_tell_no_text_no_key_and_no_secret(run: Run) -> None:
    for part, log in run.logs.items():
        assert log, part
        assert [line for line in log.splitlines() if any(canary in line for canary in run.canaries)] == []


def test_every_line_of_every_part_is_one_event(run: Run) -> None:
    for part in PARTS:
        for event in run.events(part):
            assert event.keys() >= {"time", "level", "part", "logger", "message", "pid"}
            assert event["part"] in (part, "worker")


def test_the_lines_of_a_job_have_its_id_and_that_of_its_trace_and_its_request(run: Run) -> None:
    told = (f"job {run.job} is accepted", f"job {run.job} succeeded", f"webhook {run.job}.1 is delivered")
    for part, message in zip(("api", "desk", "desk"), told, strict=True):
        (event,) = [event for event in run.events(part) if event["message"].startswith(message)]
        assert (event["job_id"], event["trace_id"]) == (run.job, GOOD[3:35])
        assert event.get("request_id") == ("mine-1" if part == "api" else None)


def test_a_job_is_one_trace_from_its_request_to_its_webhook(run: Run) -> None:
    spans = run.of(GOOD[3:35])
    (request,) = [span for span in spans if span.name == "POST /v1/jobs"]
    assert request.parent == GOOD[36:52]
    assert {span.parent for span in spans if span is not request} == {request.id}
    assert {span.name: span.service for span in spans} == {
        "POST /v1/jobs": "tts-farm-api", "accept": "tts-farm-api", "plan": "tts-farm-desk",
        "render": "tts-farm-desk", "assemble": "tts-farm-desk", "deliver": "tts-farm-desk",
    }  # fmt: skip
    (deliver,) = [span for span in spans if span.name == "deliver"]
    assert f"00-{GOOD[3:35]}-{deliver.id}-01" in [headers.get("traceparent") for headers in run.headers]


def test_a_speech_request_is_one_trace_in_the_api(run: Run) -> None:
    (request,) = [span for span in run.spans if span.name == "POST /v1/audio/speech"]
    steps = {span.name: span.service for span in run.of(request.trace) if span.parent == request.id}
    assert steps == dict.fromkeys(("plan", "accept", "render"), "tts-farm-api")


def test_the_jobs_of_a_batch_have_traces_of_their_own(run: Run) -> None:
    accepts = [span for span in run.spans if span.attributes.get("farm.job_id") in run.batch_jobs and span.links]
    assert len({span.trace for span in accepts}) == 2
    for accept in accepts:
        assert {span.name for span in run.of(accept.trace)} >= {"accept", "plan"}


def test_a_render_batch_is_linked_to_the_job(run: Run) -> None:
    batches = [span for span in run.spans if span.name == "render batch"]
    assert GOOD[3:35] in {trace for span in batches for trace, _ in span.links}
    assert {span.service for span in batches} == {"tts-farm-render"}


def test_no_span_tells_a_text_a_key_or_a_secret(run: Run) -> None:
    assert [span.name for span in run.spans if any(canary in span.text for canary in run.canaries)] == []
