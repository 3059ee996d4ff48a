"""Recordings of voices that were replaced or deleted leave storage, once no open job needs them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from farm.job import Due, Lane, new_id
from farm.layout import VOICES, voice_key
from farm.order import Order
from farm.spec import Spec
from farm.store import batches, jobs, registry, tasks
from farm.stored import StoredVoice
from farm.text_document import write_text
from farm.wire import Chapter
from tests.flow.house import House


def record(house: House, digest: str, *, tenant: str = "default", age_s: float = 60) -> None:
    """A recording that was stored so long ago."""
    key = voice_key(tenant, digest)
    house.storage.put(key, b"flac")
    path = Path(house.settings.storage_url.removeprefix("file://")) / key
    os.utime(path, (time.time() - age_s,) * 2)


def upload(house: House, name: str, digest: str, *, tenant: str = "default", age_s: float = 60) -> None:
    record(house, digest, tenant=tenant, age_s=age_s)
    house.store.run(registry.put_voice(tenant, name, StoredVoice(digest=digest).to_json()))


def speak(house: House, digest: str) -> str:
    spec = Spec(language="en", voice="anna", uploads={"anna": digest})
    order = Order(new_id("job"), "indextts-2", Lane.NORMAL, spec, write_text([Chapter(input="One.")]), 4, 3600)
    house.store.run(jobs.accept(jobs.NewJob.of(order, "default")))
    return order.id


def left(house: House) -> set[str]:
    return {Path(found.key).stem for found in house.storage.list(VOICES)}


def sweep_again(house: House) -> None:
    """As it comes after its wait."""
    house.store.run(registry.drop_voice("default", "none"))
    house.store.run(registry.put_voice("default", "now", StoredVoice(digest="now").to_json()))
    house.desk.drain()


def test_a_replaced_recording_goes_and_so_does_one_that_nobody_remembers(house: House) -> None:
    record(house, "forgotten")
    upload(house, "anna", "d0", tenant="bob")
    upload(house, "twin", "d2")
    for digest in ("d1", "d2", "d3"):
        upload(house, "anna", digest)
    house.desk.drain()
    assert left(house) == {"d0", "d2", "d3"}
    house.store.run(registry.drop_voice("default", "anna"))
    house.desk.drain()
    assert left(house) == {"d0", "d2"}


def test_an_open_job_keeps_the_recording_that_it_was_accepted_with(house: House) -> None:
    upload(house, "anna", "d1")
    job = speak(house, "d1")
    upload(house, "anna", "d2")
    house.desk.drain()
    assert left(house) == {"d1", "d2"}
    assert house.store.run(tasks.next_due((Due.SWEEP,)))[Due.SWEEP] > 60_000
    house.store.run(jobs.cancel(job, "default"))
    sweep_again(house)
    assert left(house) == {"d2"}


def test_a_batch_that_is_unfolded_keeps_every_recording(house: House) -> None:
    batch = batches.NewBatch("batch_a", "default", 1, "{}", retention_s=3600)
    house.store.run(batches.accept(batch))
    (task,) = house.store.run(tasks.take((Due.BATCH,), want=1, lease_ms=60_000))
    upload(house, "anna", "d1")
    upload(house, "anna", "d2")
    house.desk.drain()
    assert left(house) == {"d1", "d2"}
    house.store.run(tasks.done(task))
    sweep_again(house)
    assert left(house) == {"d2"}


def test_a_recording_that_was_stored_just_now_waits_for_its_voice(house: House) -> None:
    record(house, "d1", age_s=0)
    upload(house, "anna", "d2")
    house.desk.drain()
    assert left(house) == {"d1", "d2"}
    assert 1_000 < house.store.run(tasks.next_due((Due.SWEEP,)))[Due.SWEEP] < 10_000
