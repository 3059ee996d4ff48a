from __future__ import annotations

import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import redis

from farm.errors import Conflict
from farm.job import Due
from farm.layout import BATCHES, lines_key
from farm.order import Order, read_lines
from farm.store import batches, jobs, segments, tasks
from tests.api.backstage import LEASE_MS, Backstage
from tests.patience import patient

JSONL = {"Content-Type": "application/jsonl"}


def lines(jobs: Sequence[dict[str, Any] | str]) -> bytes:
    return "\n".join(job if isinstance(job, str) else json.dumps(job) for job in jobs).encode() + b"\n"


def shared(backstage: Backstage, batch: str) -> dict[str, Any] | None:
    record = backstage.store.run(batches.record(batch))
    assert record is not None
    return None if record.shared is None else json.loads(record.shared)


def stored(backstage: Backstage, batch: str) -> list[Order]:
    return list(read_lines(io.BytesIO(backstage.storage.get(lines_key(batch))), shared=shared(backstage, batch)))


def unfold(backstage: Backstage, batch: str) -> list[str]:
    """As the desk does it; the ids of the jobs."""
    (task,) = backstage.store.run(tasks.take((Due.BATCH,), want=1, lease_ms=LEASE_MS))
    assert task.id == batch
    orders = stored(backstage, batch)
    for order in orders:
        new = jobs.NewJob.of(order, "default", batch=batch, shared=shared(backstage, batch))
        try:
            backstage.store.run(jobs.accept(new))
        except Conflict:
            break
    assert backstage.store.run(tasks.done(task))
    return [order.id for order in orders]


def refused(api: httpx.Client, backstage: Backstage, **request: Any) -> dict[str, Any]:
    answer = api.post("/v1/batches", **request)
    assert answer.status_code == 422, answer.text
    assert list(backstage.storage.list(BATCHES)) == []
    assert backstage.store.run(tasks.take((Due.BATCH,), want=1, lease_ms=LEASE_MS)) == []
    problem: dict[str, Any] = answer.json()
    return problem


def test_a_batch_is_accepted_whole_with_its_lines_resolved(api: httpx.Client, backstage: Backstage) -> None:
    jobs = [{"input": "One.", "custom_id": "a"}, {"input": "Zwei.", "voice": "de", "priority": "bulk"}]
    body = {"jobs": jobs, "defaults": {"voice": "en-gb", "speed": 1.5}, "metadata": {"book": "x"}}
    answer = api.post("/v1/batches", json=body)
    batch = answer.json()
    assert (answer.status_code, batch["status"], batch["total"]) == (202, "running", 2)
    assert answer.headers["location"] == batch["status_url"] == f"{api.base_url}/v1/batches/{batch['id']}"
    assert (batch["counts"], batch["metadata"]) == ({"queued": 2}, {"book": "x"})
    one, two = stored(backstage, batch["id"])
    assert (one.spec.voice, one.spec.language, one.spec.custom_id, one.lane) == ("en-gb", "en-gb", "a", "normal")
    assert (two.spec.voice, two.spec.language, two.spec.manner.speed, two.lane) == ("de", "de", 1.5, "bulk")


