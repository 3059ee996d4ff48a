"""The farm as its users run it: images from the Dockerfiles, compose/compose.yaml, a batch, and what goes wrong.

    make e2e        starts a Docker engine where none runs (root, Debian); prints its timeline

The tests are one story and run in the order in which they stand.
"""

from __future__ import annotations

import io
import secrets
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from farm.client import Farm
from farm.wire import Batch, JobRequest, Output
from tests.containers import docker as engine
from tests.containers.docker import API_IMAGE, ROOT, WORKER_IMAGE, build, docker
from tests.containers.stack import COMPOSE_FILES, Stack, compose
from tests.patience import patient

JOBS, PARAGRAPHS = 8, 20
PARAGRAPH = (
    "The {n}th keeper of the light wrote everything down. Wind from the north, glass falling, {n} ships in the roads "
    "and none of them moving. He counted the stairs each evening, {n} of them, and each evening there was one more."
)
CANARY = secrets.token_hex(24)  # stands in pip's configuration while the images are built
MISCONFIGURED = 78

Say = Callable[[str], None]


@pytest.fixture(scope="module")
def say(pytestconfig: pytest.Config) -> Say:
    """A line of the timeline, past pytest's capture."""
    began = time.monotonic()
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def line(what: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{time.monotonic() - began:6.1f} s  {what}", end="", flush=True)  # noqa: T201

    return line


@pytest.fixture(scope="module")
def images(say: Say) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="tts-farm-e2e-") as folder:
        with engine.engine(Path(folder, "dockerd.log")):
            say("an engine answers")
            engine.make_base_image()
            say("the base image is there")
            secret = Path(folder, "pip.conf")
            given = engine.pip_configuration()
            secret.write_text(f"# {CANARY}\n" + (given.read_text() if given else ""))
            options = ("--secret", f"id=pip,src={secret}")
            for dockerfile, tag in (("Dockerfile.api", API_IMAGE), ("Dockerfile.worker", WORKER_IMAGE)):
                say(f"{tag} is built, in {build(dockerfile, tag, *options):.1f} s")
            for target in ("redis", "s3"):
                stand_in = "tests/containers/stand_ins/Dockerfile"
                took = build(stand_in, f"tts-farm-test-{target}", "--target", target)
                say(f"tts-farm-test-{target} is built, in {took:.1f} s")
            yield


@pytest.fixture(scope="module")
def stack(images: None, say: Say) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="tts-farm-e2e-") as folder:
        stack = Stack(Path(folder), "tts-farm-e2e")
        stack.down()  # of a run that was cut off
        try:
            began = time.monotonic()
            stack.compose("up", "--detach", "--no-build", "--scale", "worker=3")
            say(f"up with three workers, in {time.monotonic() - began:.1f} s")
            stack.until_healthy("redis", "storage", "api", "desk", "worker")
            say(f"everything is healthy, {time.monotonic() - began:.1f} s after `up`")
            yield stack
        finally:
            stack.down()
            say("torn down\n")


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[Farm]:
    with Farm(stack.url, stack.api_key) as client:
        yield client


def submit(client: Farm, pitch: float) -> Batch:
    """espeak rounds a pitch to a sixth of a semitone: one near zero is the same audio under another name, so that
    nothing comes from the cache."""
    text = "\n\n".join(PARAGRAPH.format(n=number) for number in range(3, 3 + PARAGRAPHS))
    output = Output(format="mp3")
    return client.submit_batch(
        JobRequest(input=f"Chapter {number}.\n\n{text}", pitch=pitch, output=output) for number in range(JOBS)
    )


def finish(client: Farm, id: str, *, seconds: float) -> Batch:
    seconds = patient(seconds)
    deadline = time.monotonic() + seconds
    while (batch := client.batch(id, wait=30)).status == "running":
        assert time.monotonic() < deadline, f"still running after {seconds:g} s: {batch}"
    return batch


def digests(client: Farm, batch: Batch) -> list[str]:
    jobs = list(client.batch_jobs(batch.id))
    assert [job.status for job in jobs] == ["succeeded"] * JOBS, [job.error for job in jobs]
    return [job.result.sha256 for job in jobs if job.result is not None]


