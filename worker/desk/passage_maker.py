"""Makes passages of jobs that are still rendered, and finds them again for their assembly.

a clip is missing or damaged      the passage is left to the assembly, which has the segment rendered again
the job has ended meanwhile       its passage is deleted
a desk is killed                  another makes the passage; the same one, under the same name
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from farm.errors import ClipCorrupt, ObjectMissing
from farm.job import OPEN
from farm.layout import passage_key
from farm.plan import Plan, Segment
from farm.plan_reader import PlanReader
from farm.spec import Spec
from farm.storage import Storage
from farm.store import Store, jobs, tasks
from farm.tracing import OFF, Span, Tracing, step_of
from farm.wake import DESK_QUEUE, Waker
from farm.wire import Output
from worker.desk.passage import Passage, Pieces, make_passage, read_passage, write_passage

log = logging.getLogger(__name__)

_FETCHED = 2  # ahead of the one that is joined


class PassageMaker:
    def __init__(self, store: Store, storage: Storage, waker: Waker, tracing: Tracing = OFF) -> None:
        self._store, self._storage, self._waker, self._tracing = store, storage, waker, tracing

    def make(self, task: tasks.Task, check: Callable[[], None]) -> None:
        """`check` is called now and then; an exception from it ends the work."""
        id, _ = task.id.rsplit(".", 1)
        job, place = self._store.run(jobs.record(id)), self._store.run(tasks.passage(task))
        key = None
        if job is not None and job.status in OPEN and place is not None:
            with step_of(self._tracing, "passage", id, job.trace, first=place[0], segments=place[1]) as span:
                try:
                    key = self._put(job, *place, check, span)
                except (ObjectMissing, ClipCorrupt) as error:
                    span.set(error=error.code)
                    log.info("passage %s waits for the assembly: %s", task.id, error)
        if self._store.run(tasks.passage_done(task)):
            self._waker.wake(DESK_QUEUE)
        elif key is not None and not self._is_open(id):
            self._storage.delete(key)

    def _put(self, job: jobs.JobRecord, first: int, count: int, check: Callable[[], None], span: Span) -> str | None:
        """The key of a new object; None where there is one."""
        reader, output = PlanReader(self._storage, job.id, job.revision), Spec.model_validate_json(job.spec).output
        lost = self._store.run(jobs.attempts(job.id))
        rows = [row for row in reader.rows(first, count) if lost.get(row.index, jobs.Lost()).error is None]
        if not rows:
            return None
        pieces = passage_pieces(rows, first, count, reader.plan, output, ends_job=first + count == reader.plan.total)
        key = passage_key(job.id, pieces.name(reader.plan.sample_rate, output))
        if self._storage.head(key) is not None:
            return None
        passage = make_passage(pieces, self._storage, reader.plan.sample_rate, output, check)
        written = write_passage(passage)
        self._storage.put(key, written, synced=False)
        span.set(bytes=len(written))
        return key

    def _is_open(self, id: str) -> bool:
        job = self._store.run(jobs.record(id))
        return job is not None and job.status in OPEN


def passage_pieces(
    heard: Sequence[Segment], first: int, count: int, plan: Plan, output: Output, *, ends_job: bool
) -> Pieces:
    """What the passage is made of that begins with segment `first`, by those of its segments that did not fail."""
    chapter = plan.chapters[heard[0].chapter]
    return Pieces.of(
        heard, output.pause_ms, ends_job=ends_job, begins_chapter=first == chapter.first,
        ends_chapter=first + count == chapter.first + chapter.count,
    )  # fmt: skip


def passages_of(
    job: str, every: Sequence[Pieces], storage: Storage, sample_rate: int, output: Output, check: Callable[[], None]
) -> Iterator[Passage]:
    """As they were made, or made now where one is missing or damaged. Raises as make_passage does."""
    keys = [passage_key(job, pieces.name(sample_rate, output)) for pieces in every]

    def found(key: str, pieces: Pieces) -> Passage | None:
        try:
            return read_passage(storage.get(key), pieces.rows[0].chapter)
        except ObjectMissing:
            return None

    with ThreadPoolExecutor(_FETCHED, "passage") as pool:
        wanted = zip(keys, every, strict=True)
        ahead = [pool.submit(found, *each) for each in islice(wanted, _FETCHED)]
        for pieces in every:
            passage = ahead.pop(0).result()
            ahead += [pool.submit(found, *each) for each in islice(wanted, 1)]
            yield passage or make_passage(pieces, storage, sample_rate, output, check)
            check()
