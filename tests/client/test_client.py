"""The client against a server that misbehaves on purpose, and against the real farm."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from farm.client import Broken, Farm, Refused, Unreachable
from farm.wire import JobOptions, JobRequest
from tests.client.scripted import Reply, Scripted

BUSY = {
    "title": "Service Unavailable",
    "status": 503,
    "detail": "Redis is away; try again",
    "code": "store_unavailable",
    "retryable": True,
    "request_id": "req_1",
}
JOB = {
    "id": "job_1",
    "status": "queued",
    "model": "espeak",
    "language": "en",
    "priority": "normal",
    "characters": 2,
    "progress": {
        "segments_total": 0,
        "segments_done": 0,
        "segments_failed": 0,
        "cached": 0,
        "audio_seconds": 0,
        "percent": 0,
    },
    "status_url": "http://127.0.0.1/v1/jobs/job_1",
    "created_at": "2026-01-01T00:00:00Z",
}
HI = JobRequest(input="Hi")


def test_a_submission_is_sent_again_after_503_under_the_same_key(scripted: Scripted) -> None:
    scripted.replies = [Reply(503, BUSY), Reply(202, JOB)]
    with Farm(scripted.url) as farm:
        assert farm.submit(HI).id == "job_1"
    first, second = scripted.asked
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert json.loads(first.body) == {"input": "Hi"}


def test_two_submissions_have_different_keys(scripted: Scripted) -> None:
    scripted.replies = [Reply(202, JOB), Reply(202, JOB)]
    with Farm(scripted.url) as farm:
        farm.submit(HI)
        farm.submit(HI)
    assert len({asked.headers["idempotency-key"] for asked in scripted.asked}) == 2


def test_a_submission_whose_answer_was_lost_waits_for_its_own_first_attempt(
    scripted: Scripted,
) -> None:
    in_flight = BUSY | {"status": 409, "code": "idempotency_key_in_use", "retryable": False}
    scripted.replies = [Reply(200, {}), Reply(broken=True), Reply(409, in_flight), Reply(202, JOB)]
    with Farm(scripted.url) as farm:
        farm.health()
        assert farm.submit(HI).id == "job_1"


def test_a_cancel_whose_answer_was_lost_is_not_sent_twice(scripted: Scripted) -> None:
    scripted.replies = [Reply(200, {}), Reply(broken=True)]
    with Farm(scripted.url) as farm:
        farm.health()
        with pytest.raises(Unreachable):
            farm.cancel("job_1")
    assert len(scripted.asked) == 2


def test_patience_ends(scripted: Scripted) -> None:
    scripted.replies = [Reply(503, BUSY)] * 20
    with Farm(scripted.url, patience=0.3) as farm, pytest.raises(Refused, match="Redis is away") as refusal:
        farm.job("job_1")
    assert refusal.value.retryable
    assert 1 < len(scripted.asked) < 20


def test_a_pause_that_the_farm_asks_for_beyond_the_patience_is_not_waited_for(scripted: Scripted) -> None:
    scripted.replies = [Reply(503, BUSY, {"Retry-After": "30"})]
    with Farm(scripted.url, patience=5) as farm, pytest.raises(Refused):
        farm.job("job_1")


def test_a_refusal_carries_what_the_problem_says(scripted: Scripted) -> None:
    problem = BUSY | {
        "status": 422,
        "code": "invalid_request",
        "detail": "/speed should be at most 2",
        "retryable": False,
        "errors": [{"pointer": "/speed", "message": "should be at most 2"}],
    }
    scripted.replies = [Reply(422, problem)]
    with Farm(scripted.url) as farm, pytest.raises(Refused) as refusal:
        farm.submit(HI)
    error = refusal.value
    assert (error.status, error.code, error.request_id, error.retryable) == (422, "invalid_request", "req_1", False)
    assert [(field.pointer, field.message) for field in error.fields] == [("/speed", "should be at most 2")]


def test_an_error_page_of_a_proxy_is_a_refusal_too(scripted: Scripted) -> None:
    scripted.replies = [Reply(403, b"<html>no</html>")]
    with Farm(scripted.url) as farm, pytest.raises(Refused, match=r"GET .* answered 403 Forbidden"):
        farm.job("job_1")


def test_a_farm_that_never_answered_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.exchange.time.sleep", lambda seconds: pytest.fail("it waits"))
    with Farm("http://127.0.0.1:9", patience=60) as farm, pytest.raises(Unreachable, match="`farm up`"):
        farm.health()


def test_a_malformed_url_is_named() -> None:
    with Farm("localhost:8000") as farm, pytest.raises(Unreachable, match="not a URL of a farm"):
        farm.health()


def test_an_id_cannot_leave_its_place_in_the_path(scripted: Scripted) -> None:
    scripted.replies = [Reply(200, JOB)]
    with Farm(scripted.url) as farm:
        farm.job("../../v1/queue?x")
    assert scripted.asked[0].path == "/v1/jobs/..%2F..%2Fv1%2Fqueue%3Fx"


def test_pages_are_followed_to_their_end(scripted: Scripted) -> None:
    more = {"data": [JOB], "has_more": True, "next_cursor": "abc"}
    scripted.replies = [Reply(200, more), Reply(200, {"data": [JOB], "has_more": False})]
    with Farm(scripted.url) as farm:
        assert len(list(farm.jobs(status="failed", metadata={"book": "7"}))) == 2
    assert "after=abc" in scripted.asked[1].path
    assert "metadata%5Bbook%5D=7" in scripted.asked[1].path


def test_a_download_with_another_digest_leaves_nothing_behind(scripted: Scripted, tmp_path: Path) -> None:
    scripted.replies = [Reply(200, b"torn"), Reply(200, b"torn")]
    target = tmp_path / "a.mp3"
    with Farm(scripted.url) as farm, pytest.raises(Broken, match="download it again"):
        farm.download("/x", target, sha256=hashlib.sha256(b"whole").hexdigest())
    assert list(tmp_path.iterdir()) == []


def test_a_torn_download_is_taken_again_and_replaces_the_old_file_only_when_whole(
    scripted: Scripted, tmp_path: Path
) -> None:
    target = tmp_path / "a.mp3"
    target.write_bytes(b"old")
    scripted.replies = [Reply(200, b"wh", {"Content-Length": "5"}), Reply(200, b"whole")]
    with Farm(scripted.url) as farm:
        farm._met = True
        farm.download("/x", target, sha256=hashlib.sha256(b"whole").hexdigest())
    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]


def test_the_key_is_not_shown_to_the_bucket_that_a_download_is_redirected_to(tmp_path: Path) -> None:
    api, bucket = Scripted(), Scripted()
    try:
        api.replies = [Reply(307, {}, {"Location": f"{bucket.url}/object?signature=x"})]
        bucket.replies = [Reply(200, b"audio")]
        with Farm(api.url, "fk_secret") as farm:
            farm.download("/v1/jobs/job_1/audio", tmp_path / "a.mp3")
        assert api.asked[0].headers["authorization"] == "Bearer fk_secret"
        assert "authorization" not in bucket.asked[0].headers
    finally:
        api.close()
        bucket.close()


def test_a_job_is_submitted_followed_and_fetched(client: Farm, tmp_path: Path) -> None:
    job = client.submit(
        JobRequest.model_validate({"input": "One. Two.", "output": {"format": "wav", "subtitles": ["vtt"]}})
    )
    seen = list(client.watch(job.id, every=0.2))
    job = seen[-1]
    assert job.result is not None
    audio = client.audio(job.id, tmp_path / "a.wav")
    assert audio.read_bytes()[:4] == b"RIFF"
    assert client.subtitles(job.id, tmp_path / "a.vtt").read_text().startswith("WEBVTT")
    assert client.manifest(job.id)["segments"]
    assert client.deliveries(job.id) == []
    assert job.id in [one.id for one in client.jobs(status="succeeded")]
    client.delete(job.id)
    with pytest.raises(Refused) as refusal:
        client.job(job.id)
    assert refusal.value.status == 404


def test_waiting_for_a_job_can_be_given_up(client: Farm) -> None:
    job = client.submit(JobRequest(input="A sentence that takes its time. " * 2000))
    with pytest.raises(TimeoutError, match="it goes on"):
        client.wait(job.id, timeout=0.05)
    assert client.cancel(job.id).status == "canceled"


def test_a_batch_is_accepted_from_values_and_from_lines(client: Farm, tmp_path: Path) -> None:
    loud = JobOptions.model_validate({"language": "de"})
    by_value = client.submit_batch([JobRequest(input="Eins.", custom_id="1")], defaults=loud, metadata={"book": "7"})
    lines = tmp_path / "jobs.jsonl"
    lines.write_text('{"input": "Eins.", "custom_id": "1"}\n{"input": "Zwei."}\n')
    by_lines = client.submit_lines(lines, defaults=loud, metadata={"book": "7"})
    for batch in (by_value, by_lines):
        ended = client.batch(batch.id, wait=30)
        assert ended.status == "completed"
        assert ended.metadata == {"book": "7"}
        assert {job.language for job in client.batch_jobs(batch.id)} == {"de"}
    assert by_lines.total == 2
    assert [batch.id for batch in client.batches(status="completed", metadata={"book": "7"})][:2] == [
        by_lines.id, by_value.id,
    ]  # fmt: skip


def test_a_wrong_line_is_named_and_nothing_is_accepted(client: Farm, tmp_path: Path) -> None:
    lines = tmp_path / "jobs.jsonl"
    lines.write_text('{"input": "Good."}\n{"input": "Bad.", "speed": 9}\n')
    with pytest.raises(Refused, match="line 2") as refusal:
        client.submit_lines(lines)
    assert refusal.value.fields[0].pointer == "/jobs/1/speed"


def test_the_farm_describes_itself(client: Farm) -> None:
    assert [model.name for model in client.models()] == ["espeak"]
    assert "en-gb" in {voice.name for voice in client.voices()}
    assert {worker.kind for worker in client.queue().workers} == {"render", "desk"}


def test_an_archive_may_take_longer_to_begin_than_other_answers(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All results of a large batch are listed first."""
    monkeypatch.setattr("farm.exchange.READ_TIMEOUT_S", 0.05)
    scripted.replies = [Reply(200, b"a file", late_s=0.5), Reply(200, b"an archive", late_s=0.5)]
    with Farm(scripted.url, patience=0) as farm:
        with pytest.raises(Unreachable):
            farm.download("/v1/jobs/job_1/audio", tmp_path / "a.flac")
        farm.archive("batch_1", tmp_path / "all.zip")
    assert (tmp_path / "all.zip").read_bytes() == b"an archive"
