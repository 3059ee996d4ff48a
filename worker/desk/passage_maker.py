"""Makes passages of jobs that are still rendered, and finds them again for their assembly.

a clip is missing or damaged      the passage is left to the assembly, which has the segment rendered again
the job has ended meanwhile       its passage is deleted
the result before has it          it is taken from there, and not made (register.py)
a desk is killed                  another makes the passage; the same one, under the same name
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from farm.errors import ClipCorrupt, ObjectMissing
from farm.job import OPEN
from farm.layout import passage_key
from farm.passages import passages
from farm.plan import Plan, Segment
from farm.plan_reader import PlanReader
from farm.spec import Spec
from farm.storage import Storage
from farm.store import Store, jobs, tasks
from farm.tracing import OFF, Span, Tracing, step_of
from farm.wake import DESK_QUEUE, Waker
from farm.wire import Output
from worker.desk.passage import Passage, Pieces, make_passage, names_in_result, read_passage, write_passage
from worker.desk.register import Register

log = logging.getLogger(__name__)

_FETCHED = 2  # ahead of the one that is joined
_REMEMBERED = 7  # jobs beside the one at hand: a process makes passages of a few at a time


class PassageMaker:
    def __init__(self, store: Store, storage: Storage, waker: Waker, tracing: Tracing = OFF) -> None:
        self._store, self._storage, self._waker, self._tracing = store, storage, waker, tracing
        self._kept: dict[tuple[str, int], frozenset[int]] = {}  # job and revision -> see _kept_of

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
        if first in self._kept_of(job, reader, output):
            return None
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

    def _kept_of(self, job: jobs.JobRecord, reader: PlanReader, output: Output) -> frozenset[int]:
        """The first segments of the passages that the result before has. One of which a segment fails is another one,
        and left to the assembly."""
        if job.revision == 1:
            return frozenset()
        of = job.id, job.revision
        if of not in self._kept:
            register = Register.before(self._store, self._storage, job.id, job.revision)
            every = pieces_of(list(reader.rows()), frozenset(), reader.plan, output)
            names = names_in_result(every, reader.plan.sample_rate, output)
            kept = frozenset(
                pieces.rows[0].index for pieces, name in zip(every, names, strict=True) if name in register
            )
            self._kept = {**dict(list(self._kept.items())[-_REMEMBERED:]), of: kept}
        return self._kept[of]

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


def pieces_of(rows: Sequence[Segment], failed: Collection[int], plan: Plan, output: Output) -> list[Pieces]:
    """What the passages of a job are made of, without the segments that failed. Empty where it is joined as a whole."""
    kept = [([row for row in part if row.index not in failed], part) for part in passages(rows, output)]
    kept = [(heard, part) for heard, part in kept if heard]
    return [
        passage_pieces(heard, part[0].index, len(part), plan, output, ends_job=number == len(kept))
        for number, (heard, part) in enumerate(kept, 1)
    ]


def passages_of(
    job: str, every: Sequence[tuple[Pieces, str]], register: Register, storage: Storage, sample_rate: int,
    output: Output, check: Callable[[], None],
) -> Iterator[Passage]:  # fmt: skip
    """Each with its name in the result: as the result before has it, as it was made, or made now where it is missing or
    damaged. Raises RegisterDamaged, and as make_passage does."""

    def found(pieces: Pieces, name: str) -> Passage | None:
        chapter = pieces.rows[0].chapter
        if name in register:
            return register.passage(name, chapter)
        try:
            return read_passage(storage.get(passage_key(job, pieces.name(sample_rate, output))), chapter)
        except ObjectMissing:
            return None

    with ThreadPoolExecutor(_FETCHED, "passage") as pool:
        wanted = iter(every)
        ahead = [pool.submit(found, *each) for each in islice(wanted, _FETCHED)]
        for pieces, _ in every:
            passage = ahead.pop(0).result()
            ahead += [pool.submit(found, *each) for each in islice(wanted, 1)]
            yield passage or make_passage(pieces, storage, sample_rate, output, check)
            check()
