"""Documents at the desk: an upload is read into its tree, and deleted once its time is over.

Reading is safe to do twice: the objects have the same keys and the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from farm.errors import BadInput, ObjectMissing
from farm.layout import document_key, document_prefix
from farm.storage import Storage
from farm.store import Store, documents, tasks
from farm.stored import StoredDocument
from worker.desk.document_process import read_apart

_REFUSED_MS = 15 * 60 * 1000  # for which a refusal is kept, for a client that stopped waiting


def tenant_of(task: tasks.Task) -> str:
    return documents.of_task(task.id)[0]


class Documents:
    def __init__(self, store: Store, storage: Storage) -> None:
        self._store, self._storage = store, storage

    def act(self, task: tasks.Task, check: Callable[[], None]) -> None:
        tenant, id = documents.of_task(task.id)
        said = self._store.run(documents.record(tenant, id))
        record = StoredDocument.model_validate_json(said) if said is not None else None
        if record is not None and record.status == "reading":
            self._read(task, tenant, id, record, check)
        else:
            self._remove(task, tenant, id)

    def _read(self, task: tasks.Task, tenant: str, id: str, record: StoredDocument, check: Callable[[], None]) -> None:
        try:
            source = self._storage.get(document_key(tenant, id, "source"))
            files = read_apart(source, record.filename, record.encoding, check)
        except (BadInput, ObjectMissing) as error:
            self._refuse(task, tenant, id, record, error)
            return
        self._storage.put(document_key(tenant, id, "tree.json.gz"), files.tree, "application/gzip")
        if files.cover:
            self._storage.put(document_key(tenant, id, "cover"), files.cover, files.cover_type)
        self._storage.put(document_key(tenant, id, "view.json"), files.view, "application/json")
        size = len(source) + len(files.tree) + len(files.view) + len(files.cover)
        found = {"status": "ready", "stored": size, "cover_bytes": len(files.cover), "cover_type": files.cover_type}
        ready = record.model_copy(update=found)
        due_ms = max(0, record.expires_ms - round(time.time() * 1000))
        if not self._store.run(
            documents.note(tenant, id, ready.to_json(), bytes=size, due_ms=due_ms, token=task.token)
        ):
            self._forsaken(tenant, id)

    def _refuse(
        self, task: tasks.Task, tenant: str, id: str, record: StoredDocument, error: BadInput | ObjectMissing
    ) -> None:
        refused = record.model_copy(update={"status": "refused", "code": error.code, "message": error.message})
        note = documents.note(tenant, id, refused.to_json(), bytes=0, due_ms=_REFUSED_MS, token=task.token)
        if self._store.run(note):
            self._delete(tenant, id)
        else:
            self._forsaken(tenant, id)

    def _remove(self, task: tasks.Task, tenant: str, id: str) -> None:
        self._delete(tenant, id)
        self._store.run(documents.drop(tenant, id, task.token))

    def _forsaken(self, tenant: str, id: str) -> None:
        """It was deleted while it was read."""
        if self._store.run(documents.record(tenant, id)) is None:
            self._delete(tenant, id)

    def _delete(self, tenant: str, id: str) -> None:
        self._storage.delete(*(part.key for part in self._storage.list(document_prefix(tenant, id))))