@pytest.fixture(scope="module")
def undisturbed(client: Farm, say: Say) -> list[str]:
    batch = finish(client, submit(client, pitch=0).id, seconds=240)
    say(f"an undisturbed batch of {JOBS} jobs, {batch.progress.segments_total} segments has ended")
    return digests(client, batch)


def reached(client: Farm, id: str, share: float) -> Callable[[], bool]:
    def holds() -> bool:
        progress = client.batch(id).progress
        return progress.segments_done >= share * max(1, progress.segments_total)

    return holds


def test_a_batch_survives_a_killed_worker_a_restarted_redis_and_a_farm_that_shrinks(
    stack: Stack, client: Farm, undisturbed: list[str], say: Say, tmp_path: Path
) -> None:
    batch = submit(client, pitch=1e-7)
    with stack.deaths() as deaths:
        stack.until("a fifth is done", reached(client, batch.id, 0.2))
        stack.kill(stack.containers("worker")[0])
        say("kill -9 of one worker; Docker has started it again")
        stack.until("two fifths are done", reached(client, batch.id, 0.4))
        stack.compose("restart", "redis")
        say("Redis is restarted")
        stack.until("three fifths are done", reached(client, batch.id, 0.6))
        assert client.batch(batch.id).status == "running", "all was done before the end came; make the texts longer"
        stack.compose("up", "--detach", "--no-build", "--no-recreate", "--scale", "worker=1")
        assert len(stack.containers("worker")) == 1
        say("scaled to one worker")
        batch = finish(client, batch.id, seconds=240)
        say("the batch has ended")

    died = sorted((death.service, death.exit_code) for death in deaths if death.service != "prepare")
    assert died == [("redis", 0), ("worker", 0), ("worker", 0), ("worker", 137)], "two drain, and nobody else dies"
    assert digests(client, batch) == undisturbed
    assert batch.progress.segments_done == batch.progress.segments_total
    first = next(client.batch_jobs(batch.id))
    assert client.audio(first.id, tmp_path / "first.mp3").stat().st_size > 100_000, "a presigned URL that clients reach"


def test_no_container_runs_as_root(stack: Stack) -> None:
    for service in ("redis", "api", "desk", "worker"):
        for container in stack.containers(service):
            _, *processes = docker("top", container, "-eo", "uid,pid").stdout.splitlines()
            owners = {line.split()[0] for line in processes}
            assert owners, service
            assert "0" not in owners, service


def test_a_worker_says_itself_that_it_is_well(stack: Stack) -> None:
    (worker,) = stack.containers("worker")
    asked = docker("exec", worker, "python", "-m", "worker.health")
    assert asked.stdout.startswith("well: render is ready")


@pytest.mark.parametrize("image", [API_IMAGE, WORKER_IMAGE])
def test_no_image_holds_a_secret(images: None, image: str, tmp_path: Path) -> None:
    told = docker("history", "--no-trunc", image).stdout + docker("inspect", image).stdout
    assert CANARY not in told
    archive = tmp_path / "image.tar"
    docker("save", "--output", str(archive), image)
    seen = 0
    with tarfile.open(archive) as saved:
        for layer in saved:
            if not layer.name.endswith("layer.tar"):
                continue
            content = saved.extractfile(layer)
            assert content is not None
            with tarfile.open(fileobj=io.BytesIO(content.read())) as files:
                for file in files:
                    name = Path(file.name)
                    assert name.name not in {".env", "pip.conf", ".git", "id_rsa", ".netrc"} or not file.size, name
                    assert not (file.isfile() and "root/.cache" in file.name), name
                    body = files.extractfile(file) if file.isfile() and file.size < 1_000_000 else None
                    assert body is None or CANARY.encode() not in body.read(), name
                    seen += 1
    assert seen > 10_000, "the image's files were not found in the archive"


def test_a_missing_env_file_is_said_before_anything_starts() -> None:
    refused = compose("up", "--detach", project="tts-farm-e2e-bare", files=COMPOSE_FILES, check=False)
    assert refused.returncode != 0
    assert "cp compose/.env.example compose/.env" in refused.stdout + refused.stderr
    assert not docker("ps", "--quiet", "--filter", "label=com.docker.compose.project=tts-farm-e2e-bare").stdout


