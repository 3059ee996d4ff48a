"""The farm with IndexTTS: real processes, a voice that was uploaded, a book in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from farm.client import Farm
from farm.errors import FarmError
from farm.local import Local
from farm.wire import Chapter, Emotion, JobRequest, Output

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def client(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    environment = {
        "FARM_INDEXTTS_DIR": str(checkpoint),
        "FARM_INDEXTTS_SLOTS": "4",
        "FARM_INDEXTTS_STEPS": "3",
        "OMP_NUM_THREADS": "1",
    }
    with Local(tmp_path_factory.mktemp("farm"), model="indextts-2", environment=environment) as local:
        with Farm(local.url) as client:
            yield client


@pytest.fixture(scope="module")
def voices(client: Farm, references: Sequence[str]) -> list[str]:
    names = [f"reader-{number}" for number in range(3)]
    for name, reference in zip(names, references, strict=True):
        client.add_voice(name, Path(reference), consent="a chord")
    return names


def test_a_book_in_two_voices_is_narrated_and_accounted_for(client: Farm, voices: list[str], tmp_path: Path) -> None:
    chapters = [
        Chapter(title="One", input="The tide went out. Nobody saw it go.\n\nIn the morning there were ships."),
        Chapter(title="Two", input="They waited for the sea.", voice=voices[1]),
        Chapter(title="Three", input="…"),
    ]
    emotion = Emotion(voice=voices[2], strength=0.5)
    request = JobRequest(chapters=chapters, voice=voices[0], emotion=emotion, output=Output(format="wav"))
    job = client.wait(client.submit(request).id)
    assert job.status == "succeeded", job.error
    assert job.result is not None
    samples, rate = sf.read(client.audio(job.id, tmp_path / "book.wav"))
    assert rate == 22050
    assert 0.01 < np.abs(samples).max() <= 1
    manifest = client.manifest(job.id)
    assert manifest["model"] == "indextts-2"
    assert manifest["warnings"] == 1
    assert manifest["segments"][-1]["warnings"][0].startswith("unspeakable: ")


def test_doctor_and_queue_see_what_it_runs_on(client: Farm) -> None:
    (worker,) = [worker for worker in client.queue().workers if worker.kind == "render"]
    assert (worker.model, worker.device, worker.capacity) == ("indextts-2", "cpu", 4)
    assert worker.facts["precision"] == "gpt fp32, s2mel fp32, vocoder fp32"
    assert worker.facts["attention"] == "sdpa"


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (JobRequest(input="A line."), "upload one to /v1/voices"),
        (JobRequest(input="A line.", voice="reader-0", speed=1.5), "does not honour speed"),
        (JobRequest(input="A line.", voice="reader-0", language="fr"), "does not speak 'fr'"),
    ],
)
def test_what_it_can_not_do_is_refused_before_it_is_accepted(
    client: Farm, voices: list[str], request_: JobRequest, says: str
) -> None:
    with pytest.raises(FarmError, match=says):
        client.submit(request_)
