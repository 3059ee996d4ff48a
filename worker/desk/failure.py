"""The end of a job whose next step can't succeed, however often it is tried."""

from __future__ import annotations

from farm.errors import FarmError
from farm.spec import failure
from farm.store import Store, jobs, tasks
from farm.wire import JobError


def fail_job(store: Store, task: tasks.Task, error: FarmError) -> None:
    outcome = failure(JobError(code=error.code, message=error.message))
    store.run(jobs.abort(task.id, task.kind, task.token, outcome))
