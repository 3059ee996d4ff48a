"""The farm with IndexTTS: real processes, voices that were uploaded, books in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from farm.client import Farm
from farm.embedded.supervisor import Local
from farm.errors import FarmError
from farm.wire import Chapter, Emotion, JobRequest, Output

pytestmark = pytest.mark.timeout(400)

FRAME_MS = 12  # a mel frame


@contextmanager
def running(model: str, checkpoint: Path, data: Path) -> Iterator[Local]:
    environment = {
        "FARM_INDEXTTS_DIR": str(checkpoint),
        "FARM_INDEXTTS_SLOTS": "4",
        "FARM_INDEXTTS_STEPS": "3",
        "OMP_NUM_THREADS": "1",
    }
    with Local(data, model=model, environment=environment) as local:
        yield local


def uploaded(client: Farm, references: Sequence[str]) -> list[str]:
    names = [f"reader-{number}" for number in range(3)]
    for name, reference in zip(names, references, strict=True):
        client.add_voice(name, Path(reference), consent="a chord")
    return names


# --- version 2 --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with running("indextts-2", checkpoint, tmp_path_factory.mktemp("farm")) as local, Farm(local.url) as client:
        yield client


@pytest.fixture(scope="module")
def voices(client: Farm, references: Sequence[str]) -> list[str]:
    return uploaded(client, references)


def test_a_book_in_two_voices_is_narrated_and_accounted_for(client: Farm, voices: list[str], tmp_path: Path) -> None:
    chapters = [
        Chapter(title="One", input="The tide went out. Nobody saw it go.\n\nIn the morning there were ships."),
        Chapter(title="Two", input="They waited for the sea.", voice=voices[1]),
        Chapter(title="Three", input="…"),
    ]
    emotion = Emotion(voice=voices[2], strength=0.5)
    output = Output(format="wav")
    # Random weights keep no time with a text, here and below.
    request = JobRequest(chapters=chapters, voice=voices[0], emotion=emotion, output=output, checks=False)
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


def test_the_queue_names_device_precision_and_attention(client: Farm) -> None:
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
def test_a_request_beyond_version_2_is_refused_at_once(
    client: Farm, voices: list[str], request_: JobRequest, says: str
) -> None:
    with pytest.raises(FarmError, match=says):
        client.submit(request_)


# --- version 2.5 ------------------------------------------------------------------------------------------------------

LINES = {
    "en": "He had a <minute|M IH1 . N AH0 T> to read 3 letters.",
    "zh": "他在银<行|HANG2>里等了3天。",
    "ja": "彼は<上手|じょうず>だ。",
    "es": "Eran las 3 de la tarde.",
    "ar": "كان البحر هادئا.",
}


@pytest.fixture(scope="module")
def farm25(checkpoint25: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with running("indextts-2.5", checkpoint25, tmp_path_factory.mktemp("farm25")) as local:
        yield local


@pytest.fixture(scope="module")
def client25(farm25: Local, references: Sequence[str]) -> Iterator[Farm]:
    with Farm(farm25.url) as client:
        uploaded(client, references)
        yield client


def test_five_languages_are_narrated_and_nothing_of_them_is_logged(client25: Farm, farm25: Local) -> None:
    jobs = {
        language: client25.submit(JobRequest(input=line, language=language, voice="reader-0", speed=1.5, checks=False))
        for language, line in LINES.items()
    }
    for language, job in jobs.items():
        ended = client25.wait(job.id)
        assert ended.status == "succeeded", (language, ended.error)
        assert client25.manifest(job.id)["warnings"] == 0
    logged = "".join(file.read_text(errors="replace") for file in farm25.log("render").parent.iterdir())
    assert "indextts-2.5" in logged
    assert not [word for word in ("letters", "银", "上手", "tarde", "البحر") if word in logged]


def test_a_cue_meets_its_duration_or_reports_the_difference(client25: Farm) -> None:
    line = JobRequest(
        input="The tide went out, and nobody saw it go.", voice="reader-1", output=Output(format="wav"), checks=False
    )
    plain = client25.wait(client25.submit(line).id).result
    assert plain is not None
    natural_ms = round(plain.duration_seconds * 1000)
    for factor in (0.75, 1.5, 4):
        target_ms = round(natural_ms * factor)
        job = client25.wait(client25.submit(line.model_copy(update={"target_duration_ms": target_ms})).id)
        assert job.result is not None
        assert job.result.duration_error_ms == round(job.result.duration_seconds * 1000) - target_ms
        (row,) = client25.manifest(job.id)["segments"]
        if factor < 2:
            assert abs(job.result.duration_error_ms) <= FRAME_MS
        else:
            assert row["warnings"][0].startswith(f"duration_limit: target {target_ms} ms, ")
            assert job.result.duration_seconds * 1000 == pytest.approx(2 * natural_ms, abs=2 * FRAME_MS)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"language": "yue"}, "does not speak 'yue'; it speaks"),
        ({"language": "de"}, "does not speak 'de'; it speaks"),
        ({"input": "银<行|HNAG2>"}, "one syllable of pinyin"),
        ({"input": "a <minute|M IH . N AH0 T>"}, "without its stress"),
        ({"speed": 0.8, "target_duration_ms": 900}, "target_duration_ms decides the speed by itself"),
        ({"pitch": 2}, "does not honour pitch"),
    ],
)
def test_a_request_beyond_version_25_is_refused_at_once(client25: Farm, asked: dict[str, object], says: str) -> None:
    request = JobRequest.model_validate({"input": "A line.", "voice": "reader-0", **asked})
    with pytest.raises(FarmError, match=says):
        client25.submit(request)


def test_exclamation_marks_alone_become_silence(client25: Farm) -> None:
    job = client25.wait(client25.submit(JobRequest(input="!!!", voice="reader-0", language="zh")).id)
    assert job.status == "succeeded", job.error
    assert client25.manifest(job.id)["segments"][0]["warnings"][0].startswith("unspeakable: ")
