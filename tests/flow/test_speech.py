"""A speech request and a job of the same text, through the real engine: what the listener gets is the same."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager

import av
import httpx
import numpy as np
import redis
import soundfile as sf

from farm.job import Status, new_id
from farm.layout import job_prefix, pages_key, plan_key, text_key
from farm.sound.flac import Pcm
from farm.store import jobs
from tests.flow.house import House
from tests.meanwhile import meanwhile

STORY = "The tide went out.\n\nNobody saw it go. In the morning there were ships on the sand.\n\n* * *\n\nAnd then?"


def rendering(house: House) -> AbstractContextManager[None]:
    """Drains whatever becomes ready, as wake-ups would have it done."""
    return meanwhile(house.renderer().drain)


def streamed(flac: bytes) -> Pcm:
    """By FFmpeg: libsndfile reads no file whose header states no length."""
    with av.open(io.BytesIO(flac)) as file:
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])


def test_a_stream_has_the_samples_of_the_job_of_the_same_text(house: House, api: httpx.Client) -> None:
    with rendering(house):
        answer = api.post("/v1/audio/speech", json={"input": STORY, "response_format": "flac"})
    job = house.submit(input=STORY, output={"format": "flac"})
    house.finish()
    file, _ = sf.read(io.BytesIO(house.storage.get(house.outcome(job).audio_key)), dtype="int16")
    assert np.array_equal(streamed(answer.content), file)
    assert house.record(job).cached == house.record(job).total  # the clips were those of the request


def test_nothing_is_assembled_for_a_speech_request(house: House, api: httpx.Client) -> None:
    with rendering(house):
        job = api.post("/v1/audio/speech", json={"input": STORY}).headers["x-farm-job"]
    house.desk.drain()
    assert (house.record(job).status, house.record(job).outcome) == (Status.SUCCEEDED, None)
    assert [found.key for found in house.storage.list("results/")] == []


def test_clips_and_record_of_a_speech_request_go_together(house: House, api: httpx.Client, redis_url: str) -> None:
    with rendering(house):
        job = api.post("/v1/audio/speech", json={"input": STORY}).headers["x-farm-job"]
    assert house.record(job).retention_s == 24 * 3600
    with redis.Redis.from_url(redis_url) as client:  # a day later
        client.zadd("f:due:expire:interactive:default", {job: 0})
        client.zadd("f:desk:expire:interactive", {"default": 0})
    house.desk.drain()
    assert house.store.run(jobs.record(job)) is None
    assert [found.key for found in house.storage.list("segments/")] == []
    assert [found.key for found in house.storage.list(job_prefix(job))] == []


def test_the_plan_of_a_request_that_was_never_accepted_is_removed(house: House) -> None:
    """Its API was killed between the writes and the acceptance."""
    job = new_id("job")
    house.store.run(jobs.draft(job, 0))
    for key in (text_key(job), pages_key(job), plan_key(job)):
        house.storage.put(key, b"x")
    house.desk.drain()
    assert [found.key for found in house.storage.list(job_prefix(job))] == []
