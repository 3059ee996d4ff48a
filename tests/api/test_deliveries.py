from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from farm.job import Due
from farm.store import outbox, tasks
from farm.webhooks.schedule import Answer, Record, Step
from farm.wire import Attempt
from tests.api.backstage import LEASE_MS, Backstage

URL = "https://example.com/hook"
BODY = {"input": "One.", "webhook": {"url": URL, "events": ["job.succeeded"]}}


@pytest.fixture
def job(api: httpx.Client, backstage: Backstage) -> str:
    job = str(api.post("/v1/jobs", json=BODY).json()["id"])
    backstage.succeed(job)
    return job


def deliver(backstage: Backstage, job: str) -> None:
    """As if the receiver had said 200."""
    (task,) = backstage.store.run(tasks.take((Due.DELIVER,), want=1, lease_ms=LEASE_MS))
    found = backstage.store.run(outbox.deliveries(job))
    assert found is not None
    record = Record.read(found[0].record, ending=found[0].event, url=URL)
    attempt = Attempt(at=datetime.now(UTC), status_code=200, seconds=0.1)
    backstage.store.run(
        outbox.delivered(
            task, record.after(Answer(attempt), Step("delivered")).model_dump_json(), None, outcome="delivered"
        )
    )


def test_a_delivery_is_pending_until_it_is_delivered(api: httpx.Client, backstage: Backstage, job: str) -> None:
    (pending,) = api.get(f"/v1/jobs/{job}/deliveries").json()["data"]
    assert (pending["event"], pending["url"], pending["status"]) == ("job.succeeded", URL, "pending")
    assert pending["next_attempt_at"] is not None
    deliver(backstage, job)
    (done,) = api.get(f"/v1/jobs/{job}/deliveries").json()["data"]
    assert (done["id"], done["status"], done["next_attempt_at"]) == (pending["id"], "delivered", None)
    assert [attempt["status_code"] for attempt in done["attempts"]] == [200]


def test_a_delivery_can_be_asked_for_again(api: httpx.Client, backstage: Backstage, job: str) -> None:
    deliver(backstage, job)
    (done,) = api.get(f"/v1/jobs/{job}/deliveries").json()["data"]
    assert api.post(f"/v1/jobs/{job}/deliveries/{done['id']}/redeliver").status_code == 202
    (again,) = api.get(f"/v1/jobs/{job}/deliveries").json()["data"]
    assert (again["id"], again["status"]) == (done["id"], "pending")
    hasty = api.post(f"/v1/jobs/{job}/deliveries/{done['id']}/redeliver")
    assert (hasty.status_code, hasty.json()["code"], hasty.headers["retry-after"]) == (429, "too_often", "2")


@pytest.mark.parametrize("delivery", ["{job}.9", "{job}", "{job}.x", "job_0000000000000000.1"])
def test_a_delivery_that_is_not_this_jobs_is_not_found(api: httpx.Client, job: str, delivery: str) -> None:
    answer = api.post(f"/v1/jobs/{job}/deliveries/{delivery.format(job=job)}/redeliver")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_only_requested_events_are_delivered(api: httpx.Client, backstage: Backstage) -> None:
    job = api.post("/v1/jobs", json=BODY).json()["id"]
    backstage.fail(job)
    assert api.get(f"/v1/jobs/{job}/deliveries").json()["data"] == []
