"""What a tenant's quotas count, and what they should: a scan over all that the tenant has."""

from __future__ import annotations

from collections import Counter
from typing import Any

from farm.job import OPEN, Status
from farm.quota import END_BYTES, RECORD_BYTES, Quota
from farm.store import Store, quotas
from farm.store.call import command

COUNTED = (Quota.CHARACTERS, Quota.BYTES, Quota.RECORDS)


def counted(store: Store, tenant: str) -> dict[str, int]:
    account = store.run(quotas.account(tenant))
    used = {str(quota): account.standing.used(quota) for quota in COUNTED}
    return {**used, "running_jobs": account.running_jobs}


def scanned(store: Store, tenant: str) -> dict[str, int]:
    """From the records of all that the tenant has. What a job says that it counts for is checked against what it is."""
    sums: Counter[str] = Counter({"running_jobs": 0, **{str(quota): 0 for quota in COUNTED}})
    for key in _keys(store, "f:j:*"):
        job = _hash(store, key)
        if job["tenant"] != tenant:
            continue
        id = key.removeprefix("f:j:")
        ends = END_BYTES * min(int(job.get("ends", 0)) + 1, 20) if "events" in job else 0
        least = RECORD_BYTES + _length(store, f"f:s:{id}") + _length(store, f"f:text:{id}")
        assert least <= int(job["records"]) <= least + ends, job
        assert int(job["bytes"]) >= int(job["records"]), job
        assert job.get("held") == (job["characters"] if Status(job["status"]) in OPEN else None), job
        sums.update(characters=int(job.get("held", 0)), bytes=int(job["bytes"]), records=int(job["records"]))
        sums.update(running_jobs=job["status"] == Status.RUNNING and "started" in job)
    for key in _keys(store, "f:b:*"):
        batch = _hash(store, key)
        if batch["tenant"] == tenant:
            held, lines, texts = (int(batch.get(name, 0)) for name in ("held", "lines", "texts"))
            waits = int(batch["accepted"]) + int(batch.get("skipped", 0)) < int(batch["total"])
            assert waits or (held, lines, texts) == (0, 0, 0), batch
            sums.update(
                characters=held,
                bytes=int(batch.get("bytes", 0)) + lines + texts,
                records=int(batch.get("records", 0)) + lines,
            )
    for kept in ("docs", "lexicons"):  # each begins with its bytes
        sums.update(bytes=sum(int(record.partition(" ")[0]) for record in _hash(store, f"f:{kept}:{tenant}").values()))
    sums.update(bytes=int(_hash(store, f"f:quota:{tenant}").get("voices", 0)))
    return dict(sums)


def _keys(store: Store, pattern: str) -> list[str]:
    return store.run(command("KEYS", pattern, read=lambda answer: [key.decode() for key in answer]))


def _length(store: Store, key: str) -> int:
    return store.run(command("STRLEN", key, read=int))


def _hash(store: Store, key: str) -> dict[str, str]:
    def read(answer: list[Any]) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in zip(answer[::2], answer[1::2], strict=True)}

    return store.run(command("HGETALL", key, read=read))
