"""Makes passages of jobs that are still rendered, and finds them again for their assembly.

a clip is missing or damaged      the passage is left to the assembly, which has the segment rendered again
it shares its gain with others    once all of these are made, it is due again, and brought under it (gain_group.py)
the job has ended meanwhile       its passage is deleted
the result before has it          it is taken from there, and not made (register.py)
a desk is killed                  another makes the passage; the same one, under the same name
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

from farm.errors import ClipCorrupt, ObjectMissing
from farm.job import OPEN
from farm.layout import passage_key
from farm.passages import passages
from farm.plan import Plan
from farm.plan_reader import PlanReader
from farm.segment import Segment
from farm.spec import Spec
from farm.storage import Storage
from farm.store import Store, jobs, tasks
from farm.tracing import OFF, Span, Tracing, step_of
from farm.wake import DESK_QUEUE, Waker
from farm.wire import Output
from worker.desk.gain_group import GainGroup
from worker.desk.passage import (
    Passage,
    Pieces,
    is_encoded,
    make_passage,
    names_in_result,
    read_passage,
    write_passage,
)
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
        id, number = task.id.rsplit(".", 1)
        job, place = self._store.run(jobs.record(id)), self._store.run(tasks.passage(task))
        written: list[str] = []
        again: Sequence[int] = ()
        if job is not None and job.status in OPEN and place is not None:
            with step_of(self._tracing, "passage", id, job.trace, first=place[0], segments=place[1]) as span:
                put = partial(self._put, written, span)
                try:
                    again = self._make(job, int(number), *place, put, check)
                except (ObjectMissing, ClipCorrupt) as error:
                    span.set(error=error.code)
                    log.info("passage %s waits for the assembly: %s", task.id, error)
        if self._store.run(tasks.passage_done(task, again)) or again:
            self._waker.wake(DESK_QUEUE)
        if written and not self._is_open(id):
            self._storage.delete(*written)

    def _make(
        self, job: jobs.JobRecord, number: int, first: int, count: int, put: Callable[[str, Passage], None],
        check: Callable[[], None],
    ) -> Sequence[int]:  # fmt: skip
        """Makes passage `number`, unless it is made; or brings it under the gain that it shares with others, once that
        is known. Returns the numbers of those that are to be brought under it too."""
        reader, output = PlanReader(self._storage, job.id, job.revision), Spec.model_validate_json(job.spec).output
        if first in self._kept_of(job, reader, output):
            return ()
        failed = {index for index, lost in self._store.run(jobs.attempts(job.id)).items() if lost.error is not None}
        rows = [row for row in reader.rows(first, count) if row.index not in failed]
        if not rows:
            return ()
        plan = reader.plan
        pieces = Pieces.in_plan(rows, first, count, plan, output, ends_job=first + count == plan.total)
        key = passage_key(job.id, pieces.name(plan.sample_rate, output))
        if self._storage.head(key) is None:
            put(key, make_passage(pieces, self._storage, plan.sample_rate, output, check))
        if pieces.knows_gain(output) or not is_encoded(output) or not self._may_know_gain(job.id, output):
            return ()
        group = GainGroup.around(job.id, number, pieces, reader, failed, output)
        left = group.unfinished(self._storage)
        if number in left:
            finished = group.finished(number, self._storage, check)
            if finished is None:
                return ()
            put(*finished)
        return [each for each in left if each != number]

    def _put(self, written: list[str], span: Span, key: str, passage: Passage) -> None:
        data = write_passage(passage)
        self._storage.put(key, data, synced=False)
        span.set(bytes=len(data))
        written.append(key)

    def _may_know_gain(self, id: str, output: Output) -> bool:
        """Of a gain for the whole recording nothing is known before the last segment is settled."""
        if output.gain_per_chapter:
            return True
        job = self._store.run(jobs.record(id))
        return job is not None and job.done + job.dead == job.total

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


def pieces_of(rows: Sequence[Segment], failed: Collection[int], plan: Plan, output: Output) -> list[Pieces]:
    """What the passages of a job are made of, without the segments that failed. Empty where it is joined as a whole."""
    kept = [([row for row in part if row.index not in failed], part) for part in passages(rows, output)]
    kept = [(heard, part) for heard, part in kept if heard]
    return [
        Pieces.in_plan(heard, part[0].index, len(part), plan, output, ends_job=number == len(kept))
        for number, (heard, part) in enumerate(kept, 1)
    ]


class PassageDamaged(Exception):
    """A passage that was brought under its gain is gone, or is not what was written."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def passages_of(
    job: str, every: Sequence[tuple[Pieces, str]], register: Register, finished: Container[str], storage: Storage,
    sample_rate: int, output: Output, check: Callable[[], None],
) -> Iterator[Passage]:  # fmt: skip
    """Each with its name in the result: as the result before has it; as it was brought under its gain, if its name is
    among `finished`; as it was made; or made now where it is missing or damaged. Raises RegisterDamaged and
    PassageDamaged, and as make_passage does."""

    def found(pieces: Pieces, name: str) -> Passage | None:
        chapter = pieces.rows[0].chapter
        if name in register:
            return register.passage(name, chapter)
        is_finished = name in finished
        key = passage_key(job, name if is_finished else pieces.name(sample_rate, output))
        try:
            passage = read_passage(storage.get(key), chapter)
        except ObjectMissing:
            passage = None
        if passage is None and is_finished:
            raise PassageDamaged(key)
        return passage

    with ThreadPoolExecutor(_FETCHED, "passage") as pool:
        wanted = iter(every)
        ahead = [pool.submit(found, *each) for each in islice(wanted, _FETCHED)]
        for pieces, _ in every:
            passage = ahead.pop(0).result()
            ahead += [pool.submit(found, *each) for each in islice(wanted, 1)]
            yield passage or make_passage(pieces, storage, sample_rate, output, check)
            check()
