"""Chapters as files of their own, from a job to its storage: what they hold, who counts them, and when they go."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile as sf
from mutagen.mp3 import MP3, BitrateMode

import farm.passages
from farm.audio_formats import AUDIO_FORMATS, SUBTITLE_FORMATS
from farm.job import Due, Status
from farm.layout import chapter_key, result_prefix
from farm.presets import resolved
from farm.quota import Quota
from farm.removal import remove_job
from farm.store import jobs, quotas
from farm.wire import Output
from tests.flow.house import House, Unwell
from tests.flow.mortal import STRIDE, due_now, mortal_desks
from tests.flow.test_revisions import reseed
from tests.flow.test_subtitles import FIRST, Clicking, heard_at
from tests.nightly import NIGHTLY
from worker.desk.desk import Desk

TITLES = ("Morning", "Noon/Night", "")
CHAPTERS = [{"title": title, "input": "It rained all day.\n\nShe left at noon."} for title in TITLES]
MANY = 2_000 if NIGHTLY else 100  # chapters; a job may have 2,000, which take half a minute


def asked(house: House, format: str = "mp3", **fields: Any) -> str:
    output = {"format": format, "per_chapter": True, **fields.pop("output", {})}
    return house.submit(**{"chapters": CHAPTERS, **fields}, output=output)


def manifest(house: House, job: str) -> dict[str, Any]:
    return dict(json.loads(house.storage.get(house.outcome(job).manifest_key)))


def audio(house: House, job: str) -> list[bytes]:
    """Of each chapter that has a file."""
    outcome = house.outcome(job)
    heard = [number for number in range(outcome.chapters) if number not in outcome.unheard]
    return [house.storage.get(chapter_key(outcome.audio_key, number)) for number in heard]


def results(house: House, job: str) -> list[str]:
    return sorted(found.key for found in house.storage.list(result_prefix(job)))


@pytest.fixture
def spoken(house: House) -> House:
    """A house that has the clips of every chapter."""
    house.submit(chapters=CHAPTERS)
    house.finish()
    return house


def test_the_manifest_names_the_file_of_each_chapter_and_what_it_holds(house: House) -> None:
    job = asked(house, output={"subtitles": ["vtt"]})
    house.finish()
    told = manifest(house, job)
    files = [chapter["file"] for chapter in told["chapters"]]
    assert [file["name"] for file in files] == ["01 Morning.mp3", "02 Noon_Night.mp3", "03.mp3"]
    for file, data in zip(files, audio(house, job), strict=True):
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert file["duration_seconds"] == pytest.approx(MP3(io.BytesIO(data)).info.length, abs=0.001)
    assert sum(file["frames"] for file in files) == told["frames"]
    run = house.outcome(job).manifest_key.removesuffix("manifest.json")
    whole = [f"{run}{name}" for name in ("audio.mp3", "manifest.json", "subtitles.vtt")]
    parts = [f"{run}chapters/{number}/{name}" for number in range(3) for name in ("audio.mp3", "subtitles.vtt")]
    assert results(house, job) == sorted(whole + parts)


@pytest.mark.parametrize("format", sorted(AUDIO_FORMATS))
def test_the_subtitles_of_a_chapter_say_to_the_millisecond_when_it_is_heard_in_its_file(
    house: House, format: str, tmp_path: Path
) -> None:
    """Each segment is silent but for clicks at its two ends, which are looked for in the decoded file."""
    job = asked(house, format, output={"subtitles": list(SUBTITLE_FORMATS)})
    house.desk.drain()
    house.renderer(Clicking(house.engine)).drain()  # type: ignore[arg-type]
    house.desk.drain()
    outcome = house.outcome(job)
    assert outcome.chapters == 3
    for number, data in enumerate(audio(house, job)):
        target = tmp_path / f"{number}"
        target.write_bytes(data)
        sound, rate = heard_at(target, format)
        texts = {kind: house.storage.get(chapter_key(key, number)) for kind, key in outcome.subtitles.items()}
        cues = json.loads(texts["json"])["cues"]
        assert [(cue["text"], cue["chapter"]) for cue in cues] == [
            ("It rained all day.", number), ("She left at noon.", number)
        ]  # fmt: skip
        assert cues[0]["start_ms"] == 0
        for cue in cues:
            for place, click in ((cue["start_ms"], FIRST), (cue["end_ms"], -FIRST)):
                expected = place * rate // 1000 + round(click * rate / house.engine.card.sample_rate)
                near = sound[max(0, expected - 200) : expected + 200]
                assert abs(int(np.argmax(np.abs(near))) + max(0, expected - 200) - expected) <= 1 + rate // 1000
        assert texts["vtt"].startswith(b"WEBVTT\n\n00:00:00.000 --> ")
        assert texts["srt"].startswith(b"1\n00:00:00,000 --> ")
        assert texts["lrc"].startswith(b"[00:00.00]It rained")


def test_each_file_for_acx_is_constant_mp3_and_is_judged_by_itself(house: House) -> None:
    said = "The tide went out, and nobody saw it go. It burned through the night, and at dawn it was cold."
    chapters = [{"title": title, "input": "\n\n".join([said] * 2)} for title in ("One", "Two")]
    output = resolved(Output.model_validate({"preset": "acx", "per_chapter": True}))
    job = house.submit(chapters=chapters, output=output.model_dump())
    house.finish()
    judged = manifest(house, job)["preset"]
    assert judged["passed"], judged
    assert [file["chapter"] for file in judged["files"]] == [0, 1]
    for data in audio(house, job):
        info = MP3(io.BytesIO(data)).info
        assert (info.sample_rate, info.bitrate, info.bitrate_mode) == (44_100, 192_000, BitrateMode.CBR)
        sound, rate = sf.read(io.BytesIO(data))
        loud = np.flatnonzero(np.abs(sound) > 0.01) / rate
        assert 0.5 <= loud[0] < 0.6
        assert 1.0 <= len(sound) / rate - loud[-1] < 1.7


def test_with_one_gain_for_all_the_whole_is_judged_and_each_file(house: House) -> None:
    output = Output.model_validate({"preset": "book", "per_chapter": True, "loudness_per": "recording"})
    job = house.submit(chapters=CHAPTERS, output=resolved(output).model_dump())
    house.finish()
    assert [file["chapter"] for file in manifest(house, job)["preset"]["files"]] == [None, 0, 1, 2]


def test_a_job_of_one_text_has_a_file_of_its_one_chapter(house: House) -> None:
    job = house.submit(input="Just a line.", output={"format": "mp3", "per_chapter": True})
    house.finish()
    (chapter,) = manifest(house, job)["chapters"]
    assert chapter["file"]["name"] == "01.mp3"
    assert len(audio(house, job)) == 1


def test_a_chapter_of_which_nothing_is_heard_has_no_file(house: House) -> None:
    chapters = [*CHAPTERS[:2], {"title": "Lost", "input": "Unsayable."}, CHAPTERS[2]]
    job = asked(house, chapters=chapters, on_error="skip")
    house.desk.drain()
    house.renderer(Unwell(house.engine, "Unsayable")).drain()  # type: ignore[arg-type]
    house.desk.drain()
    told = manifest(house, job)["chapters"]
    assert ["file" in chapter for chapter in told] == [True, True, False, True]
    assert (house.outcome(job).chapters, house.outcome(job).unheard) == (4, [2])
    assert told[3]["file"]["name"] == "04.mp3"
    assert str(MP3(io.BytesIO(audio(house, job)[2]))["TRCK"]) == "4/4"


def test_the_bytes_of_chapters_count_for_their_tenant_until_the_job_is_deleted(house: House) -> None:
    def used() -> int:
        return house.store.run(quotas.account("default")).standing.used(Quota.BYTES)

    before = used()
    counted = {}
    for per_chapter in (False, True):
        job = asked(house, output={"per_chapter": per_chapter, "subtitles": ["srt"]})
        house.finish()
        stored = sum(found.size for found in house.storage.list(result_prefix(job)))
        counted[per_chapter] = used() - before, stored
        remove_job(house.store, house.storage, job)
        assert (used(), results(house, job)) == (before, [])
    (whole, stored_whole), (both, stored_both) = counted[False], counted[True]
    assert stored_both > 1.5 * stored_whole
    assert both - whole == pytest.approx(stored_both - stored_whole, abs=100)  # a spec with one field more


def test_the_files_of_chapters_go_when_the_job_expires(spoken: House) -> None:
    job = asked(spoken)
    spoken.finish()
    assert len(results(spoken, job)) == 5
    due_now(spoken, "expire")
    spoken.desk.drain()
    assert (spoken.record(job).status, results(spoken, job)) == (Status.EXPIRED, [])


def test_a_retry_replaces_the_files_of_chapters(house: House) -> None:
    job = asked(house, on_error="skip")
    house.desk.drain()
    house.renderer(Unwell(house.engine, "She left")).drain()  # type: ignore[arg-type]
    house.desk.drain()
    short, first = audio(house, job), results(house, job)
    house.store.run(jobs.retry(job, "default"))
    house.finish()
    assert all(len(long) > len(before) for long, before in zip(audio(house, job), short, strict=True))
    assert set(results(house, job)).isdisjoint(first)
    assert len(results(house, job)) == 5


def test_an_edit_keeps_the_chapters_of_the_revision_before_until_their_time_is_over(house: House) -> None:
    job = asked(house)
    house.finish()
    before, kept = audio(house, job), results(house, job)
    reseed(house, job, 0, 7)
    house.finish()
    assert set(kept) < set(results(house, job))
    assert len(results(house, job)) == 2 * len(kept)
    assert audio(house, job)[1:] == before[1:]
    due_now(house, "retire")
    house.desk.drain()
    assert set(results(house, job)).isdisjoint(kept)
    assert len(results(house, job)) == len(kept)


# --- trouble ----------------------------------------------------------------------------------------------------------


class Interposed:
    """Storage that calls `happens` once, when the second chapter is being uploaded."""

    def __init__(self, real: Any, happens: Callable[[], object]) -> None:
        self._real, self._happens = real, happens

    def put_file(self, key: str, *args: Any) -> None:
        self._real.put_file(key, *args)
        if "/chapters/1/" in key:
            self._happens()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.parametrize("end", ["canceled", "deleted"])
def test_chapters_of_a_job_that_ended_while_they_were_uploaded_are_taken_back(spoken: House, end: str) -> None:
    job = asked(spoken)
    spoken.desk.drain()
    spoken.renderer().drain()
    verb = jobs.cancel(job, "default") if end == "canceled" else jobs.forget(job)
    storage = Interposed(spoken.storage, lambda: spoken.store.run(verb))
    Desk(spoken.store, storage, spoken.waker, spoken.settings).drain()  # type: ignore[arg-type]
    assert results(spoken, job) == []


def test_chapters_are_taken_back_when_the_upload_of_one_is_interrupted(spoken: House) -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    job = asked(spoken)
    spoken.desk.drain()
    spoken.renderer().drain()
    storage = Interposed(spoken.storage, stop)
    Desk(spoken.store, storage, spoken.waker, spoken.settings).drain()  # type: ignore[arg-type]
    assert (spoken.record(job).status, results(spoken, job)) == (Status.ASSEMBLING, [])


def test_two_desks_make_the_same_files_of_chapters(spoken: House) -> None:
    alone = asked(spoken, metadata={"title": "A Day"})
    spoken.finish()
    job = asked(spoken, metadata={"title": "A Day"})
    spoken.desk.drain()
    spoken.renderer().drain()
    spoken.drain_by_two_desks()
    assert audio(spoken, job) == audio(spoken, alone)
    assert len(results(spoken, job)) == 5


BESIDE = {"subtitles": ["vtt"], "also": ["epub"]}


def kills(house: House) -> Iterator[str]:
    """Jobs, each with a desk that was killed later than that of the one before."""
    for desk in mortal_desks(house):
        job = asked(house, metadata={"title": "A Day"}, output=BESIDE)
        house.desk.drain()
        house.renderer().drain()
        desk.drain()
        due_now(house, Due.PASSAGE, Due.ASSEMBLE)
        house.desk.drain()
        yield job


def test_a_desk_may_be_killed_between_any_two_steps_and_leaves_no_file_behind(spoken: House) -> None:
    undisturbed = asked(spoken, metadata={"title": "A Day"}, output=BESIDE)
    spoken.finish()
    count = 0
    for job in kills(spoken):
        assert spoken.record(job).status is Status.SUCCEEDED
        assert audio(spoken, job) == audio(spoken, undisturbed)
        assert len(results(spoken, job)) == 10
        count += 1
    assert count > 20 // STRIDE


def test_chapters_of_a_killed_desk_are_shown_to_nobody_and_go_with_their_canceled_job(
    spoken: House, api: httpx.Client
) -> None:
    job = asked(spoken)
    spoken.desk.drain()
    spoken.renderer().drain()
    for desk in mortal_desks(spoken):
        desk.drain()
        if results(spoken, job):
            break
        due_now(spoken, Due.ASSEMBLE)
    assert (desk.died, spoken.record(job).status) == (True, Status.ASSEMBLING)
    spoken.store.run(jobs.cancel(job, "default"))
    for path in ("audio", "chapters", "chapters/0/audio", "manifest", "archive.zip"):
        assert api.get(f"/v1/jobs/{job}/{path}").status_code == 409, path
    due_now(spoken, Due.EXPIRE)
    spoken.desk.drain()
    assert results(spoken, job) == []


@pytest.mark.parametrize("per", ["recording", "chapter"])
def test_chapters_that_say_the_same_have_a_file_each(house: House, per: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their passages are one object. The last chapter has another silence at its end."""
    monkeypatch.setattr(farm.passages, "PASSAGE_MS", 1_000)  # so that there are any
    chapters = [{"title": str(number), "input": "Ding."} for number in range(4)]
    output = {"loudness_per": per, "loudness_lufs": -20}
    job = asked(house, chapters=chapters, output=output)
    house.finish()
    told = manifest(house, job)["chapters"]
    assert ["file" in chapter and "loudness_lufs" in chapter for chapter in told] == [True] * 4
    assert len({chapter["file"]["bytes"] for chapter in told[:3]}) == 1
    assert [MP3(io.BytesIO(data))["TIT2"].text for data in audio(house, job)] == [["0"], ["1"], ["2"], ["3"]]


def test_every_chapter_of_many_has_a_file_and_redis_does_not_grow_with_them(house: House) -> None:
    """They say the same, so that this takes seconds."""
    chapters = [{"title": f"Verse {number}", "input": "Ah."} for number in range(MANY)]
    job = house.submit(chapters=chapters, output={"format": "mp3", "per_chapter": True})
    house.finish()
    names = [chapter["file"]["name"] for chapter in manifest(house, job)["chapters"]]
    digits = len(str(MANY))
    assert names == [f"{number + 1:0{digits}} Verse {number}.mp3" for number in range(MANY)]
    assert len(results(house, job)) == MANY + 2
    assert len(house.record(job).outcome or "") < 1_000
