"""Verbs on documents: an upload is put, noted as read or refused, and dropped. Each counts for its bytes in storage.

A document is timed work of the desk for all of its life (Due.DOCUMENT): it is read as soon as it is there, and deleted
once its time is over. The id of the task is `<document>.<tenant>`.
"""

from __future__ import annotations

from typing import Any

from farm.store.call import Call, command, words
from farm.store.quotas import is_refusal, refuse

MOST_DOCUMENTS = 1000  # of a tenant


def put(tenant: str, id: str, record: str, *, bytes: int, due_ms: int, limit: int = MOST_DOCUMENTS) -> Call[bool]:
    """`record` is opaque JSON. False when the tenant has `limit` documents already. Raises QuotaExceeded."""

    def read(answer: Any) -> bool:
        if is_refusal(answer):
            refuse(answer)
        return bool(answer)

    return Call("put_document", (tenant, id, record, bytes, due_ms, limit), read)


def note(tenant: str, id: str, record: str, *, bytes: int, due_ms: int, token: str = "") -> Call[bool]:
    """What became of it. False where it was deleted meanwhile, or the token is late."""
    return Call("note_document", (tenant, id, token, record, bytes, due_ms), bool, lasting=not token)


def drop(tenant: str, id: str, token: str = "") -> Call[bool]:
    """False where there was none, or the token is late."""
    return Call("drop_document", (tenant, id, token), bool, lasting=not token)


def record(tenant: str, id: str) -> Call[str | None]:
    def read(answer: bytes | None) -> str | None:
        return None if answer is None else answer.decode().partition(" ")[2]

    return command("HGET", f"f:docs:{tenant}", id, read=read)


def ids(tenant: str) -> Call[list[str]]:
    return command("HGETALL", f"f:docs:{tenant}", read=lambda answer: list(words(answer)))


def task_id(tenant: str, id: str) -> str:
    return f"{id}.{tenant}"


def of_task(task: str) -> tuple[str, str]:
    """(tenant, document)."""
    id, _, tenant = task.partition(".")
    return tenant, id
