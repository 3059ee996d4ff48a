"""Commands on submitted jobs: status, download, listen, cancel, retry, queue."""

from __future__ import annotations

import argparse

from farm.cli.screen import OK, connected, in_words, line, remark, show, table, why
from farm.cli.target import file_target
from farm.errors import BadInput
from farm.job import Lane, is_batch
from farm.settings import Settings
from farm.wire import Batch, Job, Queue


def status(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        return tell(given, farm.batch(given.id) if is_batch(given.id) else farm.job(given.id))


def download(given: argparse.Namespace) -> int:
    target = file_target(given.out or f"{given.id}.zip")
    with connected(Settings.read()) as farm:
        farm.archive(given.id, target, partial=given.partial)
    show(given, {"id": given.id, "file": str(target)}, lambda: line(str(target)))
    return OK


def listen(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        url = farm.listen(given.id)
    show(given, {"id": given.id, "url": url}, lambda: line(url))
    remark("Open it with mpv, VLC or ffplay. It needs no key for 12 hours, so whoever has it may listen to this job.")
    return OK


def cancel(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        return tell(given, farm.cancel_batch(given.id) if is_batch(given.id) else farm.cancel(given.id))


def retry(given: argparse.Namespace) -> int:
    if given.segment is None and given.seed is not None:
        raise BadInput("--seed is of one segment; name that with --segment")
    with connected(Settings.read()) as farm:
        if given.segment is None:
            return tell(given, farm.retry(given.id))
        return tell(given, farm.retry_segment(given.id, given.segment, seed=given.seed))


def queue(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        found = farm.queue()
    show(given, found, lambda: _tables(found))
    return OK


def tell(given: argparse.Namespace, found: Job | Batch) -> int:
    def plainly() -> None:
        line(f"{found.id}: {in_words(found)}")
        if isinstance(found, Job) and found.error is not None:
            line(why(found))

    show(given, found, plainly)
    return OK


def _tables(found: Queue) -> None:
    if not found.jobs:
        remark("These are your own segments: only an operator's key shows those of all tenants, and the workers.")
    else:
        line("jobs: " + (", ".join(f"{count} {status}" for status, count in found.jobs.items() if count) or "none"))
    table(
        ("model", *Lane, "rendering", "segments/s", "workers"),
        (
            (name, *(model.ready.get(lane, 0) for lane in Lane), model.leased, model.segments_per_second, model.workers)
            for name, model in sorted(found.models.items())
        ),
    )
    if not found.workers:
        return
    table(
        ("worker", "kind", "model", "device", "segments", "batch", "real-time factor"),
        (
            (one.id, one.kind, one.model, one.device, one.segments, one.batch_mean, one.real_time_factor)
            for one in found.workers
        ),
    )