def test_long_defaults_are_kept_once_and_shown_by_every_job(api: httpx.Client, backstage: Backstage) -> None:
    metadata = {f"field {number}": "x" * 500 for number in range(16)}
    hook = {"url": "https://example.com/" + "y" * 1900, "events": ["job.failed"]}
    defaults = {"metadata": metadata, "webhook": hook, "speed": 1.5, "on_error": "skip", "output": {"format": "wav"}}
    own = {"metadata": {"own": "z"}, "speed": 1.0, "on_error": "fail", "output": {}}
    body = {
        "jobs": [{"input": "One.", **own}, {"input": "Two."}, {"input": "Drei.", "voice": "de"}],
        "defaults": defaults,
    }
    batch = api.post("/v1/batches", json=body).json()["id"]
    one, two, three = unfold(backstage, batch)
    assert backstage.spec(one).manner.speed == 1.0
    assert (backstage.spec(one).on_error, backstage.spec(one).output.format) == ("fail", "mp3")
    for job, voice in ((two, "en-us"), (three, "de")):
        spec = backstage.spec(job)
        assert (spec.manner.speed, spec.on_error, spec.output.format, spec.voice) == (1.5, "skip", "wav", voice)
        assert spec.webhook is not None
        assert str(spec.webhook.url) == hook["url"]
        record = backstage.store.run(jobs.record(job))
        assert record is not None
    shown = api.get(f"/v1/batches/{batch}/jobs").json()["data"]
    assert [job["metadata"] for job in shown] == [own["metadata"], metadata, metadata]
    found = api.get("/v1/jobs", params={"metadata[field 7]": "x" * 500}).json()["data"]
    assert {job["id"] for job in found} == {two, three}
    assert api.get(f"/v1/jobs/{two}").json()["metadata"] == metadata
    with redis.Redis.from_url(backstage.redis_url) as client:
        assert sum(client.strlen(f"f:s:{job}") for job in (one, two, three)) < 300


def test_its_jobs_are_shown_in_their_order_and_counted(api: httpx.Client, backstage: Backstage) -> None:
    sentences = [{"input": f"Sentence {number}."} for number in range(5)]
    batch = api.post("/v1/batches", content=lines(sentences), headers=JSONL).json()["id"]
    jobs = unfold(backstage, batch)
    found: list[str] = []
    after: dict[str, str] = {}
    for _ in range(3):
        page = api.get(f"/v1/batches/{batch}/jobs", params={"limit": 2, **after}).json()
        found += [job["id"] for job in page["data"]]
        after = {"after": page["next_cursor"] or ""}
    assert found == jobs
    assert not page["has_more"]
    backstage.succeed(jobs[0])
    shown = api.get(f"/v1/batches/{batch}").json()
    assert shown["counts"] == {"queued": 4, "succeeded": 1}
    assert (shown["progress"]["percent"], shown["progress"]["segments_done"]) == (20.0, 1)
    page = api.get(f"/v1/batches/{batch}/jobs", params={"status": "succeeded"}).json()
    assert [job["id"] for job in page["data"]] == [jobs[0]]
    assert {job["batch_id"] for job in page["data"]} == {batch}


def test_what_somebody_should_listen_to_is_counted_while_a_job_and_its_batch_run(
    api: httpx.Client, backstage: Backstage
) -> None:
    text = "The rain fell on all the old roofs. Nobody in the house heard it fall. The clerk had gone home early."
    batch = api.post("/v1/batches", json={"jobs": [{"input": text}] * 2}).json()["id"]
    first, second = unfold(backstage, batch)
    for job, odd in ((first, {0, 1}), (second, {1})):
        backstage.plan(job)
        clips = [segments.Settled(job, index, 1500, review=index in odd) for index in (0, 1)]
        backstage.store.run(segments.settle("0", clips))
    shown = [api.get(f"/v1/jobs/{job}").json() for job in (first, second)]
    assert [(job["status"], job["progress"]["needs_review"]) for job in shown] == [("running", 2), ("running", 1)]
    assert api.get(f"/v1/batches/{batch}").json()["progress"]["needs_review"] == 3


def test_batches_are_listed_newest_first_and_filtered(api: httpx.Client, backstage: Backstage) -> None:
    def submit(**more: Any) -> str:
        answer = api.post("/v1/batches", json={"jobs": [{"input": "One.", "model": "espeak"}], **more})
        return str(answer.json()["id"])

    def listed(**wanted: str) -> list[str]:
        return [batch["id"] for batch in api.get("/v1/batches", params=wanted).json()["data"]]

    emma, other, gone, canceled, plain = (
        submit(metadata={"book": "emma", "part": "1"}), submit(metadata={"book": "other"}), submit(), submit(), submit()
    )  # fmt: skip
    api.delete(f"/v1/batches/{gone}")
    api.post(f"/v1/batches/{canceled}/cancel")
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    for _ in range(2):
        page = api.get("/v1/batches", params={"limit": 2, **after}).json()
        found += page["data"]
        after = {"after": page["next_cursor"] or ""}
    assert (page["has_more"], after) == (False, {"after": ""})
    assert [batch["id"] for batch in found] == listed() == [plain, canceled, other, emma]
    assert found == [api.get(f"/v1/batches/{batch['id']}").json() for batch in found]
    assert listed(**{"metadata[book]": "emma"}) == [emma]
    assert listed(**{"metadata[book]": "emma", "metadata[part]": "2"}) == []
    assert (listed(status="canceled"), listed(status="completed")) == ([canceled], [])
    assert listed(status="running", model="espeak") == [plain, other, emma]
    assert listed(model="indextts-2") == []


