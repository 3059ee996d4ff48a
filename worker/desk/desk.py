"""The desk: every step of a job but the rendering, taken as timed work from the store.

    batch      the lines of a batch become jobs                                     batch.py
    plan       text -> chapters -> segments, which all become ready in one call     plan.py; long ones: long_plans.py
    passage    a stretch of a long job is joined and encoded while others render    passage_maker.py
    assemble   clips -> one result; missing clips are rendered again                assembly.py
    deliver    one attempt of a webhook                                             worker/webhooks/deliver.py
    expire     the audio of a job is deleted, its record stays                      retention.py
    retire     the result of an earlier revision is deleted                         retention.py
    purge      the record is deleted                                                retention.py
    delete     the jobs of a deleted batch, then the batch                          retention.py
    sweep      recordings of voices that nobody needs any more are deleted          recordings.py
    document   an upload is read in a process of its own; later it is deleted           documents.py
    draft      a text that was never accepted is deleted                            retention.py

Every task is leased, renewed while it is worked on, and safe to do twice. Only the store's verb at its end counts, and
that verb refuses a late token.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, wait
from functools import partial

from farm import logs
from farm.errors import StorageUnavailable, StoreUnavailable
from farm.job import Due
from farm.settings import Settings
from farm.storage import Storage
from farm.store import Store, tasks
from farm.tracing import OFF, Tracing
from farm.wake import Waker
from worker.desk.assembly import Assembler
from worker.desk.backoff import Backoff
from worker.desk.batch import Unfolder
from worker.desk.crew import FRESH_S, Crew
from worker.desk.documents import Documents, tenant_of
from worker.desk.long_plans import LongPlans, PlanProcesses
from worker.desk.passage_maker import PassageMaker
from worker.desk.plan import Planner
from worker.desk.recordings import Recordings
from worker.desk.retention import Retention
from worker.desk.task_lease import Interrupted, TaskLease, TaskLost
from worker.webhooks.deliver import Deliverer
from worker.webhooks.post import DEADLINE_S

log = logging.getLogger(__name__)

_QUICK = (
    Due.PLAN,
    Due.BATCH,
    Due.EXPIRE,
    Due.RETIRE,
    Due.PURGE,
    Due.DELETE,
    Due.SWEEP,
    Due.DRAFT,
)  # quick, or in slices: done one by one
_DELIVERIES = 16  # begun within the last second; a slower one is waited for without holding others up
_SLOW_DELIVERIES = round(_DELIVERIES * DEADLINE_S / FRESH_S)  # at most: each gives up after its deadline
_ASSEMBLIES = 4
_PASSAGES = 2  # each holds some 70 MB, and keeps a core busy
_DOCUMENTS = 3  # each has a process of up to 1 GB
_OF_ONE_TENANT = 2  # documents
_NO_PLACE_MS = 1_000  # until a long text or a document is looked at again for which there was no place
_AGAIN_MS = 5_000  # until a task is tried again that an outage interrupted


def _never() -> bool:
    return False


class Desk:
    def __init__(
        self, store: Store, storage: Storage, waker: Waker, settings: Settings, processes: PlanProcesses | None = None,
        tracing: Tracing = OFF,
    ) -> None:  # fmt: skip
        self._store, self._tracing = store, tracing
        self._backoff = Backoff()
        self._lease_ms = round(settings.lease_seconds * 1000)
        self._processes = processes or PlanProcesses()
        self._planner = Planner(store, storage, waker, self._processes, tracing)
        assembler = Assembler(store, storage, waker, self._lease_ms, tracing)
        self._checking: Mapping[Due, Callable[[tasks.Task, Callable[[], None]], None]] = {
            Due.PLAN: self._planner.plan,
            Due.PASSAGE: PassageMaker(store, storage, waker, tracing).make,
            Due.ASSEMBLE: assembler.assemble,
            Due.DOCUMENT: Documents(store, storage).act,
        }
        retention = Retention(store, storage, settings.record_days)
        self._handlers: Mapping[Due, Callable[[tasks.Task], None]] = {
            Due.BATCH: Unfolder(store, storage, tracing).unfold,
            Due.DELIVER: Deliverer(store, storage, settings, random.random, tracing).deliver,
            Due.EXPIRE: retention.expire,
            Due.RETIRE: retention.retire,
            Due.PURGE: retention.purge,
            Due.DELETE: retention.delete,
            Due.SWEEP: Recordings(store, storage).sweep,
            Due.DRAFT: retention.discard_draft,
        }

    def drain(self, stopping: Callable[[], bool] = _never) -> None:
        """Works until nothing is due and nothing under way. Once `stopping`, it takes no more tasks, and puts long work
        back for another desk."""
        act = partial(self._act, stopping=stopping)
        with (
            Crew(_DELIVERIES, "deliver", _SLOW_DELIVERIES) as deliveries,
            Crew(_ASSEMBLIES, "assemble") as assemblies,
            Crew(_PASSAGES, "passage") as passages,
            LongPlans(self._processes) as plans,
            Crew(_DOCUMENTS, "document") as documents,
        ):
            while not stopping():
                # Looked at before what is due: what ends meanwhile may make more due.
                crews = deliveries.under_way | assemblies.under_way | passages.under_way | documents.under_way
                under_way = crews | plans.under_way
                webhooks = self._take((Due.DELIVER,), deliveries.free)
                deliveries.start(act, webhooks)
                # The last free thread is for interactive jobs, which must not wait for several books.
                free = assemblies.free
                results = self._take((Due.ASSEMBLE,), free - 1 if free > 1 else free, express=free == 1)
                assemblies.start(act, results)
                uploads = list(self._with_place(self._take((Due.DOCUMENT,), documents.free), documents.at_work))
                documents.start(act, uploads)
                stretches = self._take((Due.PASSAGE,), passages.free)
                passages.start(act, stretches)
                quick = self._take(_QUICK, 1)
                for task in quick:
                    self._begin(act, task, plans)
                if not (webhooks or results or uploads or stretches or quick):
                    if not under_way:
                        return
                    wait(under_way, timeout=0.1, return_when=FIRST_COMPLETED)

    def _begin(self, act: Callable[[tasks.Task], None], task: tasks.Task, plans: LongPlans) -> None:
        """Does a quick task, or hands a long plan over."""
        try:
            owner = self._planner.owner_of_long(task) if task.kind is Due.PLAN else None
        except StoreUnavailable as error:
            log.warning("%s of %s waits: %s", task.kind, task.id, error)
            return  # until its lease runs out
        if owner is None:
            act(task)
        elif not plans.start(act, task, owner):
            self._put_off(task, _NO_PLACE_MS)

    def _with_place(self, uploads: list[tasks.Task], under_way: list[tasks.Task]) -> Iterator[tasks.Task]:
        """Few documents at once are of one tenant, so that whoever uploads a hundred leaves a place for another's."""
        begun = Counter(tenant_of(task) for task in under_way)
        for task in uploads:
            begun[tenant_of(task)] += 1
            if begun[tenant_of(task)] > _OF_ONE_TENANT:
                self._put_off(task, _NO_PLACE_MS)
            else:
                yield task

    def _take(self, kinds: tuple[Due, ...], want: int, *, express: bool = False) -> list[tasks.Task]:
        if want == 0:
            return []
        return self._store.run(tasks.take(kinds, want=want, lease_ms=self._lease_ms, express=express))

    def close(self) -> None:
        self._tracing.close()

    def _act(self, task: tasks.Task, stopping: Callable[[], bool]) -> None:
        with logs.about(**logs.ids_of(task.id)):
            self._try(task, stopping)

    def _try(self, task: tasks.Task, stopping: Callable[[], bool]) -> None:
        try:
            with TaskLease(self._store, task, self._lease_ms, stopping) as lease:
                if task.kind in self._checking:
                    self._checking[task.kind](task, lease.check)
                else:
                    self._handlers[task.kind](task)
        except TaskLost:
            log.info("%s of %s is no longer ours: canceled, or with another desk", task.kind, task.id)
        except Interrupted:
            self._put_off(task, 0)
        except (StorageUnavailable, StoreUnavailable) as error:
            log.warning("%s of %s waits: %s", task.kind, task.id, error)
            self._put_off(task, _AGAIN_MS)
        except Exception as error:
            self._put_off(task, self._wait_after(task, error))
        else:
            self._backoff.succeeded(task)

    def _wait_after(self, task: tasks.Task, error: Exception) -> int:
        """Milliseconds. The log has the traceback of the first failure, and a line for each further one."""
        count, again_ms = self._backoff.failed(task)
        log.error(
            "%s of %s failed for the %d. time and is tried again in %d s: %r",
            *(task.kind, task.id, count, again_ms // 1000, error), exc_info=error if count == 1 else None,
        )  # fmt: skip
        return again_ms

    def _put_off(self, task: tasks.Task, again_ms: int) -> None:
        try:
            self._store.run(tasks.done(task, again_ms=again_ms))
        except StoreUnavailable:
            log.debug("the lease of %s runs out instead", task.id)
