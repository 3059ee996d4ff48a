"""The desk: everything about a job that needs no GPU, taken as timed work from the store.

    batch      unfold its lines into jobs; cancel its jobs
    plan       text -> chapters -> segments; the plan goes to storage, then all segments become ready in one call
    assemble   clips -> one result (assembly.py); clips that are missing are rendered again
    deliver    webhooks (courier.py), many at a time, so that a slow receiver delays nobody
    expire     the audio goes, the record stays;   purge: the record goes;   draft: what was never accepted goes

Every task is leased, renewed while it is worked on, and safe to do twice: what counts is the store's verb at its end,
which refuses a late token.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from farm.errors import BadInput, FarmError, ObjectMissing, StorageUnavailable, StoreUnavailable
from farm.job import Due, Status, is_batch
from farm.plan import Part, Recipe, encode_plan, pages_key, plan_key, segments
from farm.removal import remove_objects
from farm.settings import Settings
from farm.spec import Order, Rendered, Spec, failure, lines_key, read_lines, read_text, success, text_key
from farm.speech import Parameter
from farm.storage import Storage
from farm.store import Store, batches, jobs, registry, tasks
from farm.wake import Waker, render_queue
from farm.wire import JobError, Model
from worker.desk.assembly import Assembler, ClipsMissing
from worker.desk.task_lease import Interrupted, TaskLease, TaskLost
from worker.webhooks.deliver import Deliverer
from worker.webhooks.post import DEADLINE_S

log = logging.getLogger(__name__)

_OFFICE = (Due.PLAN, Due.BATCH, Due.EXPIRE, Due.PURGE, Due.DRAFT)  # quick, or in slices: done one by one
_DELIVERIES = 16  # begun within the last second; who has no answer by then is waited for without holding others up
_FRESH_S = 1.0
_WAITING = round(_DELIVERIES * DEADLINE_S / _FRESH_S)  # there can't be more: the first gives up before the next begins
_ASSEMBLIES = 4
_REDOS = 5  # a bucket that loses clips as fast as they come must not keep a GPU busy for ever
_LOSING = "clips of this job keep disappearing from storage; see to the bucket or disk, then retry"
_AGAIN_MS = 5_000  # until a task is tried again that an outage interrupted
_SLICE = 2.0  # seconds of unfolding a batch before others have their turn


_Act = Callable[[tasks.Task, TaskLease], None]


class _Crew:
    """Threads for work of one kind; it knows how many of them are free. Work that is no longer fresh goes on in the
    reserve, as long as there is room, and makes place for the next."""

    def __init__(self, size: int, name: str, reserve: int = 0) -> None:
        self._size, self._reserve = size, reserve
        self._pool = ThreadPoolExecutor(size + reserve, name)
        self._began: dict[Future[None], float] = {}

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    @property
    def under_way(self) -> set[Future[None]]:
        return set(self._began)

    @property
    def free(self) -> int:
        self._began = {future: began for future, began in self._began.items() if not future.done()}
        slow = sum(time.monotonic() - began > _FRESH_S for began in self._began.values())
        return self._size + min(slow, self._reserve) - len(self._began)

    def start(self, act: Callable[[tasks.Task, _Act], None], task: tasks.Task, how: _Act) -> None:
        self._began[self._pool.submit(act, task, how)] = time.monotonic()


class Desk:
    def __init__(self, store: Store, storage: Storage, waker: Waker, settings: Settings) -> None:
        self._store, self._storage, self._waker, self._settings = store, storage, waker, settings
        self._lease_ms = round(settings.lease_seconds * 1000)
        self._assembler = Assembler(store, storage)
        self._deliverer = Deliverer(store, settings, random.random)
        self._stopping: Callable[[], bool] = lambda: False
        self._office: Mapping[Due, _Act] = {
            Due.BATCH: self._unfold,
            Due.PLAN: self._plan,
            Due.EXPIRE: self._expire,
            Due.PURGE: self._purge,
            Due.DRAFT: self._discard_draft,
        }

    def drain(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Works until nothing is due and nothing under way. When it is `stopping` it takes no more, and long work is
        put back to be done by another desk."""
        self._stopping = stopping
        with _Crew(_DELIVERIES, "deliver", _WAITING) as couriers, _Crew(_ASSEMBLIES, "assemble") as binders:
            while not stopping():
                parcels = self._take((Due.DELIVER,), couriers.free)
                for task in parcels:
                    couriers.start(self._act, task, self._deliver)
                # The last free thread is for interactive lines, which must not wait for a shelf of books.
                free = binders.free
                books = self._take((Due.ASSEMBLE,), free - 1 if free > 1 else free, express=free == 1)
                for task in books:
                    binders.start(self._act, task, self._assemble)
                tasks = self._take(_OFFICE, 1)
                for task in tasks:
                    self._act(task, self._office[task.kind])
                if not (parcels or books or tasks):
                    under_way = couriers.under_way | binders.under_way
                    if not under_way:
                        return
                    wait(under_way, timeout=0.1, return_when=FIRST_COMPLETED)

    def _take(self, kinds: tuple[Due, ...], want: int, *, express: bool = False) -> list[tasks.Task]:
        return (
            self._store.run(tasks.take(kinds, want=want, lease_ms=self._lease_ms, express=express)) if want > 0 else []
        )

    def _act(self, task: tasks.Task, act: _Act) -> None:
        try:
            with TaskLease(self._store, task, self._lease_ms, self._stopping) as lease:
                act(task, lease)
        except TaskLost:
            log.info("%s of %s is no longer ours: canceled, or with another desk", task.kind, task.id)
        except Interrupted:
            self._put_off(task, 0)
        except (StorageUnavailable, StoreUnavailable) as error:
            log.warning("%s of %s waits: %s", task.kind, task.id, error)
            self._put_off(task, _AGAIN_MS)
        except Exception:
            log.exception("%s of %s stumbled and is tried again", task.kind, task.id)
            self._put_off(task, _AGAIN_MS)

    def _put_off(self, task: tasks.Task, again_ms: int) -> None:
        try:
            self._store.run(tasks.done(task, again_ms=again_ms))
        except StoreUnavailable:
            log.debug("the lease of %s runs out instead", task.id)

    def _abort(self, task: tasks.Task, error: FarmError) -> None:
        """The job of this task fails: trying again would end the same."""
        outcome = failure(JobError(code=error.code, message=error.message))
        self._store.run(jobs.abort(task.id, task.kind, task.token, outcome))

    # --- batch ----------------------------------------------------------------------------------------------------

    def _unfold(self, task: tasks.Task, lease: TaskLease) -> None:
        batch = self._store.run(batches.record(task.id))
        if batch is None:
            self._store.run(tasks.done(task))
            return
        if batch.accepted < batch.total:
            end = time.monotonic() + _SLICE
            with self._storage.open(lines_key(batch.id)) as file:
                for order in read_lines(file, skip=batch.accepted):
                    self._accept(order, batch.id, batch.tenant)
                    if time.monotonic() > end:
                        self._put_off(task, 0)
                        return
        batch = self._store.run(batches.record(task.id))
        if batch is not None and batch.canceled:
            self._cancel_jobs(batch.id, batch.tenant)
        self._store.run(tasks.done(task))

    def _accept(self, order: Order, batch: str, tenant: str) -> None:
        if not order.inline:
            self._storage.put(text_key(order.id), order.text.encode(), "application/json")
        self._store.run(jobs.accept(jobs.NewJob.of(order, tenant, batch=batch)))

    def _cancel_jobs(self, batch: str, tenant: str) -> None:
        after: tuple[int, str] | None = None
        number = 0
        while page := self._store.run(jobs.page(tenant, batch=batch, after=after, limit=100)):
            for job in page:
                self._store.run(jobs.cancel(job.id, tenant))
            number += len(page)
            after = (number, page[-1].id)

    # --- plan -----------------------------------------------------------------------------------------------------

    def _plan(self, task: tasks.Task, lease: TaskLease) -> None:
        job = self._store.run(jobs.record(task.id))
        card = self._store.run(registry.models()).get(job.model) if job is not None else None
        if job is None or card is None:
            # A model that was announced when the job was accepted, and is not: it comes back with its worker.
            self._store.run(tasks.done(task) if job is None else tasks.done(task, again_ms=_AGAIN_MS))
            return
        try:
            total = self._write_plan(job, Model.model_validate_json(card))
        except (ObjectMissing, BadInput) as error:
            self._abort(task, error)
            return
        if self._store.run(jobs.plan(job.id, task.token, total)):
            self._waker.wake(render_queue(job.model))
        elif self._store.run(jobs.record(job.id)) is None:
            remove_objects(self._storage, job.id)  # it was deleted while it was planned

    def _write_plan(self, job: jobs.JobRecord, card: Model) -> int:
        spec = Spec.model_validate_json(job.spec)
        language = card.languages.get(spec.language)
        if language is None:
            raise BadInput(
                f"model {card.name!r} no longer speaks {spec.language!r}; submit the job anew", code="unknown_language"
            )
        recipe = Recipe(job.tenant, card.name, card.revision, spec.language, spec.manner)
        text = self._store.run(jobs.text(job.id))
        document = self._storage.get(text_key(job.id)) if text is None else text
        chapters = read_text(document)
        parts = [
            Part(chapter.title, chapter.input, *spec.speaker(chapter.voice), chapter.target_duration_ms)
            for chapter in chapters
        ]
        has_marks = Parameter.PRONUNCIATION in card.parameters
        rows = segments(
            parts, recipe, language.max_characters, spec.output.pause_ms, target_duration_ms=spec.target_duration_ms,
            has_marks=has_marks,
        )  # fmt: skip
        header, pages = encode_plan(rows, parts, recipe, sample_rate=card.sample_rate, has_marks=has_marks)
        if text is not None:  # Redis lets go of it once the job is planned; a retry plans from here
            self._storage.put(text_key(job.id), text.encode(), "application/json")
        self._storage.put(pages_key(job.id), pages, "application/gzip")
        self._storage.put(plan_key(job.id), header.to_json().encode(), "application/json")
        return header.total

    # --- assemble -------------------------------------------------------------------------------------------------

    def _assemble(self, task: tasks.Task, lease: TaskLease) -> None:
        job = self._store.run(jobs.record(task.id))
        if job is None or job.status is not Status.ASSEMBLING:
            self._store.run(tasks.done(task))
            return
        self._clear(task)
        try:
            rendered = self._assembler.assemble(job, Spec.model_validate_json(job.spec), task.token, lease.check)
        except ClipsMissing as missing:
            if job.redos == _REDOS:
                self._abort(task, ObjectMissing(_LOSING, code="clips_keep_missing"))
                return
            log.warning("%d clips of %s are missing and are rendered again", len(missing.indices), job.id)
            self._store.run(jobs.redo(job.id, task.token, missing.indices))
            self._waker.wake(render_queue(job.model))
            return
        except (ObjectMissing, BadInput) as error:
            self._abort(task, error)
            return
        if not self._store.run(jobs.finish(job.id, task.token, success(rendered))):
            log.info("assemble of %s is no longer ours; its result is dropped", job.id)
            self._discard(rendered)

    def _clear(self, task: tasks.Task) -> None:
        """Takes away what an earlier run left, such as a desk that was killed before it could finish. Listed first: a
        later desk's is not among what was there while the task was ours."""
        results = f"results/{task.id}/"
        left = [found.key for found in self._storage.list(results)]
        if not self._store.run(tasks.extend(task, self._lease_ms)):
            raise TaskLost
        self._storage.abandon(results)
        self._storage.delete(*left)

    def _discard(self, rendered: Rendered) -> None:
        """Another desk was faster, or the job was canceled meanwhile."""
        self._storage.delete(rendered.audio_key, rendered.manifest_key, *rendered.subtitles.values())

    # --- deliver, expire, purge and drafts ----------------------------------------------------------------------------

    def _deliver(self, task: tasks.Task, lease: TaskLease) -> None:
        self._deliverer.deliver(task)

    def _expire(self, task: tasks.Task, lease: TaskLease) -> None:
        remove_objects(self._storage, task.id, clips=True)
        self._store.run(jobs.expire(task.id, task.token, purge_after_s=round(self._settings.record_days * 86400)))

    def _purge(self, task: tasks.Task, lease: TaskLease) -> None:
        if is_batch(task.id):
            self._storage.delete(lines_key(task.id))
            self._store.run(batches.forget(task.id))
        else:
            self._store.run(jobs.forget(task.id))

    def _discard_draft(self, task: tasks.Task, lease: TaskLease) -> None:
        """While the task is ours, it can't be accepted any more."""
        self._storage.delete(lines_key(task.id) if is_batch(task.id) else text_key(task.id))
        self._store.run(tasks.done(task))
