"""The whole farm in one go: a batch of texts becomes audio files, a signed webhook says when, and a book becomes an
audiobook.

    python examples/demo.py                   starts an embedded farm in ./data, saves to ./out, stops what it started
    python examples/demo.py --model kokoro    the same in a natural voice, which takes minutes of all cores

Run it twice: the second run finds every clip in the cache and renders nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from book import make
from receiver import Receiver
from rich.console import Console

from farm.cli.manuscript import chapters
from farm.cli.progress import follow_jobs
from farm.cli.screen import duration, why
from farm.client import Farm
from farm.embedded.data_folder import webhook_secret
from farm.embedded.supervisor import Local
from farm.errors import FarmError
from farm.job import DEFAULT_TENANT
from farm.webhooks.secrets import secret_for
from farm.wire import Batch, Job, JobOptions, JobRequest, Webhook

TEXTS = Path(__file__).parent / "texts"
ACCEPT_S = 60  # until the desk has unfolded the batch
WEBHOOK_S = 30

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--data", type=Path, default=Path("data"), help="the farm's folder (./data)")
    options.add_argument("--out", type=Path, default=Path("out"), help="where the audio goes (./out)")
    options.add_argument("--model", default="espeak", help="the engine (espeak)")
    given = options.parse_args()
    try:
        given.out.mkdir(parents=True, exist_ok=True)
        console.print(f"Starting Redis, the API, a render worker and a desk worker in {given.data}/ ...", markup=False)
        with Local(given.data, model=given.model, workers=None) as local:
            secret = secret_for(DEFAULT_TENANT, webhook_secret(local.data))
            with Receiver(secret) as receiver, Farm(local.url) as farm:
                good = narrate_all(farm, receiver, given.out) and narrate_book(farm, given.out)
        console.print("Everything that was started is stopped.")
        if given.model == "espeak":
            console.print("To hear a natural voice: make demo MODEL=kokoro (fetches 121 MB, renders for minutes)")
    except (FarmError, OSError) as error:  # TimeoutError as well
        console.print(f"demo: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0 if good else 1


def narrate_all(farm: Farm, receiver: Receiver, out: Path) -> bool:
    began = time.monotonic()
    of_jobs = {"url": receiver.url, "events": ["job.succeeded", "job.failed"]}
    batch = farm.submit_batch(
        spoken_here(farm),
        defaults=JobOptions.model_validate({"webhook": of_jobs}),
        webhook=Webhook.model_validate({"url": receiver.url, "events": ["batch.completed"]}),
    )
    console.print(f"{batch.id} is accepted, {batch.total} jobs: {batch.status_url}\n", markup=False)
    jobs = unfolded(farm, batch)
    ended = follow_jobs(farm, {job.id: job.custom_id or job.id for job in jobs}, console)
    seconds = time.monotonic() - began

    finished = [job for job in ended.values() if job.result is not None]
    for job in finished:
        farm.audio(job.id, out / file_name(job))
    for job in ended.values():
        if job.result is None:
            console.print(why(job), style="red", markup=False)
    heard = receiver.wait_for(lambda events: has_heard(events, batch, jobs), WEBHOOK_S)
    report(finished, out, seconds)
    console.print(
        f"Webhooks: {len(receiver.events)} received, every signature verified.", style=None if heard else "red"
    )
    if not heard:
        console.print(f"A webhook of {batch.id} or of its jobs did not come.", style="red")
    return heard and len(finished) == batch.total


def narrate_book(farm: Farm, out: Path) -> bool:
    """An EPUB becomes an M4B, with its chapters and its cover."""
    source = out / "lighthouse.epub"
    make.write(source)
    document = farm.add_document(source)
    wanted = JobRequest.model_validate(
        {"custom_id": "lighthouse", "document": {"id": document.id}, "output": {"format": "m4b"}}
    )
    job = farm.wait(farm.submit(wanted).id)
    if job.result is None:
        console.print(why(job), style="red", markup=False)
        return False
    target = farm.audio(job.id, out / file_name(job))
    included = sum(chapter.included for chapter in document.chapters)
    console.print(
        f"\n{target}: an audiobook of {duration(job.result.duration_seconds)} in {included} chapters, with a cover,\n"
        f"    from {source}",
        markup=False,
    )
    return True


def spoken_here(farm: Farm) -> list[JobRequest]:
    """The orders in languages that some engine of this farm speaks."""
    known = {language for model in farm.models() for language in model.languages}
    for order in orders():
        if order.language not in known:
            console.print(f"{order.custom_id} is left out: no engine here speaks {order.language}", markup=False)
    return [order for order in orders() if order.language in known]


def orders() -> list[JobRequest]:
    """A long story, a course with chapters, and texts in two more languages."""
    course = chapters((TEXTS / "how-sound-travels.md").read_text("utf-8"))
    wanted: list[dict[str, object]] = [
        {
            "custom_id": "the-lamp-keeper",
            "input": (TEXTS / "the-lamp-keeper.txt").read_text("utf-8"),
            "language": "en-gb",
            "output": {"format": "mp3", "loudness_lufs": -18, "subtitles": ["vtt"]},
        },
        {
            "custom_id": "how-sound-travels",
            "chapters": [{"title": part.title, "input": part.text} for part in course],
            "language": "en-us",
            "output": {"format": "opus"},
        },
        {
            "custom_id": "der-brunnen",
            "input": (TEXTS / "der-brunnen.txt").read_text("utf-8"),
            "language": "de",
            "speed": 0.95,
            "output": {"format": "flac"},
        },
        {
            "custom_id": "yu-zhong-de-che-zhan",
            "input": (TEXTS / "yu-zhong-de-che-zhan.txt").read_text("utf-8"),
            "language": "cmn",
            "output": {"format": "mp3"},
        },
    ]
    return [JobRequest.model_validate(job) for job in wanted]


def unfolded(farm: Farm, batch: Batch) -> list[Job]:
    """The jobs of the batch, once the desk has made them."""
    deadline = time.monotonic() + ACCEPT_S
    while True:
        jobs = list(farm.batch_jobs(batch.id))
        if len(jobs) == batch.total:
            return jobs
        if time.monotonic() > deadline:
            raise TimeoutError(f"{batch.id} was not unfolded within {ACCEPT_S} s")
        farm.batch(batch.id, wait=0.2)


def has_heard(events: list[dict[str, object]], batch: Batch, jobs: list[Job]) -> bool:
    """Whether every job's webhook has come, and the batch's."""
    return len(events) > len(jobs) and any(event["type"] == "batch.completed" for event in events)


def file_name(job: Job) -> str:
    return f"{job.custom_id}.{job.result.format if job.result else ''}"


def report(jobs: list[Job], out: Path, seconds: float) -> None:
    audio = 0.0
    console.print()
    for job in jobs:
        if job.result is not None:
            audio += job.result.duration_seconds
            console.print(
                f"{out / file_name(job)}: {duration(job.result.duration_seconds)}, {job.result.bytes / 1e6:.1f} MB\n"
                f"    {job.status_url}",
                markup=False,
            )
    total = sum(job.progress.segments_total for job in jobs)
    cached = sum(job.progress.cached for job in jobs)
    console.print(f"\n{cached} of {total} segments from the clip cache.")
    if audio:
        console.print(
            f"{duration(audio)} of audio in {seconds:.1f} s: real-time factor {seconds / audio:.4f}, "
            f"{audio / seconds:.0f} times as fast as speech."
        )


if __name__ == "__main__":
    sys.exit(main())
