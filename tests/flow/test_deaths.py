"""kill -9 in the middle of a book. The job ends, once, and its audio is bit-identical to that of an undisturbed run."""

from __future__ import annotations

import pytest

from farm.client import Farm
from farm.local import Local
from farm.wire import Job, JobRequest, Output

PARAGRAPH = (
    "The {n}th keeper of the light wrote everything down. Wind from the north, glass falling, {n} ships in the roads "
    "and none of them moving. He counted the stairs each evening, {n} of them, and each evening there was one more."
)
BOOK = "\n\n".join(PARAGRAPH.format(n=number) for number in range(3, 243))


def narrate(client: Farm, seed: int) -> Job:
    """espeak has no randomness: another seed is the same audio under another name, so nothing comes from the cache."""
    return client.submit(JobRequest(input=BOOK, seed=seed, output=Output(format="wav")))


def so_far(job: Job) -> float:
    return job.progress.segments_done / max(1, job.progress.segments_total)


@pytest.fixture(scope="module")
def undisturbed(farm: Local) -> str:
    with Farm(farm.url) as client:
        job = client.wait(narrate(client, seed=0).id)
    assert job.status == "succeeded", job.error
    assert job.result is not None
    return job.result.sha256


@pytest.mark.parametrize(
    ("seed", "child", "stage"), [(1, "render", 0.3), (2, "redis", 0.3), (3, "desk", 1.0), (4, "desk", 0.0)]
)
def test_a_book_survives_a_kill(
    client: Farm, farm: Local, undisturbed: str, seed: int, child: str, stage: float
) -> None:
    job = next(seen for seen in client.watch(narrate(client, seed).id, every=0.05) if so_far(seen) >= stage)
    assert not job.ended, "the kill came too late to prove anything; make the book longer"
    farm.replaced(child, farm.kill(child))
    job = client.wait(job.id, timeout=90)
    assert job.status == "succeeded", job.error
    assert job.result is not None
    assert job.result.sha256 == undisturbed
    assert job.progress.segments_done == job.progress.segments_total
    assert (
        job.progress.cached == 0 or child == "render"
    )  # a clip that was uploaded before its worker died is found again


def test_nothing_is_left_over_after_the_deaths(client: Farm, farm: Local, undisturbed: str) -> None:
    queue = client.queue()
    for depth in queue.models.values():
        assert depth.leased == 0
        assert sum(depth.ready.values()) == 0
    assert not any(queue.due.get(kind) for kind in ("plan", "assemble", "batch", "deliver"))