@pytest.mark.parametrize(
    ("service", "changed", "says"),
    [
        ("prepare", "AWS_SECRET_ACCESS_KEY=wrong", "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("prepare", "FARM_STORAGE_URL=s3://No_Such.Bucket", "create it by hand, or correct FARM_STORAGE_URL"),
        ("prepare", "FARM_API_KEY=short", "openssl rand -hex 24"),
        ("prepare", "FARM_REDIS_URL=redis://:wrong@redis:6379/0", "correct FARM_REDIS_URL"),
        ("api", "FARM_REDIS_URL=redis://:wrong@redis:6379/0", "correct FARM_REDIS_URL"),
        ("worker", "AWS_SECRET_ACCESS_KEY=wrong", "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("desk", "FARM_STORAGE_URL=s3://nobody-made-this", "create it, or correct FARM_STORAGE_URL"),
        ("worker", "FARM_MODEL=no-such-model", "no such engine"),
        ("worker", "FARM_REDIS_URL=redis://:wrong@redis:6379/0", "correct FARM_REDIS_URL"),
    ],
)
def test_a_container_with_a_wrong_setting_says_what_to_do_and_ends(
    stack: Stack, service: str, changed: str, says: str
) -> None:
    ended = stack.compose("run", "--rm", "-T", "--no-deps", "-e", changed, service, check=False)
    assert ended.returncode == MISCONFIGURED, ended.stdout + ended.stderr
    lines = [line for line in (ended.stdout + ended.stderr).splitlines() if not line.startswith(("Creating", "78"))]
    assert says in lines[-1]


def test_redis_on_a_volume_that_it_can_not_write_says_so_and_ends(stack: Stack) -> None:
    conf = ROOT / "compose"
    ended = docker(
        "run", "--rm", "--user", "redis", "--volume", f"{stack.project}_redis:/data:ro", "--env", "REDISCLI_AUTH=x",
        "--env", "REDIS_MAXMEMORY=1gb", "--volume", f"{conf}:/etc/farm:ro", "tts-farm-test-redis",
        "sh", "/etc/farm/start-redis", check=False,
    )  # fmt: skip
    assert ended.returncode == MISCONFIGURED
    assert "mount the volume 'redis' writable" in ended.stderr.splitlines()[-1]


def test_a_gpu_farm_on_a_machine_without_a_gpu_is_refused(stack: Stack) -> None:
    files = (COMPOSE_FILES[0], ROOT / "compose" / "gpu.yaml", COMPOSE_FILES[1])
    other = Stack(stack._folder, "tts-farm-e2e-gpu")
    try:
        started = other.compose(
            "up",
            "--detach",
            "--no-build",
            "--no-deps",
            "worker",
            check=False,
            files=files,
            GPU_WORKER_IMAGE=WORKER_IMAGE,
        )
        assert started.returncode != 0
        assert 'could not select device driver "nvidia"' in started.stdout + started.stderr
    finally:
        other.down()
    ended = docker("run", "--rm", "--entrypoint", "take-gpu", WORKER_IMAGE, "true", check=False)
    assert ended.returncode == MISCONFIGURED
    assert "install the NVIDIA container toolkit" in ended.stderr.splitlines()[-1]


def test_a_port_in_use_keeps_only_the_api_down(stack: Stack) -> None:
    other = Stack(stack._folder, "tts-farm-e2e-port")
    try:
        started = other.compose(
            "up", "--detach", "--no-build", "--scale", "worker=1", check=False, API_PORT=str(stack.port)
        )
        assert started.returncode != 0
        assert "port is already allocated" in started.stdout + started.stderr
        assert other.containers("redis")
        assert other.containers("storage")
    finally:
        other.down()


def test_the_farm_is_unchanged_after_all_faults(stack: Stack, client: Farm) -> None:
    stack.until_healthy("redis", "storage", "api", "desk", "worker")
    queue = client.queue()
    assert [worker.kind for worker in queue.workers].count("render") == 1
    assert all(depth.leased == 0 for depth in queue.models.values())
