"""A target duration on its way from the request over the plan and the engine to the length of the file."""

from __future__ import annotations

import json
from typing import Any

import pytest
import soundfile as sf

from farm.client import Farm
from farm.job import Status
from farm.outcome import Rendered
from farm.plan_reader import PlanReader
from farm.wire import Chapter, JobRequest, Output
from tests.flow.house import House, Unwell
from tests.patience import patient

CUES = [
    Chapter(input="The tide went out. Nobody saw it go.\n\nIn the morning there were ships on the sand."),
    Chapter(input="They waited for the sea."),
    Chapter(input="It came back in the evening, as it always had."),
]


def submit(house: House, **request: Any) -> str:
    return house.submit(voice="en-us", language="en-us", **request)


def cues(*targets: int | None) -> list[dict[str, Any]]:
    return [
        {**chapter.model_dump(exclude_unset=True), **({"target_duration_ms": target} if target else {})}
        for chapter, target in zip(CUES, targets, strict=True)
    ]


def manifest_of(house: House, job: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(house.storage.get(house.outcome(job).manifest_key))
    return found


def length_ms(house: House, job: str) -> int:
    path = house.storage.path(house.outcome(job).audio_key)
    assert path is not None
    info = sf.info(path)
    return round(info.frames * 1000 / info.samplerate)


@pytest.mark.parametrize("output", [{"format": "flac"}, {"format": "wav", "sample_rate": 48000, "loudness_lufs": -20}])
def test_a_job_meets_its_target_duration_and_reports_its_error(house: House, output: dict[str, Any]) -> None:
    job = submit(house, chapters=cues(None, None, None), target_duration_ms=12_000, output=output)
    house.finish()
    rendered, manifest = house.outcome(job), manifest_of(house, job)
    assert isinstance(rendered, Rendered)
    assert rendered.target_duration_ms == manifest["target_duration_ms"] == 12_000
    assert rendered.duration_error_ms == manifest["duration_error_ms"] == length_ms(house, job) - 12_000
    assert abs(length_ms(house, job) - 12_000) < 240
    assert all("target_duration_ms" not in chapter for chapter in manifest["chapters"])


def test_each_cue_meets_its_target_without_the_pause_after_it(house: House) -> None:
    job = submit(house, chapters=cues(6000, 1500, None))
    house.finish()
    manifest = manifest_of(house, job)
    first, second, third = manifest["chapters"]
    for chapter, target in ((first, 6000), (second, 1500)):
        assert chapter["target_duration_ms"] == target
        assert chapter["duration_error_ms"] == chapter["duration_ms"] - target
        assert abs(chapter["duration_error_ms"]) < 0.03 * target
    assert second["offset_ms"] == pytest.approx(first["offset_ms"] + first["duration_ms"] + 1500, abs=2)
    assert "target_duration_ms" not in third
    assert "target_duration_ms" not in manifest
    assert house.outcome(job).target_duration_ms is None


def test_a_segment_shows_its_target_beside_its_duration(house: House) -> None:
    job = submit(house, chapters=cues(6000, 1500, None))
    house.finish()
    rows = manifest_of(house, job)["segments"]
    assert [row.get("target_ms") for row in rows] == [
        row.target_duration_ms for row in PlanReader(house.storage, job).rows()
    ]
    for row in rows[:-1]:
        assert row["duration_ms"] == pytest.approx(row["target_ms"], rel=0.03)
    assert "target_ms" not in rows[-1]


def test_an_unreachable_target_is_missed_with_a_warning_and_the_error_is_reported(house: House) -> None:
    job = submit(house, chapters=cues(None, 300, None))
    house.finish()
    manifest = manifest_of(house, job)
    cue = manifest["chapters"][1]
    assert cue["duration_error_ms"] == cue["duration_ms"] - 300 > 0
    (row,) = [row for row in manifest["segments"] if "warnings" in row]
    assert row["warnings"] == [f"duration_limit: target 300 ms, result {row['duration_ms']} ms"]


def test_the_same_words_for_another_time_are_another_clip(house: House) -> None:
    submit(house, chapters=cues(None, 1500, None))
    house.finish()
    again, other = submit(house, chapters=cues(None, 1500, None)), submit(house, chapters=cues(None, 1600, None))
    house.finish()
    assert house.record(again).cached == house.record(again).total
    assert house.record(other).cached == house.record(other).total - 1


def test_a_target_that_the_pauses_use_up_fails_the_job_and_names_the_field(house: House) -> None:
    job = submit(house, chapters=cues(450, None, None))
    house.desk.drain()
    assert house.record(job).status is Status.FAILED
    error = house.outcome(job)
    assert error.code == "target_too_short"
    assert error.message.startswith("/chapters/0/target_duration_ms is 450 ms")


def test_normalisation_and_target_of_a_job_reach_the_engine(house: House) -> None:
    listening = Unwell(house.engine, stumbles_at="\0")  # type: ignore[arg-type]
    submit(house, input="The bell rang.", normalize=False, target_duration_ms=1000)
    submit(house, input="The bell rang.")
    house.desk.drain()
    house.renderer(listening).drain()
    heard = sorted((speech.manner.normalize, speech.target_duration_ms) for speech in listening.speeches)
    assert heard == [(False, 1000), (True, None)]  # sorted: jobs of one millisecond have no order


def test_a_dubbing_track_is_on_time_through_the_whole_farm(client: Farm) -> None:
    targets = (6000, 1500, 3200)
    chapters = [
        chapter.model_copy(update={"target_duration_ms": target}) for chapter, target in zip(CUES, targets, strict=True)
    ]
    asked = JobRequest(chapters=chapters, voice="en-us", output=Output(format="opus"))
    job = client.wait(client.submit(asked).id, timeout=patient(60))
    assert job.status == "succeeded"
    found = [chapter["duration_ms"] for chapter in client.manifest(job.id)["chapters"]]
    assert found == pytest.approx(targets, rel=0.03)
