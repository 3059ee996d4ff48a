"""Verbs on lexicons. Each has a record of its versions, opaque to the store, and counts for their bytes in storage."""

from __future__ import annotations

from typing import Any

from farm.store.call import Call, command, word_or_none, words
from farm.store.quotas import is_refusal, refuse

MOST_LEXICONS = 200  # of a tenant


def put(tenant: str, name: str, record: str, *, bytes: int, old: str = "", limit: int = MOST_LEXICONS) -> Call[int]:
    """Replaces `old`, the record with its bytes as `every` has it: 1. 0 when the tenant has `limit` lexicons already,
    -1 when somebody was faster. Raises QuotaExceeded."""

    def read(answer: Any) -> int:
        if is_refusal(answer):
            refuse(answer)
        return int(answer)

    return Call("put_lexicon", (tenant, name, old, record, bytes, limit), read, lasting=True)


def drop(tenant: str, name: str) -> Call[str | None]:
    """What it was, as `every` has it; None where there was none."""
    return Call("drop_lexicon", (tenant, name), word_or_none, lasting=True)


def every(tenant: str) -> Call[dict[str, str]]:
    """name -> bytes, a blank, and the record."""
    return command("HGETALL", f"f:lexicons:{tenant}", read=words)
