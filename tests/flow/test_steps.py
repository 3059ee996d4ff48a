"""Trouble between two steps of a job: clips disappear, engines fail, owners cancel."""

from __future__ import annotations

import json
import threading

import pytest
import soundfile as sf

from farm.job import MAX_ATTEMPTS, Status
from farm.layout import clip_key, voice_key
from farm.outcome import Rendered
from farm.plan_reader import PlanReader
from farm.sound.flac import decode, encode, from_pcm
from farm.store import jobs
from farm.wire import JobError
from tests.flow.house import Canceling, Flaky, Greedy, House, Unwell
from tests.patience import patient
from tests.until import until
from worker.engine import DeviceFault, Notice, NoticeCode
from worker.render.renderer import Renderer

STORY = "The tide went out. Nobody saw it go.\n\nIn the morning there were ships on the sand. They waited for the sea."


def digests(house: House, job: str) -> list[str]:
    return [row.digest for row in PlanReader(house.storage, job).rows()]


def audio(house: House, job: str) -> bytes:
    outcome = house.outcome(job)
    assert isinstance(outcome, Rendered)
    return house.storage.get(outcome.audio_key)


def test_a_text_becomes_audio_and_a_manifest_that_agrees_with_it(house: House) -> None:
    job = house.submit(input=STORY)
    house.finish()
    record, outcome = house.record(job), house.outcome(job)
    assert record.status is Status.SUCCEEDED
    assert record.done == record.total
    path = house.storage.path(outcome.audio_key)
    assert path is not None
    info = sf.info(path)
    assert info.frames / info.samplerate == pytest.approx(outcome.duration_seconds, abs=1e-6)
    manifest = json.loads(house.storage.get(outcome.manifest_key))
    spoken = "".join(row["text"] for row in manifest["segments"])
    assert "".join(spoken.split()) == "".join(STORY.split())
    ends = [row["offset_ms"] + row["duration_ms"] for row in manifest["segments"]]
    starts = [row["offset_ms"] for row in manifest["segments"]]
    assert all(end <= start + 1 for end, start in zip(ends, starts[1:], strict=False))
    assert manifest["duration_seconds"] == outcome.duration_seconds


def test_a_rendered_segment_is_never_rendered_again(house: House, espeak: object) -> None:
    first = house.submit(input=STORY)
    house.finish()
    listening = Unwell(house.engine, stumbles_at="\0")  # type: ignore[arg-type]
    second = house.submit(input=STORY)
    house.desk.drain()
    house.renderer(listening).drain()
    house.desk.drain()
    assert listening.asked == []
    assert house.record(second).cached == house.record(second).total
    assert audio(house, second) == audio(house, first)
    manifest = json.loads(house.storage.get(house.outcome(second).manifest_key))
    assert all(row["cached"] for row in manifest["segments"])


def test_editing_one_sentence_renders_one_segment(house: House) -> None:
    house.submit(input=STORY)
    house.finish()
    listening = Unwell(house.engine, stumbles_at="\0")  # type: ignore[arg-type]
    house.submit(input=STORY.replace("Nobody saw", "Somebody saw"))
    house.desk.drain()
    house.renderer(listening).drain()
    assert len(listening.asked) == 1
    assert "Somebody saw" in listening.asked[0]


def test_a_sentence_that_stands_twice_is_rendered_once(house: House) -> None:
    listening = Unwell(house.engine, stumbles_at="\0")  # type: ignore[arg-type]
    job = house.submit(input="\n\n".join(["The bell rang."] * 5))
    house.desk.drain()
    house.renderer(listening).drain()
    house.desk.drain()
    assert house.record(job).status is Status.SUCCEEDED
    assert len(listening.asked) == len(set(digests(house, job)))


def test_a_clip_that_is_gone_at_assembly_is_rendered_again(house: House) -> None:
    whole = house.submit(input=STORY)
    house.finish()
    undisturbed = audio(house, whole)
    house.storage.delete(*(clip_key(digest) for digest in digests(house, whole)))
    job = house.submit(input=STORY)
    house.desk.drain()
    house.renderer().drain()
    house.storage.delete(clip_key(digests(house, job)[0]))
    house.desk.drain()
    assert house.record(job).status is Status.RUNNING
    house.finish()
    assert audio(house, job) == undisturbed


