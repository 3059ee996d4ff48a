"""Plans a job: its text becomes chapters and segments, the plan goes to storage, and then all segments become ready in
one call of the store. So a job that is planned twice, or halfway, is still planned once."""

from __future__ import annotations

from collections.abc import Callable

from farm.errors import BadInput, ObjectMissing
from farm.layout import pages_key, plan_key, text_key
from farm.plan_order import PlanFiles, PlanOrder, make_plan
from farm.removal import remove_objects
from farm.spec import Spec
from farm.storage import Storage
from farm.store import Store, jobs, registry, tasks
from farm.stored_lexicons import stored_lexicons
from farm.text_document import stored_text_key
from farm.tracing import OFF, Span, Tracing, step_of
from farm.wake import Waker, render_queue
from worker.desk.failure import fail_job
from worker.desk.long_plans import Owner, PlanProcesses

SHORT_CHARACTERS = 20_000
_MODEL_AWAY_MS = 5_000  # until a job is looked at again whose model is not announced


class Planner:
    def __init__(
        self, store: Store, storage: Storage, waker: Waker, processes: PlanProcesses, tracing: Tracing = OFF
    ) -> None:
        self._store, self._storage, self._waker, self._processes = store, storage, waker, processes
        self._tracing = tracing

    def owner_of_long(self, task: tasks.Task) -> Owner | None:
        """Whose long text the task is about to plan; None for a short one."""
        job = self._store.run(jobs.record(task.id))
        return None if job is None or not is_long(job) else (job.tenant, job.lane)

    def plan(self, task: tasks.Task, check: Callable[[], None]) -> None:
        """`check` is called while a long text is planned, and ends that by what it raises."""
        job = self._store.run(jobs.record(task.id))
        if job is None:
            self._store.run(tasks.done(task))
            return
        card = self._store.run(registry.models()).get(job.model)
        if card is None:  # the model was announced when the job was accepted, and comes back with its worker
            self._store.run(tasks.done(task, again_ms=_MODEL_AWAY_MS))
            return
        with step_of(self._tracing, "plan", job.id, job.trace, model=job.model, characters=job.characters) as span:
            self._plan(job, task, card, check, span)

    def _plan(self, job: jobs.JobRecord, task: tasks.Task, card: str, check: Callable[[], None], span: Span) -> None:
        try:
            made = self._write_plan(job, card, check)
        except (ObjectMissing, BadInput) as error:
            span.set(error=error.code)
            fail_job(self._store, task, error)
            return
        span.set(segments=made.total)
        stored = len(made.pages) + len(made.header)
        passage_ends = () if job.streamed else made.passage_ends  # a streamed job has no recording
        if self._store.run(jobs.plan(job.id, task.token, made.total, stored, passage_ends)):
            self._waker.wake(render_queue(job.model))
        elif self._store.run(jobs.record(job.id)) is None:
            remove_objects(self._storage, job.id)  # the job was deleted while it was planned

    def _write_plan(self, job: jobs.JobRecord, card: str, check: Callable[[], None]) -> PlanFiles:
        spec = Spec.model_validate_json(job.spec)
        text = self._store.run(jobs.text(job.id))
        document = self._storage.get(stored_text_key(job.id, spec)) if text is None else text.encode()
        lexicons = stored_lexicons(self._storage, job.tenant, spec)
        order = PlanOrder(job.tenant, job.spec, card, document, job.characters, lexicons)
        made = self._processes.plan(order, check) if is_long(job) else make_plan(order)
        if text is not None:  # Redis drops the text once the job is planned; a retry plans from this copy
            self._storage.put(text_key(job.id), document, "application/json")
        self._storage.put(pages_key(job.id, job.revision), made.pages, "application/gzip")
        self._storage.put(plan_key(job.id, job.revision), made.header, "application/json")
        return made


def is_long(job: jobs.JobRecord) -> bool:
    """Whether it is planned in a process of its own. A start of one takes 0.4 s of a processor; 20,000 characters take
    0.15 s at most, whatever they are. Lexicons of 100,000 entries take a second to read, and the process keeps them."""
    return job.characters > SHORT_CHARACTERS or bool(Spec.model_validate_json(job.spec).lexicons)