@pytest.mark.parametrize("query", ["status=failed", "limit=0", "after=am9i", "after=MS5qb2JfMQ", "limit=101"])
def test_a_list_of_batches_refuses_what_it_does_not_know(api: httpx.Client, query: str) -> None:
    answer = api.get(f"/v1/batches?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"/{query.partition('=')[0]}"


def test_a_long_poll_on_a_batch_answers_at_its_end(api: httpx.Client, backstage: Backstage) -> None:
    batch = api.post("/v1/batches", json={"jobs": [{"input": "One."}]}).json()["id"]
    (job,) = unfold(backstage, batch)
    backstage.succeed(job)
    shown = api.get(f"/v1/batches/{batch}", params={"wait": 30}).json()
    assert (shown["status"], shown["progress"]["percent"]) == ("completed", 100.0)
    assert shown["ended_at"] is not None
    assert api.post(f"/v1/batches/{batch}/cancel").status_code == 409


def test_a_batch_can_be_canceled_before_it_is_unfolded(api: httpx.Client, backstage: Backstage) -> None:
    batch = api.post("/v1/batches", json={"jobs": [{"input": "One."}, {"input": "Two."}]}).json()["id"]
    assert api.post(f"/v1/batches/{batch}/cancel").status_code == 202
    unfold(backstage, batch)
    shown = api.get(f"/v1/batches/{batch}").json()
    assert (shown["status"], shown["counts"]) == ("canceled", {"canceled": 2})


def test_a_deleted_batch_is_unknown_at_once(api: httpx.Client, backstage: Backstage) -> None:
    batch = api.post("/v1/batches", json={"jobs": [{"input": "One."}, {"input": "Two."}]}).json()["id"]
    unfold(backstage, batch)
    assert api.delete(f"/v1/batches/{batch}").status_code == 202
    for answer in (
        api.delete(f"/v1/batches/{batch}"), api.get(f"/v1/batches/{batch}"), api.post(f"/v1/batches/{batch}/cancel"),
        api.get(f"/v1/batches/{batch}/jobs"), api.get(f"/v1/batches/{batch}/deliveries"),
    ):  # fmt: skip
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_long_poll_hears_that_its_batch_is_deleted(api: httpx.Client) -> None:
    batch = api.post("/v1/batches", json={"jobs": [{"input": "One."}]}).json()["id"]
    with ThreadPoolExecutor() as pool:
        polled = pool.submit(api.get, f"/v1/batches/{batch}", params={"wait": 30})
        assert api.delete(f"/v1/batches/{batch}").status_code == 202
        assert polled.result().status_code == 404


def test_line_731_of_1000_is_named_and_nothing_is_accepted(api: httpx.Client, backstage: Backstage) -> None:
    jobs: list[dict[str, Any] | str] = [{"input": f"Sentence {number}."} for number in range(1000)]
    jobs[730] = '{"input": "Sentence 730.",}'
    problem = refused(api, backstage, content=lines(jobs), headers=JSONL)
    (error,) = problem["errors"]
    assert error["pointer"] == "/jobs/730"
    assert error["message"].startswith("line 731: is not valid JSON: trailing comma")


def test_every_wrong_line_is_named_up_to_twenty_of_them(api: httpx.Client, backstage: Backstage) -> None:
    jobs: list[dict[str, Any] | str] = [{"input": "a"}] * 100
    jobs[3] = {"input": " "}
    jobs[70] = {"input": "a", "voice": "nobody"}
    problem = refused(api, backstage, content=lines(jobs), headers=JSONL)
    assert [error["pointer"] for error in problem["errors"]] == ["/jobs/3/input", "/jobs/70/voice"]
    assert "2 of the first 100 jobs are wrong" in problem["detail"]
    problem = refused(api, backstage, content=lines([{"input": "a", "zoom": 1}] * 100), headers=JSONL)
    assert len(problem["errors"]) == 20
    assert "20 of the first 20" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ({"jobs": [{"input": "a"}, {"input": "\x07"}]}, "/jobs/1/input", "job 2: contains the control character"),
        ({"jobs": [{"input": "a"}, {"text": "b"}]}, "/jobs/1/text", "job 2: is not a field"),
        ({"jobs": [{"input": "a", "custom_id": "x"}, {"input": "b", "custom_id": "x"}]}, "/jobs/1/custom_id",
         "job 2: 'x' is the custom_id of job 1 already"),
        ({"jobs": []}, "/jobs", "at least 1"),
        ({"jobs": ["a"]}, "/jobs/0", "object"),
        ({"jobs": [{"input": "a"}], "defaults": {"speed": 3}}, "/defaults/speed", "less than"),
        ({"jobs": [{"input": "a"}], "defaults": {"input": "b"}}, "/defaults/input", "not a field"),
        ({"jobs": [{"input": "a"}], "defaults": {"model": "bark"}}, "/jobs/0/model", "known: espeak"),
        ({"jobs": [{"input": "a"}], "webhook": {"url": "http://10.0.0.1/"}}, "/webhook/url", "private"),
        ({"jobs": [{"input": "a"}], "webhook": {"url": "https://example.com", "events": ["job.failed"]}},
         "/webhook/events", "defaults.webhook"),
        ({"jobs": [{"input": "a"}] * 50_001}, "/jobs", "50000"),
    ],
)  # fmt: skip
def test_a_refused_batch_names_its_faults(
    api: httpx.Client, backstage: Backstage, body: dict[str, Any], pointer: str, said: str
) -> None:
    problem = refused(api, backstage, json=body)
    assert problem["errors"][0]["pointer"] == pointer
    assert said in problem["errors"][0]["message"]


