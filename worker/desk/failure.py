"""The end of a job whose next step can't succeed, however often it is tried."""

from __future__ import annotations

import logging

from farm.errors import FarmError
from farm.outcome import failure
from farm.store import Store, jobs, tasks
from farm.wire import JobError

log = logging.getLogger(__name__)


def fail_job(store: Store, task: tasks.Task, error: FarmError) -> None:
    log.info("job %s failed: %s", task.id, error.code)  # the message may quote its text
    outcome = failure(JobError(code=error.code, message=error.message))
    store.run(jobs.abort(task.id, task.kind, task.token, outcome))
