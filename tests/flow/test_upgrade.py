"""A farm of this version started on the data folder of an older one, which was killed at work (record_farm.py).

The revision of its engine is held at the recorded one. A version that raises it makes all clips anew, and means to;
here all else that names a clip is compared.
"""

from __future__ import annotations

import json
import os
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from farm.client import Farm
from farm.embedded.running import Running
from farm.embedded.supervisor import Local
from farm.store import Store, quotas
from tests.flow.record_farm import BOOK, ENVIRONMENT, samples_digest
from tests.patience import patient
from tests.store.quota_scan import counted, scanned

RECORDED = Path(__file__).with_name("recorded")
ROOT = Path(__file__).parents[2]

# Python runs it at its start. Only a worker has the engine, and knows its revision.
HELD = """
import sys
if "worker" in sys.orig_argv:
    from worker.engines.espeak import engine
    engine._RENDERING = {rendering}
"""

CHECKED: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # since Python 3.11.4


@pytest.fixture(params=sorted(path.stem for path in RECORDED.glob("*.json")), scope="module")
def recorded(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"name": request.param, **json.loads((RECORDED / f"{request.param}.json").read_text())}


@pytest.fixture(scope="module")
def data(recorded: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("old")


@pytest.fixture(scope="module")
def old(recorded: dict[str, Any], data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with tarfile.open(RECORDED / f"{recorded['name']}.tar.gz") as archive:
        archive.extractall(data, **CHECKED)
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(HELD.format(rendering=recorded["rendering"]))
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join((str(site), str(ROOT)))}
    with Local(data, environment=environment) as local, Farm(local.url) as client:
        yield client


def test_a_finished_job_of_the_old_version_is_read_whole(old: Farm, recorded: dict[str, Any], tmp_path: Path) -> None:
    job = old.job(recorded["ids"]["tale"])
    assert (job.status, job.metadata) == ("succeeded", {"shelf": "sea"})
    assert samples_digest(old.audio(job.id, tmp_path / "tale.flac")) == recorded["sha256"]["tale"]
    assert [chapter["title"] for chapter in old.manifest(job.id)["chapters"]] == ["One", "Zwei"]
    assert "Nobody saw it go." in old.subtitles(job.id, tmp_path / "tale.vtt").read_text()
    (delivery,) = old.deliveries(job.id)
    assert (delivery.event, delivery.status) == ("job.succeeded", "pending")


@pytest.mark.parametrize("name", ["book", "letter"])
def test_a_job_that_the_old_version_left_open_ends_as_the_old_version_would_have_ended_it(
    old: Farm, recorded: dict[str, Any], tmp_path: Path, name: str
) -> None:
    job = old.wait(recorded["ids"][name], timeout=patient(60))
    assert job.status == "succeeded", job.error
    assert samples_digest(old.audio(job.id, tmp_path / "audio.flac")) == recorded["sha256"][name]


def test_a_batch_that_the_old_version_left_open_ends_line_by_line(
    old: Farm, recorded: dict[str, Any], tmp_path: Path
) -> None:
    for job in [old.wait(job.id, timeout=patient(60)) for job in _jobs(old, recorded["ids"]["batch"])]:
        assert job.status == "succeeded", job.error
        assert job.custom_id is not None
        digest = samples_digest(old.audio(job.id, tmp_path / f"{job.custom_id}.flac"))
        assert digest == recorded["sha256"][job.custom_id]
    assert recorded["ids"]["batch"] in [batch.id for batch in old.batches()]


def test_clips_of_the_old_version_are_found_again(old: Farm, recorded: dict[str, Any]) -> None:
    """Their names are the same, so a book that both versions narrate is rendered once."""
    old.wait(recorded["ids"]["book"], timeout=patient(60))
    job = old.wait(old.submit(BOOK).id, timeout=patient(60))
    assert job.progress.cached == job.progress.segments_total == 40


def test_a_voice_of_the_old_version_is_still_there(old: Farm) -> None:
    assert "anna" in [voice.name for voice in old.voices()]


def test_what_the_old_version_left_counts_for_quotas(old: Farm, data: Path, recorded: dict[str, Any]) -> None:
    """It wrote no counts, so the API has built them from its jobs."""
    for name in ("book", "letter"):
        old.wait(recorded["ids"][name], timeout=patient(60))
    for _ in _jobs(old, recorded["ids"]["batch"]):
        pass
    running = Running.read(data)
    assert running is not None
    with closing(Store.connect(running.redis_url)) as store:
        while not store.run(quotas.recounted()):
            time.sleep(0.05)  # the API counts in the background after its start, and announces no end of it
        counts = counted(store, "default")
        assert counts == scanned(store, "default")
    assert counts["characters"] == 0, "all of them have ended"
    tale = old.job(recorded["ids"]["tale"]).result
    assert tale is not None
    assert counts["bytes"] > tale.bytes


def _jobs(farm: Farm, batch: str) -> list[Any]:
    """All of its jobs, once the desk has unfolded it."""
    while farm.batch(batch, wait=10).status != "completed":
        pass
    return list(farm.batch_jobs(batch))