def test_clips_that_are_damaged_at_assembly_are_rendered_again_all_at_once(house: House) -> None:
    job = house.submit(input=STORY)
    house.desk.drain()
    house.renderer().drain()
    whole = {clip_key(digest): house.storage.get(clip_key(digest)) for digest in digests(house, job)}
    for key, clip in whole.items():
        house.storage.put(key, clip[: len(clip) // 2])
    house.desk.drain()
    assert house.record(job).status is Status.RUNNING
    assert house.record(job).ready == len(whole)
    house.finish()
    assert house.record(job).status is Status.SUCCEEDED
    assert {key: house.storage.get(key) for key in whole} == whole


def test_a_bucket_that_loses_every_clip_does_not_keep_the_gpu_busy_for_ever(house: House) -> None:
    job = house.submit(input=STORY)
    house.desk.drain()
    for _ in range(6):
        house.renderer().drain()
        house.storage.delete(clip_key(digests(house, job)[0]))
        house.desk.drain()
    assert house.record(job).status is Status.FAILED
    assert house.outcome(job).code == "clips_keep_missing"
    assert house.store.run(jobs.retry(job, "default")) is Status.FAILED
    house.finish()
    assert house.record(job).status is Status.SUCCEEDED


def test_a_segment_that_always_fails_fails_its_job_and_is_named(house: House) -> None:
    unwell = Unwell(house.engine, stumbles_at="ships")  # type: ignore[arg-type]
    job = house.submit(input=STORY)
    house.desk.drain()
    for _ in range(3):
        house.renderer(unwell).drain()
    assert house.record(job).status is Status.FAILED
    error = house.outcome(job)
    assert isinstance(error, JobError)
    assert error.code == "segment_failed"
    assert error.segment is not None
    assert "can't say that" in error.message


def test_a_retry_renders_only_what_is_missing(house: House) -> None:
    unwell = Unwell(house.engine, stumbles_at="ships")  # type: ignore[arg-type]
    job = house.submit(input=STORY)
    house.desk.drain()
    for _ in range(3):
        house.renderer(unwell).drain()
    assert house.store.run(jobs.retry(job, "default")) is Status.FAILED
    well = Unwell(house.engine, stumbles_at="\0")  # type: ignore[arg-type]
    house.desk.drain()
    house.renderer(well).drain()
    house.desk.drain()
    assert house.record(job).status is Status.SUCCEEDED
    assert len(well.asked) == 1
    assert "ships" in well.asked[0]


def test_a_job_that_skips_errors_finishes_without_the_segment_and_says_so(house: House) -> None:
    unwell = Unwell(house.engine, stumbles_at="ships")  # type: ignore[arg-type]
    job = house.submit(input=STORY, on_error="skip")
    house.desk.drain()
    for _ in range(3):
        house.renderer(unwell).drain()
    house.desk.drain()
    record = house.record(job)
    assert record.status is Status.SUCCEEDED
    assert record.dead == 1
    rows = json.loads(house.storage.get(house.outcome(job).manifest_key))["segments"]
    assert [row["text"] for row in rows if "error" in row] == [row["text"] for row in rows if "ships" in row["text"]]


def test_exactly_the_segment_at_which_the_engine_falls_over_dies(house: House) -> None:
    job = house.submit(input=STORY, on_error="skip")
    house.desk.drain()
    crashes = 0
    while house.record(job).status is Status.RUNNING:
        unwell = Unwell(house.engine, stumbles_at="ships", raises=RuntimeError("the engine fell over"))  # type: ignore[arg-type]
        try:
            house.renderer(unwell).drain()
        except RuntimeError:
            crashes += 1
    house.desk.drain()
    record = house.record(job)
    assert crashes == 3
    assert (record.done, record.dead) == (record.total - 1, 1)
    rows = json.loads(house.storage.get(house.outcome(job).manifest_key))["segments"]
    assert all(("error" in row) == ("ships" in row["text"]) for row in rows)


def test_after_an_engine_crash_everything_is_given_back_at_once(house: House) -> None:
    job = house.submit(input=STORY)
    house.desk.drain()
    with pytest.raises(RuntimeError):
        house.renderer(Unwell(house.engine, stumbles_at="", raises=RuntimeError("the engine fell over"))).drain()  # type: ignore[arg-type]
    assert house.record(job).ready == house.record(job).total
    house.finish()
    assert house.record(job).status is Status.SUCCEEDED


def test_a_broken_device_burns_no_attempt_however_often_it_breaks(house: House) -> None:
    job = house.submit(input=STORY)
    house.desk.drain()
    for _ in range(MAX_ATTEMPTS + 1):
        broken = DeviceFault("CUDA error: the GPU requires reset", certain=True)
        with pytest.raises(DeviceFault):
            house.renderer(Unwell(house.engine, stumbles_at="", raises=broken)).drain()  # type: ignore[arg-type]
        assert house.record(job).ready == house.record(job).total
    house.finish()
    assert house.record(job).status is Status.SUCCEEDED
    rows = json.loads(house.storage.get(house.outcome(job).manifest_key))["segments"]
    assert {row["attempts"] for row in rows} == {1}


def test_a_device_that_fails_burns_one_attempt_of_what_had_begun(house: House) -> None:
    job = house.submit(input=STORY)
    house.desk.drain()
    failed = DeviceFault("CUDA error: device-side assert triggered")
    with pytest.raises(DeviceFault):
        house.renderer(Unwell(house.engine, stumbles_at="", raises=failed)).drain()  # type: ignore[arg-type]
    assert house.record(job).ready == house.record(job).total
    house.finish()
    rows = json.loads(house.storage.get(house.outcome(job).manifest_key))["segments"]
    assert max(row["attempts"] for row in rows) == 2


def test_an_engine_that_asks_for_more_than_its_capacity_gets_what_there_is(house: House) -> None:
    job = house.submit(input="\n\n".join(f"Line {number}." for number in range(3 * house.engine.capacity)))
    house.desk.drain()
    greedy = Greedy(house.engine)  # type: ignore[arg-type]
    house.renderer(greedy).drain()
    assert greedy.most <= house.engine.capacity
    house.desk.drain()
    assert house.record(job).status is Status.SUCCEEDED


def test_warnings_of_the_engine_stand_in_the_manifest_of_each_job_that_uses_the_clip(house: House) -> None:
    warning = Notice(NoticeCode.CODE_LIMIT, "cut off after 1500 codes, twice")
    first = house.submit(input=STORY)
    house.desk.drain()
    house.renderer(Unwell(house.engine, stumbles_at="ships", warns=warning)).drain()  # type: ignore[arg-type]
    second = house.submit(input=STORY)
    house.finish()
    for job in (first, second):
        manifest = json.loads(house.storage.get(house.outcome(job).manifest_key))
        assert manifest["warnings"] == 1
        warned = {row["text"]: row["warnings"] for row in manifest["segments"] if "warnings" in row}
        stored = "code_limit: cut off after 1500 codes, twice"
        assert [("ships" in text, found) for text, found in warned.items()] == [(True, [stored])]


def test_the_manifest_says_how_many_characters_were_spoken_and_keeps_it_with_the_clip(house: House) -> None:
    spoken = "The o\ufb03ce is 20 \u2103 warm."  # spelled with more characters, as the engine gets it
    first = house.submit(input=f"{spoken}\n\n🫠")
    house.finish()
    second = house.submit(input=f"{spoken}\n\n🫠")
    house.finish()
    for job in (first, second):
        manifest = json.loads(house.storage.get(house.outcome(job).manifest_key))
        assert [row["spoken_characters"] for row in manifest["segments"]] == [len(spoken), 0]
        assert (manifest["characters"], manifest["spoken_characters"]) == (len(spoken) + 1, len(spoken))


def test_a_clip_that_does_not_say_what_was_spoken_leaves_the_sum_open(house: House) -> None:
    """As a clip of an earlier version, or of an engine that does not say."""
    job = house.submit(input="The tide went out.\n\nNobody saw it go.")
    house.desk.drain()
    house.renderer().drain()
    first, _ = PlanReader(house.storage, job).rows()
    old = decode(house.storage.get(clip_key(first.digest)), house.engine.card.sample_rate)
    house.storage.put(clip_key(first.digest), encode(from_pcm(old.pcm), house.engine.card.sample_rate), "audio/flac")
    house.finish()
    manifest = json.loads(house.storage.get(house.outcome(job).manifest_key))
    assert [row.get("spoken_characters") for row in manifest["segments"]] == [None, len("Nobody saw it go.")]
    assert manifest["spoken_characters"] is None


def test_the_passage_that_failed_is_told_and_not_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    job = house.submit(input="8 0", language="kl")
    house.finish()
    assert house.record(job).status is Status.FAILED
    assert "crashed on this text (SIGSEGV): 8 0" in str(house.outcome(job))
    assert "(SIGSEGV)" in caplog.text
    assert "8 0" not in caplog.text


def test_an_emotion_that_is_copied_from_a_voice_brings_its_audio(house: House) -> None:
    house.storage.put(voice_key("default", "d1ge57"), b"as uploaded")
    listening = Unwell(house.engine, stumbles_at="\0")  # type: ignore[arg-type]
    job = house.submit(input="The bell rang.", emotion='{"strength":0.5,"voice":"d1ge57"}')
    house.desk.drain()
    renderer = house.renderer(listening)
    renderer.drain()
    assert house.record(job).done == 1
    (speech,) = listening.speeches
    assert speech.reference is None
    assert speech.emotion_reference is not None
    assert speech.emotion_reference.read_bytes() == b"as uploaded"


def test_a_quarantined_segment_is_rendered_with_nothing_beside_it(house: House) -> None:
    house.submit(input=STORY)
    house.desk.drain()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            house.renderer(Unwell(house.engine, stumbles_at="", raises=RuntimeError("the engine fell over"))).drain()  # type: ignore[arg-type]
    listening = Unwell(house.engine, stumbles_at="\0")  # type: ignore[arg-type]
    house.renderer(listening).drain()
    assert 1 in listening.batches
    assert all(size == 1 for size in listening.batches)


def test_a_canceled_job_is_taken_up_again_by_retry(house: House) -> None:
    job = house.submit(input=STORY)
    assert house.store.run(jobs.cancel(job, "default")) is Status.QUEUED
    house.finish()
    assert house.record(job).status is Status.CANCELED
    assert house.store.run(jobs.retry(job, "default")) is Status.CANCELED
    house.finish()
    assert house.record(job).status is Status.SUCCEEDED


def test_a_job_that_was_canceled_half_way_has_the_bytes_of_an_undisturbed_one_after_a_retry(house: House) -> None:
    text = "\n\n".join(f"{STORY} That was day {number}." for number in range(8))
    undisturbed = house.submit(input=text, tenant="another")  # whose clips are not shared
    house.finish()
    job = house.submit(input=text)
    house.desk.drain()

    def cancel() -> None:
        until(lambda: house.record(job).done > 0)  # a clip is settled by another thread than the engine's
        house.store.run(jobs.cancel(job, "default"))

    house.renderer(Canceling(house.engine, cancel)).drain()
    house.desk.drain()
    record = house.record(job)
    assert record.status is Status.CANCELED
    assert 0 < record.done < record.total
    house.store.run(jobs.retry(job, "default"))
    house.finish()
    assert house.record(job).status is Status.SUCCEEDED
    assert audio(house, job) == audio(house, undisturbed)


def test_a_stopping_worker_gives_back_what_it_had_not_begun(house: House) -> None:
    job = house.submit(input=STORY)
    house.desk.drain()
    renderer = house.renderer()
    renderer.stop()
    renderer.drain()
    record = house.record(job)
    assert record.ready == record.total
    house.finish()
    assert house.record(job).status is Status.SUCCEEDED


def test_an_outage_of_storage_pauses_claiming_and_burns_no_attempt(house: House) -> None:
    job = house.submit(input=STORY)
    house.desk.drain()
    flaky = Flaky(house.storage)
    renderer = Renderer(house.store, flaky, house.engine, house.settings, "flaky")
    worker = threading.Thread(target=renderer.drain)
    worker.start()
    try:
        assert flaky.refused.wait(patient(10))
        assert not flaky.hammered.wait(0.5)
        flaky.well.set()
        worker.join(patient(20))
    finally:
        renderer.stop()
        worker.join()
        renderer.close()
    house.desk.drain()
    assert house.record(job).status is Status.SUCCEEDED
    rows = json.loads(house.storage.get(house.outcome(job).manifest_key))["segments"]
    assert [row["attempts"] for row in rows] == [1] * len(rows)


@pytest.mark.parametrize("text", ["🙂🙂🙂", "!!! ??? ...", "…—…", "٪", "a\u0301\u0301\u0301", "x" * 3000])
def test_text_that_is_hard_to_speak_never_breaks_the_farm(house: House, text: str) -> None:
    job = house.submit(input=text)
    house.finish()
    assert house.record(job).status in (Status.SUCCEEDED, Status.FAILED)
