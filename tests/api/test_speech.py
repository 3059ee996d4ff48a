"""POST /v1/audio/speech, as the official client of OpenAI's API sees it: formats, streaming, and what ends a stream."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import threading
from collections.abc import Iterable
from typing import Any

import av
import httpx
import httpx2
import numpy as np
import openai
import pytest
import soundfile as sf

from api.speech import narration
from api.speech.hire import SHORT_CHARACTERS
from farm.job import Status
from farm.layout import clip_key
from farm.segment import Segment
from farm.sound.flac import Pcm, to_pcm
from farm.store import Store, jobs
from tests.api.backstage import Backstage
from tests.api.conftest import Served
from tests.api.stage import FRAMES, RATE, Stage, tone
from tests.until import until

LINE = "The tide brings something back."
# Every paragraph is a segment, and a pause of 450 ms lies between two.
STORY = "\n\n".join(f"Paragraph {number} of the story ends here." for number in range(4))
PAUSE = 450 * RATE // 1000
SPEECH = {"model": "tts-1", "voice": "alloy"}


def story(count: int) -> Any:
    """The samples of the first segments of STORY, with their pauses."""
    pieces = [piece for index in range(count) for piece in (to_pcm(tone(index)), np.zeros(PAUSE, np.int16))]
    return np.concatenate(pieces[:-1])


def decoded(data: bytes, format: str) -> tuple[int, int]:
    """Sample rate and frames."""
    if format == "pcm":
        return 24_000, len(data) // 2
    with av.open(io.BytesIO(data)) as file:
        rate = file.streams.audio[0].rate
        return rate, sum(frame.samples for frame in file.decode(audio=0))


def flac(data: bytes) -> Pcm:
    """By FFmpeg, because libsndfile reads no file whose header states no length."""
    with av.open(io.BytesIO(data)) as file:
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])


def status_of(store: Store, job: str) -> Status | None:
    record = store.run(jobs.record(job))
    return None if record is None else record.status


# --- whole files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_a_line_comes_as_a_whole_file_of_each_format(openai_client: openai.OpenAI, stage: Stage, format: Any) -> None:
    with stage.rendering():
        answer = openai_client.audio.speech.create(**SPEECH, input=LINE, response_format=format)
    kinds = {"mp3": "audio/mpeg", "opus": "audio/ogg"}
    assert answer.response.headers["content-type"] == kinds.get(format, f"audio/{format}")
    assert int(answer.response.headers["content-length"]) == len(answer.content)
    rate, frames = decoded(answer.content, format)
    assert (rate, frames) == (
        {"opus": 48_000, "pcm": 24_000}.get(format, RATE),
        {"opus": FRAMES * 48_000 // RATE, "pcm": FRAMES * 24_000 // RATE}.get(format, pytest.approx(FRAMES, abs=1600)),
    )
    if format in ("mp3", "flac", "wav"):
        assert frames == FRAMES  # what the encoder added is named in the header, and players take it off
    if format == "wav":
        assert np.array_equal(sf.read(io.BytesIO(answer.content), dtype="int16")[0], to_pcm(tone(0)))


def test_without_a_format_the_answer_is_mp3(openai_client: openai.OpenAI, stage: Stage) -> None:
    with stage.rendering():
        answer = openai_client.audio.speech.create(**SPEECH, input=LINE)
    assert answer.response.headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize("format", ["flac", "wav", "pcm", "opus", "mp3", "aac"])
def test_a_streamed_text_has_every_clip_and_pause_in_order(
    openai_client: openai.OpenAI, stage: Stage, format: Any
) -> None:
    with stage.rendering():
        answer = openai_client.audio.speech.create(**SPEECH, input=STORY, response_format=format)
    assert "content-length" not in answer.response.headers
    rate, frames = decoded(answer.content, format)
    seconds = len(story(4)) / RATE
    assert frames / rate == pytest.approx(seconds, abs=0.15 if format in ("mp3", "aac") else 0.001)
    if format == "flac":
        assert np.array_equal(flac(answer.content), story(4))
    if format == "wav":
        assert answer.content[4:8] == answer.content[40:44] == b"\xff" * 4  # of a length that nobody knew yet
        assert np.array_equal(np.frombuffer(answer.content[44:], "<i2"), story(4))


# --- streaming --------------------------------------------------------------------------------------------------------


def test_the_first_audio_leaves_before_the_second_segment_is_rendered(
    openai_client: openai.OpenAI, stage: Stage, store: Store
) -> None:
    first = threading.Timer(0, stage.render)
    first.start()
    create = openai_client.audio.speech.with_streaming_response.create
    with create(**SPEECH, input=STORY, response_format="wav") as answer:
        heard = b""
        pieces = answer.iter_bytes()
        while len(heard) < 44 + 2 * FRAMES:
            heard += next(pieces)
        job = answer.headers["x-farm-job"]
        assert status_of(store, job) is Status.RUNNING
        stage.render(3)
        heard += b"".join(pieces)
    first.join()
    assert np.array_equal(np.frombuffer(heard[44:], "<i2"), story(4))
    assert status_of(store, job) is Status.SUCCEEDED


def test_clips_that_are_settled_out_of_order_are_sent_in_order(openai_client: openai.OpenAI, stage: Stage) -> None:
    def backwards() -> None:
        grant = stage.claim(4)
        (job,) = grant.segments
        for index in (3, 1, 2, 0):
            stage.settle(grant, job, index)

    rendering = threading.Thread(target=backwards)
    rendering.start()
    answer = openai_client.audio.speech.create(**SPEECH, input=STORY, response_format="flac")
    rendering.join()
    assert np.array_equal(flac(answer.content), story(4))


def test_the_asynchronous_client_streams_too(session_api: Served, stage: Stage, openai_client: openai.OpenAI) -> None:
    async def spoken() -> bytes:
        http = openai.DefaultAsyncHttpxClient(trust_env=False)
        async with openai.AsyncOpenAI(base_url=f"{session_api.url}/v1", api_key="none", http_client=http) as client:
            create = client.audio.speech.with_streaming_response.create
            async with create(**SPEECH, input=STORY, response_format="pcm") as answer:
                return b"".join([piece async for piece in answer.iter_bytes()])

    with stage.rendering():
        assert len(asyncio.run(spoken())) // 2 == pytest.approx(len(story(4)) * 24_000 / RATE, abs=2)


def events(lines: Iterable[str]) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def test_events_carry_the_audio_in_pieces_and_end_with_the_usage(openai_client: openai.OpenAI, stage: Stage) -> None:
    create = openai_client.audio.speech.with_streaming_response.create
    with stage.rendering():
        with create(**SPEECH, input=STORY, response_format="flac", stream_format="sse") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            *deltas, done = events(answer.iter_lines())
    audio = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert np.array_equal(flac(audio), story(4))
    milliseconds = round(len(story(4)) * 1000 / RATE)
    assert (done["type"], done["usage"]) == (
        "speech.audio.done",
        {"input_tokens": len(STORY), "output_tokens": milliseconds, "total_tokens": len(STORY) + milliseconds},
    )


def test_a_long_text_is_planned_by_the_desk_and_streamed_all_the_same(
    openai_client: openai.OpenAI, stage: Stage, backstage: Backstage
) -> None:
    text = "\n\n".join(["One more line of it is here."] * (SHORT_CHARACTERS // 28))
    assert len(text) > SHORT_CHARACTERS

    def plan() -> None:
        assert until(lambda: backstage.store.run(jobs.page("default")), 10)
        (job,) = backstage.store.run(jobs.page("default"))
        assert job.status is Status.QUEUED
        backstage.plan(job.id)

    desk = threading.Thread(target=plan)
    desk.start()
    with stage.rendering():
        answer = openai_client.audio.speech.create(**SPEECH, input=text, response_format="wav")
    desk.join()
    assert len(answer.content) > 100 * 2 * FRAMES


# --- how it ends ------------------------------------------------------------------------------------------------------


def test_a_failure_before_the_first_audio_is_an_error_with_its_reason(
    openai_client: openai.OpenAI, stage: Stage
) -> None:
    def fail() -> None:
        grant = stage.claim()
        stage.fail(grant, next(iter(grant.segments)), 0, "the engine can't say that")

    failing = threading.Thread(target=fail)
    failing.start()
    with pytest.raises(openai.InternalServerError, match="can't say that") as refused:
        openai_client.audio.speech.create(**SPEECH, input=LINE)
    failing.join()
    assert (refused.value.status_code, refused.value.code) == (503, "not_spoken")
    assert refused.value.response.headers["x-should-retry"] == "false"


def test_a_request_that_nobody_renders_ends_with_a_reason_and_its_job_with_it(
    openai_client: openai.OpenAI, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narration, "LONGEST_SILENCE", 0.1)
    with pytest.raises(openai.InternalServerError, match="whether a worker serves 'espeak'") as refused:
        openai_client.audio.speech.create(**SPEECH, input=LINE)
    assert (refused.value.status_code, refused.value.code) == (503, "no_audio")
    (job,) = store.run(jobs.page("default"))
    assert until(lambda: status_of(store, job.id) is Status.CANCELED, 2)


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_a_failure_after_the_first_audio_cuts_the_connection(
    openai_client: openai.OpenAI, stage: Stage, stream_format: Any
) -> None:
    first = threading.Thread(target=stage.render)
    first.start()
    create = openai_client.audio.speech.with_streaming_response.create
    got: list[Any] = []
    with create(**SPEECH, input=STORY, response_format="wav", stream_format=stream_format) as answer:
        first.join()
        stage.fail(stage.claim(), answer.headers["x-farm-job"], 1, "the engine can't say that")
        with pytest.raises(httpx2.RemoteProtocolError):
            got.extend(answer.iter_lines() if stream_format == "sse" else answer.iter_bytes())
    if stream_format == "audio":
        assert np.array_equal(np.frombuffer(b"".join(got)[44:], "<i2")[:FRAMES], to_pcm(tone(0)))
    else:
        last = events(got)[-1]
        assert (last["type"], last["error"]["code"]) == ("error", "not_spoken")
        assert "can't say that" in last["error"]["message"]


def test_a_client_that_leaves_has_its_job_canceled(api: httpx.Client, stage: Stage, store: Store) -> None:
    first = threading.Thread(target=stage.render)
    first.start()
    with api.stream("POST", "/v1/audio/speech", json={"input": STORY}) as answer:
        job = answer.headers["x-farm-job"]
        assert status_of(store, job) is Status.RUNNING
    first.join()
    assert until(lambda: status_of(store, job) is Status.CANCELED, 2)


def test_a_client_that_leaves_before_the_first_audio_has_its_job_canceled(session_api: Served, store: Store) -> None:
    body = json.dumps({"input": STORY})
    head = "POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", session_api.port)) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        assert until(lambda: store.run(jobs.page("default")), 10)
    (job,) = store.run(jobs.page("default"))
    assert until(lambda: status_of(store, job.id) is Status.CANCELED, 2)


def test_segments_that_another_job_shares_go_on_when_the_client_leaves(
    api: httpx.Client, stage: Stage, store: Store, backstage: Backstage
) -> None:
    first = threading.Thread(target=stage.render)
    first.start()
    with api.stream("POST", "/v1/audio/speech", json={"input": STORY}) as answer:
        first.join()
        job = answer.headers["x-farm-job"]
        shared = api.post("/v1/jobs", json={"input": STORY}).json()["id"]
        backstage.plan(shared)
    assert until(lambda: status_of(store, job) is Status.CANCELED, 2)
    assert stage.render(4) == shared
    assert status_of(store, shared) is Status.ASSEMBLING


def test_a_clip_that_is_gone_is_rendered_again_by_a_second_job(
    openai_client: openai.OpenAI, stage: Stage, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = narration.Narration._fetched
    lost: list[str] = []

    async def lose_one(self: narration.Narration, row: Segment, sample_rate: int) -> Pcm:
        if row.index == 2 and not lost:
            lost.append(self.job)
            backstage.storage.delete(clip_key(row.digest))
        return await fetched(self, row, sample_rate)

    monkeypatch.setattr(narration.Narration, "_fetched", lose_one)
    with stage.rendering():
        answer = openai_client.audio.speech.create(**SPEECH, input=STORY, response_format="flac")
    assert np.array_equal(flac(answer.content), story(4))
    assert len(backstage.store.run(jobs.page("default"))) == 2


def test_a_damaged_clip_is_deleted_so_that_it_is_not_taken_for_good(
    openai_client: openai.OpenAI, stage: Stage, backstage: Backstage
) -> None:
    def damage() -> None:
        grant = stage.claim(1)
        (job,) = grant.segments
        stage.settle(grant, job, 0, damaged=True)
        grant = stage.claim(1)
        (job,) = grant.segments
        left.extend(backstage.storage.list("segments/"))
        stage.settle(grant, job, 0)

    left: list[Any] = []
    rendering = threading.Thread(target=damage)
    rendering.start()
    answer = openai_client.audio.speech.create(**SPEECH, input=LINE, response_format="flac")
    rendering.join()
    assert left == []
    assert np.array_equal(sf.read(io.BytesIO(answer.content), dtype="int16")[0], to_pcm(tone(0)))


def test_clips_that_a_slow_client_has_not_read_stay_in_storage(
    session_api: Served, stage: Stage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sockets hold some of the answer, and the server holds the clip that comes next."""
    fetched = narration.Narration._fetched
    asked: list[int] = []

    async def noted(self: narration.Narration, row: Segment, sample_rate: int) -> Pcm:
        asked.append(row.index)
        return await fetched(self, row, sample_rate)

    monkeypatch.setattr(narration.Narration, "_fetched", noted)
    text = "\n\n".join(f"Paragraph {number}." for number in range(200))
    body = json.dumps({"input": text, "response_format": "wav"})
    head = "POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with stage.rendering(), socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.connect(("127.0.0.1", session_api.port))
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        assert until(lambda: any(job.status is Status.SUCCEEDED for job in store.run(jobs.page("default"))), 20)
        seen = len(asked)
        assert 0 < seen < 150  # of 200 clips of 42 kB; the rest of what was asked for lies in two sockets
        connection.setblocking(True)
        read = b""
        while not read.endswith(b"\r\n0\r\n\r\n"):
            piece = connection.recv(1 << 20)
            assert piece, "the answer was cut off"
            read = (read + piece)[-7:]
    assert asked == list(range(200))


def test_the_job_behind_a_request_can_be_read_and_has_no_result(api: httpx.Client, stage: Stage) -> None:
    with stage.rendering():
        job = api.post("/v1/audio/speech", json={"input": STORY}).headers["x-farm-job"]
    shown = api.get(f"/v1/jobs/{job}").json()
    assert (shown["status"], shown["streamed"], shown["result"]) == ("succeeded", True, None)
    assert (shown["priority"], shown["progress"]["segments_done"]) == ("interactive", 4)
    assert [row["text"] for row in api.get(f"/v1/jobs/{job}/segments").json()["data"]] == STORY.split("\n\n")
    answer = api.get(f"/v1/jobs/{job}/audio")
    assert (answer.status_code, answer.json()["code"]) == (409, "streamed")
    assert api.post(f"/v1/jobs/{job}/retry").status_code == 409
    assert api.delete(f"/v1/jobs/{job}").status_code == 204
