"""The embedded farm, used over HTTP as its users do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from api.manifest import Manifest
from examples.receiver import Receiver
from farm.client import Farm
from farm.embedded.supervisor import Local
from farm.job import DEFAULT_TENANT
from farm.webhooks.secrets import secret_for
from farm.wire import Chapter, JobOptions, JobRequest, Output, Webhook
from tests.patience import patient

LINE = "Every tide brings something back."


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "opus"])
def test_a_text_goes_in_and_audio_comes_out(client: Farm, tmp_path: Path, format: str) -> None:
    job = client.wait(client.submit(JobRequest(input=LINE, output=Output.model_validate({"format": format}))).id)
    assert job.status == "succeeded", job.error
    assert job.result is not None
    path = client.audio(job.id, tmp_path / f"line.{format}")
    samples, rate = sf.read(path)
    assert rate == job.result.sample_rate
    assert len(samples) / rate == pytest.approx(job.result.duration_seconds, abs=0.1)
    assert 0.05 < np.abs(samples).max() <= 1.0
    assert path.stat().st_size == job.result.bytes


def test_the_wanted_loudness_is_reached(client: Farm, tmp_path: Path) -> None:
    import pyloudnorm

    request = JobRequest(input=" ".join([LINE] * 12), output=Output(format="wav", loudness_lufs=-23))
    job = client.wait(client.submit(request).id)
    samples, rate = sf.read(client.audio(job.id, tmp_path / "loud.wav"))
    assert pyloudnorm.Meter(rate).integrated_loudness(samples) == pytest.approx(-23, abs=0.3)
    assert job.result is not None
    assert job.result.loudness_lufs == pytest.approx(-23, abs=0.3)


def test_chapters_have_their_voices_and_subtitles_their_times(client: Farm, tmp_path: Path) -> None:
    job = client.wait(
        client.submit(
            JobRequest(
                chapters=[
                    Chapter(title="One", input=LINE),
                    Chapter(title="Zwei", input="Jede Flut bringt etwas.", voice="de"),
                ],
                output=Output(format="mp3", subtitles=["vtt", "srt"]),
            )
        ).id
    )
    assert job.status == "succeeded", job.error
    manifest = client.manifest(job.id)
    assert Manifest.model_validate(manifest).segments[0].text == LINE  # as the API's document describes it
    head = json.dumps(manifest, indent=1).partition('"chapters"')[0]
    assert '"waveform"' in head
    assert len(head) < 8_000  # which a reader asks for who draws the audio and needs nothing else
    assert [chapter["title"] for chapter in manifest["chapters"]] == ["One", "Zwei"]
    assert job.result is not None
    assert set(job.result.subtitles) == {"vtt", "srt"}
    subtitles = client.subtitles(job.id, tmp_path / "book.vtt").read_text()
    assert subtitles.startswith("WEBVTT")
    assert "Jede Flut" in subtitles


def test_a_batch_sends_one_signed_event_and_each_job_its_own(client: Farm, farm: Local) -> None:
    secret = secret_for(DEFAULT_TENANT, (farm.data / "webhook.secret").read_text().strip())
    with Receiver(secret) as receiver:
        hook = Webhook.model_validate({"url": receiver.url})
        batch = client.submit_batch(
            [JobRequest(input=f"Line {number}.", custom_id=f"line-{number}") for number in range(12)],
            defaults=JobOptions(webhook=hook),
            webhook=hook,
        )
        assert receiver.wait_for(lambda events: len(events) == 13, timeout=patient(60))
    batch = client.batch(batch.id)
    assert batch.status == "completed"
    assert batch.counts["succeeded"] == batch.total == 12
    assert [job.custom_id for job in client.batch_jobs(batch.id)] == [f"line-{number}" for number in range(12)]
    heard = [event["data"]["id"] for event in receiver.events if event["type"] == "job.succeeded"]
    assert sorted(heard) == sorted(job.id for job in client.batch_jobs(batch.id))


def test_a_canceled_batch_stops_and_completes(client: Farm) -> None:
    # No two jobs share a clip, or the farm could be done with all of them before a slow test has canceled anything.
    texts = (
        " ".join(f"Sentence {number} of the long text {job} that nobody waits for." for number in range(400))
        for job in range(5)
    )
    batch = client.submit_batch([JobRequest(input=text) for text in texts])
    while not list(client.batch_jobs(batch.id)):  # a line that is no job yet becomes none
        pass
    client.cancel_batch(batch.id)
    while client.batch(batch.id, wait=30).status == "running":
        pass
    assert sum(client.batch(batch.id).counts.values()) == 5
    statuses = {client.wait(job.id).status for job in client.batch_jobs(batch.id)}
    assert "canceled" in statuses
    assert statuses <= {"canceled", "succeeded"}


def test_a_deleted_job_leaves_nothing_behind(client: Farm, farm: Local) -> None:
    job = client.wait(client.submit(JobRequest(input=LINE + " Once more.")).id)
    assert [path for path in (farm.data / "storage").rglob("*") if job.id in str(path)]
    client.delete(job.id)
    assert not [path for path in (farm.data / "storage").rglob("*") if path.is_file() and job.id in str(path)]