def test_more_lines_than_a_batch_may_have_are_refused(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.batch_orders.MAX_BATCH_JOBS", 1_000)
    answer = api.post("/v1/batches", content=b'{"input":"a"}\n' * 1_001, headers=JSONL)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert "1,000" in answer.json()["detail"]


def test_blank_lines_are_counted_and_are_no_jobs(api: httpx.Client, backstage: Backstage) -> None:
    problem = refused(api, backstage, content=b'{"input":"a"}\n\n\r\n{"input":""}', headers=JSONL)
    assert problem["errors"][0]["message"].startswith("line 4:")
    refused(api, backstage, content=b"\n\n", headers=JSONL)


def test_options_travel_beside_the_lines(api: httpx.Client, backstage: Backstage) -> None:
    options = {"defaults": '{"voice":"de"}', "metadata": '{"book":"x"}'}
    raw = api.post("/v1/batches", content=lines([{"input": "a"}]), headers=JSONL, params=options)
    form = api.post("/v1/batches", files={"file": ("jobs.jsonl", lines([{"input": "a"}]))}, data=options)
    for answer in (raw, form):
        assert (answer.status_code, answer.json()["metadata"]) == (202, {"book": "x"})
        assert stored(backstage, answer.json()["id"])[0].spec.voice == "de"


def test_options_of_the_url_count_for_every_kind_of_body_and_those_in_the_body_before_them(
    api: httpx.Client, backstage: Backstage
) -> None:
    url = {"defaults": '{"voice":"de"}', "metadata": '{"book":"url"}'}
    jobs = [{"input": "a"}]
    bare = [{"json": {"jobs": jobs}}, {"files": {"file": ("jobs.jsonl", lines(jobs))}}]
    said = [
        {"json": {"jobs": jobs, "metadata": {"book": "body"}}},
        {**bare[1], "data": {"metadata": '{"book":"body"}'}},
    ]
    for book, bodies in (("url", bare), ("body", said)):
        for body in bodies:
            answer = api.post("/v1/batches", params=url, **body)
            assert (answer.status_code, answer.json()["metadata"]) == (202, {"book": book})
            assert stored(backstage, answer.json()["id"])[0].spec.voice == "de"
            wrong = api.post("/v1/batches", params={"metadata": "{"}, **body)
            assert (wrong.status_code, wrong.json()["code"]) == (422, "malformed_json")


def test_a_key_is_of_a_batch_with_its_options(api: httpx.Client) -> None:
    key = {"Idempotency-Key": "1"}
    bodies = [{"params": {"metadata": f'{{"book":"{book}"}}'}, "headers": key} for book in "aab"]
    answers = [api.post("/v1/batches", json={"jobs": [{"input": "a"}]}, **body) for body in bodies]
    assert [answer.status_code for answer in answers] == [202, 202, 422]
    assert answers[0].json()["id"] == answers[1].json()["id"]


@pytest.mark.parametrize(
    ("options", "pointer"),
    [({"defaults": "{"}, "/defaults"), ({"defaults": '{"speed":9}'}, "/defaults/speed"), ({"colour": "1"}, "/colour")],
)
def test_wrong_options_are_named(
    api: httpx.Client, backstage: Backstage, options: dict[str, str], pointer: str
) -> None:
    problem = refused(api, backstage, content=lines([{"input": "a"}]), headers=JSONL, params=options)
    assert problem["errors"][0]["pointer"] == pointer


def test_the_same_key_is_the_same_batch_however_its_form_is_bounded(api: httpx.Client) -> None:
    key = {"Idempotency-Key": "the book"}

    def upload(text: str) -> httpx.Response:
        return api.post("/v1/batches", files={"file": ("jobs.jsonl", lines([{"input": text}]))}, headers=key)

    first, again, other = upload("a"), upload("a"), upload("b")
    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert other.json()["code"] == "idempotency_key_reused"


def test_a_key_is_free_again_when_its_batch_was_refused(api: httpx.Client) -> None:
    key = {"Idempotency-Key": "the book"}
    assert api.post("/v1/batches", json={"jobs": [{"input": ""}]}, headers=key).status_code == 422
    assert api.post("/v1/batches", json={"jobs": [{"input": "a"}]}, headers=key).status_code == 202


def test_a_large_batch_delays_no_other_request(api: httpx.Client) -> None:
    content = lines([{"input": f"Sentence {number}.", "custom_id": str(number)} for number in range(5_000)])
    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(api.post, "/v1/batches", content=content, headers=JSONL)
        answered = 0
        while not upload.done():
            assert api.get("/healthz").elapsed.total_seconds() < patient(2)
            answered += 1
    assert (upload.result().status_code, upload.result().json()["total"]) == (202, 5_000)
    assert answered > 5


@pytest.mark.parametrize("path", ["", "/jobs", "/deliveries"])
@pytest.mark.parametrize("batch", ["batch_0000000000000000", "job_0000000000000000", "x"])
def test_a_malformed_batch_id_is_not_found(api: httpx.Client, batch: str, path: str) -> None:
    assert api.get(f"/v1/batches/{batch}{path}").status_code == 404


@pytest.mark.parametrize("form", [False, True])
def test_lines_with_a_byte_order_mark_are_read(api: httpx.Client, backstage: Backstage, form: bool) -> None:
    marked = b"\xef\xbb\xbf" + lines([{"input": "One."}, {"input": "Two."}])
    if form:
        answer = api.post(
            "/v1/batches", files={"file": ("jobs.jsonl", marked)}, data={"defaults": '\ufeff{"voice":"de"}'}
        )
    else:
        answer = api.post("/v1/batches", content=marked, headers=JSONL)
    assert answer.status_code == 202, answer.text
    assert [json.loads(order.text)["chapters"][0]["input"] for order in stored(backstage, answer.json()["id"])] == [
        "One.",
        "Two.",
    ]
