"""Progress bars for jobs and batches: on a terminal alone, scripts see none."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from farm.cli.screen import duration
from farm.client import Farm
from farm.job import OPEN
from farm.wire import Batch, Job

STEP_S = 1.0  # how long one look waits for a job's end


def follow_jobs(farm: Farm, jobs: Mapping[str, str], console: Console, timeout: float | None = None) -> dict[str, Job]:
    """Shows a bar per job (id -> label) until all have ended, and returns them by id. Raises TimeoutError."""
    until = math.inf if timeout is None else time.monotonic() + timeout
    seen: dict[str, Job] = {}
    with _bars(console) as bars:
        rows = {id: bars.add_task(label, total=100.0, note="submitted") for id, label in jobs.items()}
        while waiting := [id for id in jobs if id not in seen or not seen[id].ended]:
            _in_time(until, waiting[0])
            for id in waiting:
                job = seen[id] = farm.job(id, wait=STEP_S if id == waiting[0] and id in seen else 0)
                bars.update(rows[id], completed=job.progress.percent, note=_job_note(job))
    return seen


def follow_batch(farm: Farm, id: str, console: Console, timeout: float | None = None) -> Batch:
    """One bar over all jobs of a batch, until it has ended. Raises TimeoutError."""
    until = math.inf if timeout is None else time.monotonic() + timeout
    with _bars(console) as bars:
        batch = farm.batch(id)
        row = bars.add_task(id, total=100.0, note="submitted")
        while True:
            bars.update(row, completed=batch.progress.percent, note=_batch_note(batch))
            if batch.ended_at is not None:
                return batch
            _in_time(until, id)
            batch = farm.batch(id, wait=STEP_S)


def _in_time(until: float, id: str) -> None:
    if time.monotonic() >= until:
        raise TimeoutError(f"{id} has not ended in time")


# A bar, a name and a note share the 80 columns of a plain terminal, so a note has no more than 30.


def _job_note(job: Job) -> str:
    if job.result is not None:
        return f"{duration(job.result.duration_seconds)} of audio"
    return str(job.status) + _left(job.eta_seconds, job.ended)


def _batch_note(batch: Batch) -> str:
    done = batch.total - sum(batch.counts.get(status, 0) for status in OPEN)
    return f"{done} of {batch.total} jobs" + _left(batch.eta_seconds, batch.ended_at is not None)


def _left(seconds: float | None, ended: bool) -> str:
    return "" if seconds is None or ended else f", about {duration(seconds)} left"


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        disable=not console.is_terminal,
        refresh_per_second=5,
    )
