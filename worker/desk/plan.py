"""Plans a job: its text becomes chapters and segments, the plan goes to storage, and then all segments become ready in
one call of the store. So a job that is planned twice, or halfway, is still planned once."""

from __future__ import annotations

from farm.errors import BadInput, ObjectMissing
from farm.layout import pages_key, plan_key, text_key
from farm.plan import Part, Recipe, encode_plan, segments
from farm.removal import remove_objects
from farm.spec import Spec, read_text
from farm.speech import Parameter
from farm.storage import Storage
from farm.store import Store, jobs, registry, tasks
from farm.wake import Waker, render_queue
from farm.wire import Model
from worker.desk.failure import fail_job

_MODEL_AWAY_MS = 5_000  # until a job is looked at again whose model is not announced


class Planner:
    def __init__(self, store: Store, storage: Storage, waker: Waker) -> None:
        self._store, self._storage, self._waker = store, storage, waker

    def plan(self, task: tasks.Task) -> None:
        job = self._store.run(jobs.record(task.id))
        if job is None:
            self._store.run(tasks.done(task))
            return
        card = self._store.run(registry.models()).get(job.model)
        if card is None:  # the model was announced when the job was accepted, and comes back with its worker
            self._store.run(tasks.done(task, again_ms=_MODEL_AWAY_MS))
            return
        try:
            total = self._write_plan(job, Model.model_validate_json(card))
        except (ObjectMissing, BadInput) as error:
            fail_job(self._store, task, error)
            return
        if self._store.run(jobs.plan(job.id, task.token, total)):
            self._waker.wake(render_queue(job.model))
        elif self._store.run(jobs.record(job.id)) is None:
            remove_objects(self._storage, job.id)  # the job was deleted while it was planned

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
        if text is not None:  # Redis drops the text once the job is planned; a retry plans from this copy
            self._storage.put(text_key(job.id), text.encode(), "application/json")
        self._storage.put(pages_key(job.id), pages, "application/gzip")
        self._storage.put(plan_key(job.id), header.to_json().encode(), "application/json")
        return header.total
