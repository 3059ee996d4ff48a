"""An ended job is changed: its next revision renders what changed, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from farm.job import Due, Status
from farm.layout import clip_key, job_prefix, result_prefix, run_prefix
from farm.plan_reader import PlanReader
from farm.segment import line_of
from farm.spec import Spec
from farm.store import jobs, revisions
from tests.flow.house import House, Unwell
from tests.flow.mortal import due_now, mortal_desks

STORY = "The tide went out.\n\nNobody saw it go.\n\nIn the morning there were ships.\n\nThey waited for the sea."


def listening(house: House) -> Unwell:
    """An engine that notes what it is asked for."""
    return Unwell(house.engine, stumbles_at="\0")


def reseed(house: House, job: str, index: int, seed: int) -> None:
    record = house.record(job)
    reader = PlanReader(house.storage, job, record.revision)
    spec = Spec.model_validate_json(record.spec)
    line = line_of(reader.plan.recipe, reader.row(index))
    spec = spec.model_copy(update={"seeds": {**spec.seeds, line: seed}})
    change = revisions.Change(job, record.tenant, record.revision, spec, record.characters, record.retention_s)
    house.store.run(revisions.revise(change))


def manifest(house: House, job: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(house.storage.get(house.outcome(job).manifest_key))
    return found


def finish(house: House, engine: Unwell) -> None:
    house.desk.drain()
    house.renderer(engine).drain()
    house.desk.drain()


def test_a_seed_for_one_sentence_renders_that_one_and_is_told_in_the_manifest(house: House) -> None:
    job = house.submit(input=STORY)
    house.finish()
    before = manifest(house, job)
    engine = listening(house)
    reseed(house, job, 1, 7)
    finish(house, engine)
    assert engine.asked == ["Nobody saw it go."]
    assert [speech.manner.seed for speech in engine.speeches] == [7]
    after = manifest(house, job)
    assert [row.get("seed") for row in after["segments"]] == [None, 7, None, None]
    assert [row["digest"] for row in after["segments"]][::2] == [row["digest"] for row in before["segments"]][::2]
    assert (before["job_revision"], before["rendered"], before["reused"]) == (1, 4, 0)
    assert (after["job_revision"], after["rendered"], after["reused"]) == (2, 1, 3)


def test_the_result_before_stays_until_its_time_is_over_and_all_goes_with_the_job(house: House) -> None:
    job = house.submit(input=STORY)
    house.finish()
    first = house.outcome(job)
    heard = house.storage.get(first.audio_key)
    reseed(house, job, 0, 7)
    house.finish()
    second = house.outcome(job)
    assert house.storage.get(first.audio_key) == heard
    assert run_prefix(second.audio_key) != run_prefix(first.audio_key)
    due_now(house, Due.RETIRE)
    house.desk.drain()
    assert {run_prefix(found.key) for found in house.storage.list(result_prefix(job))} == {run_prefix(second.audio_key)}
    digests = [row.digest for number in (1, 2) for row in PlanReader(house.storage, job, number).rows()]
    assert len(set(digests)) == 5
    due_now(house, Due.EXPIRE)
    house.desk.drain()
    assert house.record(job).status is Status.EXPIRED
    assert [found.key for prefix in (job_prefix(job), result_prefix(job)) for found in house.storage.list(prefix)] == []
    assert all(house.storage.head(clip_key(digest)) is None for digest in digests)


def test_the_files_of_chapters_stay_and_go_with_their_result(house: House) -> None:
    parts = [{"input": "The tide went out."}, {"input": "Nobody saw it go."}]
    job = house.submit(chapters=parts, output={"format": "wav", "per_chapter": True})
    house.finish()
    first = {found.key for found in house.storage.list(result_prefix(job))}
    assert len(first) == 4
    reseed(house, job, 0, 7)
    house.finish()
    both = {found.key for found in house.storage.list(result_prefix(job))}
    assert first < both
    due_now(house, Due.RETIRE)
    house.desk.drain()
    assert {found.key for found in house.storage.list(result_prefix(job))} == both - first


def test_a_canceled_revision_leaves_the_result_before_and_a_retry_takes_it_up(house: House) -> None:
    job = house.submit(input=STORY)
    house.finish()
    first = house.outcome(job)
    reseed(house, job, 0, 7)
    house.desk.drain()
    house.store.run(jobs.cancel(job, "default"))
    assert house.storage.head(first.audio_key) is not None
    assert [each.result for each in house.store.run(revisions.earlier(job)).values()] == [first]
    house.store.run(jobs.retry(job, "default"))
    house.finish()
    assert (house.record(job).status, house.record(job).revision) == (Status.SUCCEEDED, 2)


def test_a_worker_that_still_has_the_plan_before_renders_by_the_plan_of_now(house: House) -> None:
    job = house.submit(input=STORY)
    house.desk.drain()
    engine = listening(house)
    renderer = house.renderer(engine)
    renderer.drain()
    house.desk.drain()
    reseed(house, job, 3, 7)
    house.desk.drain()
    renderer.drain()
    house.desk.drain()
    assert engine.asked[4:] == ["They waited for the sea."]
    assert house.record(job).status is Status.SUCCEEDED


def test_a_desk_that_is_killed_at_any_step_of_a_revision_leaves_both_results_whole(house: House) -> None:
    job = house.submit(input=STORY)
    house.finish()
    first = house.outcome(job)
    heard = house.storage.get(first.audio_key)
    reseed(house, job, 0, 7)
    count = 0
    for desk in mortal_desks(house, stride=1):
        count += 1
        desk.drain()
        house.renderer().drain()
        due_now(house, Due.PLAN, Due.ASSEMBLE)
    assert count > 5
    house.desk.drain()
    assert (house.record(job).status, house.record(job).revision) == (Status.SUCCEEDED, 2)
    assert house.storage.get(first.audio_key) == heard
    runs = {run_prefix(found.key) for found in house.storage.list(result_prefix(job))}
    assert runs == {run_prefix(first.audio_key), run_prefix(house.outcome(job).audio_key)}
