"""A client that is generated from the OpenAPI document, as programmers of other languages make theirs, narrates."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile as sf

from farm.embedded.supervisor import Local
from tests.contract.inspector import ANN
from tests.patience import patient

MADE = "made_client"
UNREAD = "Unsupported content type "


@pytest.fixture(scope="module")
def generated(farm: Local, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the generator said. The package is importable from then on."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_bytes(httpx.get(f"{farm.url}/openapi.json", trust_env=False).content)
    (folder / "settings.yaml").write_text("post_hooks: []\n")  # which would format it
    ended = subprocess.run(
        (
            sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json", "--output-path", MADE,
            "--meta", "none", "--config", "settings.yaml",
        ),
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    sys.path.insert(0, str(folder))
    return ended.stdout + ended.stderr


@pytest.fixture
def call(generated: str, farm: Local) -> Iterator[Callable[..., Any]]:
    """call("jobs", "show_v1_jobs_job_id_get", ...): the parsed answer of an operation."""
    with import_module(MADE).AuthenticatedClient(base_url=farm.url, token=ANN, timeout=patient(60)) as client:

        def call(tag: str, operation: str, *parts: object, **named: object) -> Any:
            return import_module(f"{MADE}.api.{tag}.{operation}").sync(*parts, client=client, **named)

        yield call


def shape(name: str) -> Any:
    return getattr(import_module(f"{MADE}.models"), name)


def test_no_operation_and_no_shape_is_left_out(generated: str, farm: Local) -> None:
    document = httpx.get(f"{farm.url}/openapi.json", trust_env=False).json()
    operations = [operation for path in document["paths"].values() for operation in path if operation != "parameters"]
    made = list((Path(str(import_module(MADE).__file__)).parent / "api").glob("*/[a-z]*.py"))
    assert len(made) == len(operations) > 40
    assert "Failure to process" not in generated
    assert "response will be omitted" not in generated
    bodies = {line.removeprefix(UNREAD) for line in generated.splitlines() if line.startswith(UNREAD)}
    assert bodies == {"application/jsonl", "application/pls+xml", "application/xml", "text/xml"}


def test_a_job_with_chapters_is_narrated(call: Callable[..., Any]) -> None:
    request = shape("JobRequest")(
        chapters=[shape("Chapter")(title="One", input_="The tide went out."), shape("Chapter")(input_="It came back.")],
        voice="en-us", speed=1.1, custom_id="generated",
        output=shape("Output")(format_=shape("OutputFormat")("flac"), pause_ms=shape("Pauses")(chapter=900)),
    )  # fmt: skip
    job = call("jobs", "submit_v1_jobs_post", body=request)
    job = call("jobs", "show_v1_jobs_job_id_get", job.id, wait=60)
    assert job.status == "succeeded"
    assert job.custom_id == "generated"
    audio = call("results", "audio_v1_jobs_job_id_audio_get", job.id).payload.read()
    assert sf.info(io.BytesIO(audio)).duration == pytest.approx(job.result.duration_seconds, abs=0.01)
    archive = call("results", "job_archive_v1_jobs_job_id_archive_zip_get", job.id).payload
    assert zipfile.ZipFile(archive).testzip() is None
    # Of the manifest it makes a shape that hides its own `cast` behind the field of that name, and can't be read.
    assert len(call("results", "segments_v1_jobs_job_id_segments_get", job.id).data) == 2
    assert job.id in {one.id for one in call("jobs", "list_jobs_v1_jobs_get").data}


def test_a_batch_ends(call: Callable[..., Any]) -> None:
    jobs = [shape("JobRequest")(input_=text) for text in ("One.", "Two.")]
    batch = call("batches", "submit_v1_batches_post", body=shape("BatchRequest")(jobs=jobs))
    batch = call("batches", "show_v1_batches_batch_id_get", batch.id, wait=60)
    assert batch.status == "completed"


def test_a_refusal_is_a_problem_that_names_the_field(call: Callable[..., Any]) -> None:
    problem = call("jobs", "submit_v1_jobs_post", body=shape("JobRequest")(input_="One.", chapters=[]))
    assert type(problem) is shape("Problem")
    assert problem.errors


def test_a_recording_is_uploaded_as_a_form(call: Callable[..., Any]) -> None:
    file = io.BytesIO()
    sf.write(file, 0.3 * np.sin(np.arange(64_000) * 2 * np.pi * 220 / 16_000), 16_000, format="WAV")
    form = shape("AddV1VoicesPostBody")(
        name="generated",
        audio=import_module(f"{MADE}.types").File(io.BytesIO(file.getvalue()), "tone.wav", "audio/wav"),
        consent="true",
    )
    assert call("voices", "add_v1_voices_post", body=form).name == "generated"
    assert call("voices", "show_v1_voices_name_get", "generated").name == "generated"
