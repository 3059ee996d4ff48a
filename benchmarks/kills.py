"""The same book, the same engine, the same SIGKILLs: this farm against plain Celery with one message per segment.

    python -m benchmarks.kills [--segments 2000] [--kills 20]          goal: the farm loses nothing

One render worker each, on one machine, one after the other. Each kill takes the worker and everything that it started,
at a moment when it is busy, and it is started again at once. The farm has its default lease of 10 s; Celery has a
visibility timeout of 10 s as well, far below its default of an hour, which is right only because segments are quick.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from benchmarks import plain_celery
from benchmarks.redis_server import redis_server
from farm.client import Farm
from farm.embedded.child import Child, Program
from farm.embedded.supervisor import Local
from farm.wire import JobRequest, Output

LEASE_S = 10
_PATIENCE_S = 90  # without a settled segment, after which what is missing counts as lost
_SENTENCE = "The {n}th keeper of the light wrote everything down, and {n} ships lay in the roads that evening."


@dataclass
class Outcome:
    """What came of one run."""

    rendered: int = 0
    lost: int = 0
    again: int = 0  # renders beyond the first of a segment
    resumed: list[float] = field(default_factory=list)  # seconds from each kill until something was settled
    whole_s: float | None = None  # from the last kill until the last segment; None: never


def disturb(done: Callable[[], int], kill: Callable[[], None], *, total: int, kills: int, outcome: Outcome) -> None:
    """Kills spread over the whole, each after a random further part of it is done; then waits for the rest."""
    draw = random.Random(7)
    for number in range(kills):
        mark = (number + draw.uniform(0.2, 0.8)) * total / (kills + 1)
        _reached(done, mark)
        killed = time.monotonic()
        kill()
        if _reached(done, done() + 1):  # above what it had settled until then
            outcome.resumed.append(time.monotonic() - killed)
    last = time.monotonic()
    count, moved = done(), time.monotonic()
    while count < total and time.monotonic() - moved < _PATIENCE_S:
        time.sleep(0.05)  # neither side tells when a segment is settled
        if (now := done()) > count:
            count, moved = now, time.monotonic()
    outcome.rendered, outcome.lost = count, total - count
    outcome.whole_s = moved - last if count >= total else None


def by_farm(texts: list[str], kills: int, folder: Path) -> Outcome:
    outcome = Outcome()
    environment = {"FARM_LEASE_SECONDS": str(LEASE_S)}
    with Local(folder, environment=environment) as local, Farm(local.url) as client:
        job = client.submit(JobRequest(input="\n\n".join(texts), output=Output(format="wav")))

        def done() -> int:
            return client.job(job.id).progress.segments_done

        def kill() -> None:
            _kill_family(local.pid("render"))

        _until(lambda: client.job(job.id).progress.segments_total > 0)
        total = client.job(job.id).progress.segments_total
        disturb(done, kill, total=total, kills=kills, outcome=outcome)
        ended = client.wait(job.id, timeout=120)
        if ended.status == "succeeded":
            rows = client.manifest(job.id)["segments"]
            outcome.again = sum(max(0, row["attempts"] - 1) for row in rows)
        else:
            outcome.lost = max(1, outcome.lost)
    return outcome


def by_celery(texts: list[str], kills: int, folder: Path) -> Outcome:
    outcome = Outcome()
    for name in ("run", "logs"):
        (folder / name).mkdir(parents=True)
    with redis_server() as url, closing(redis.Redis.from_url(url)) as client:
        environment = {
            **os.environ, "PLAIN_BROKER_URL": url, "PLAIN_STORAGE_URL": (folder / "storage").as_uri(),
            "PLAIN_VISIBILITY_S": str(LEASE_S), "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        plain_celery.app.conf.update(broker_url=url)
        for index, text in enumerate(texts):
            plain_celery.render.delay(index, text)
        command = (
            sys.executable,
            "-m",
            "celery",
            "-A",
            "benchmarks.plain_celery",
            "worker",
            "-P",
            "prefork",
            "-c",
            "1",
        )
        worker = Child(Program("celery", command, environment), folder / "run", folder / "logs", _give_up)
        worker.start()
        disturb(
            lambda: len(set(client.lrange(plain_celery.DONE, 0, -1))),
            lambda: _kill_family(worker.pid),
            total=len(texts), kills=kills, outcome=outcome,
        )  # fmt: skip
        outcome.again = int(client.llen(plain_celery.DONE)) - outcome.rendered
        worker.end()
        worker.join(time.monotonic() + 10)
    return outcome


def _kill_family(pid: int | None) -> None:
    """The worker and what it started, at once: as when a machine or a container is gone."""
    if pid is None:
        return
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGKILL)


def _give_up(error: Exception) -> None:
    raise SystemExit(str(error))


def _reached(done: Callable[[], int], count: float) -> bool:
    return _until(lambda: done() >= count)


def _until(holds: Callable[[], bool], within: float = _PATIENCE_S) -> bool:
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _row(name: str, outcome: Outcome) -> str:
    times = sorted(outcome.resumed)
    resumed = f"{times[len(times) // 2]:.1f} s, {times[-1]:.1f} s" if times else "-"
    whole = "never" if outcome.whole_s is None else f"{outcome.whole_s:.1f} s"
    return f"{name:<14}{outcome.rendered:>9}{outcome.lost:>6}{outcome.again:>16}{resumed:>22}{whole:>22}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    given = parser.parse_args()
    texts = [_SENTENCE.format(n=n) for n in range(3, given.segments + 3)]
    print(f"{given.segments} segments, {given.kills} kills, lease and visibility timeout {LEASE_S} s")
    print(f"{'':<14}{'rendered':>9}{'lost':>6}{'rendered again':>16}{'at work after':>22}{'whole after':>22}")
    print(f"{'':<14}{'':>9}{'':>6}{'':>16}{'median, slowest':>22}{'the last kill':>22}")
    with tempfile.TemporaryDirectory() as folder:
        farm = by_farm(texts, given.kills, Path(folder, "farm"))
        print(_row("this farm", farm), flush=True)
        print(_row("plain Celery", by_celery(texts, given.kills, Path(folder, "celery"))), flush=True)
    return 1 if farm.lost else 0


if __name__ == "__main__":
    sys.exit(main())
