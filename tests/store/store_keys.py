"""Every key of the store in one shape, from the model and from Redis. Sequences, counters of tokens, and the order of
rings and of quarantined segments are left out: tests of turns check those.
"""

from __future__ import annotations

import json
import struct
from collections import Counter, defaultdict
from typing import Any

from farm.job import OPEN, Due, Lane
from tests.store.store_state import Batch, Job, State


def expected_keys(model: State) -> dict[str, Any]:
    """Every key of the store but sequences, and the order of rings and of quarantined segments."""
    keys: dict[str, Any] = {"f:count": Counter(job.status.value for job in model.jobs.values())}
    zsets: defaultdict[str, dict[str, int]] = defaultdict(dict)
    sets: defaultdict[str, set[str]] = defaultdict(set)
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    sharing = {job.new.batch for job in model.jobs.values() if job.new.shares}
    shared = {
        f"f:shared:{id}": {"spec": fields}
        for id, fields in model.shared.items()
        if id in model.batches.keys() | sharing
    }
    for id, job in model.jobs.items():
        new, place = job.new, f"m:{job.new.lane}"
        keys[f"f:j:{id}"] = _job_fields(job)
        if new.shares:
            shared[f"f:shared:{new.batch}"]["jobs"] = str(int(shared[f"f:shared:{new.batch}"].get("jobs", 0)) + 1)
        keys |= {f"f:s:{id}": new.spec, f"f:o:{id}": job.outcome, f"f:text:{id}": job.text}
        keys[f"f:past:{id}"] = {str(number): kept for number, kept in job.past.items()}
        zsets[f"f:list:{new.tenant}"][id] = job.created
        if job.status in OPEN and job.counters is not None:
            keys |= {f"f:r:{id}": job.ready, f"f:d:{id}": job.done, f"f:c:{id}": job.cached, f"f:l:{id}": job.review}
            keys[f"f:a:{id}"] = {str(index): lost for index, lost in job.attempts.items()}
            keys[f"f:p:{id}"] = job.passages
        sets["f:solo:m"] |= {f"{id}:{index}" for index in job.quarantined}
        if job.ready:
            sets[f"f:ring:{place}"].add(new.tenant)
            sets[f"f:jobs:{place}:{new.tenant}"].add(id)
            sums["f:ready"][place] += len(job.ready)
            sums["f:load:m"][f"{new.lane}:{new.tenant}"] += len(job.ready)
    for id, batch in model.batches.items():
        keys |= {f"f:b:{id}": _batch_fields(batch), f"f:s:{id}": batch.new.spec, f"f:lines:{id}": batch.jobs}
        if not batch.deleted:
            zsets[f"f:batches:{batch.new.tenant}"][id] = batch.created
    for token, lease in model.leases.items():
        zsets["f:lease"][token] = lease.expiry
        held = {f"{id}:{index}": "1" if begun else "" for (id, index), begun in lease.segments.items()}
        keys[f"f:g:{token}"] = {"w": lease.worker, "m": "m", **held}
    for (kind, id), (at, _) in model.due.items():
        if kind == Due.DOCUMENT:
            tenant = id.partition(".")[2]
            zsets[f"f:due:{kind}:{Lane.BULK}:{tenant}"][id] = at
            sets[f"f:desk:{kind}:{Lane.BULK}"].add(tenant)
            continue
        owner = id.rsplit(".", 1)[0] if kind in (Due.DELIVER, Due.PASSAGE, Due.RETIRE) else id
        home = model.jobs.get(owner) or model.batches[owner]
        lane = home.new.lane if isinstance(home, Job) else Lane.BULK
        zsets[f"f:due:{kind}:{lane}:{home.new.tenant}"][id] = at
        sets[f"f:desk:{kind}:{lane}"].add(home.new.tenant)
    for tenant in model.requests.keys() | model.limits.keys():
        requests, since = model.requests.get(tenant, (0, 0))
        limits = {f"most_{name}": most for name, most in model.limits.get(tenant, {}).items()}
        account = {**model.used(tenant), "requests": requests, "since": since, **limits}
        keys[f"f:quota:{tenant}"] = {name: str(value) for name, value in account.items() if value}
    for (kind, tenant), kept in model.kept.items():
        keys[f"f:{kind}:{tenant}"] = {name: f"{bytes} {record}" for name, (bytes, record) in kept.items()}
    for job in model.jobs.values():
        if model.is_under_way(job):
            sets[f"f:running:{job.new.tenant}"].add(job.new.id)
    for (tenant, token), count in model.held.items():
        if token in model.leases:
            keys.setdefault(f"f:held:{tenant}", {})[token] = str(count)
    keys["f:due:token"] = {f"{kind}:{id}": token for (kind, id), (_, token) in model.due.items() if token}
    for owner, outbox in model.outbox.items():
        keys[f"f:w:{owner}"] = {str(k): f"{event} {record}" for k, (event, record) in outbox.items()}
    for key, (id, digest) in model.idempotency.items():
        keys[f"f:idem:{key}"] = f"{id} {digest}"
    if model.swept is not None:
        keys["f:swept"] = str(model.swept)
    keys |= zsets | sets | sums | shared
    return {key: value for key, value in keys.items() if value}


def snapshot(client: Any) -> dict[str, Any]:
    """The same as expected_keys, read from Redis."""
    names = [name.decode() for name in client.keys("f:*")]
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.type(name)
    kinds = pipeline.execute()
    for name, kind in zip(names, kinds, strict=True):
        {
            b"hash": pipeline.hgetall,
            b"zset": lambda key: pipeline.zrange(key, 0, -1, withscores=True),
            b"string": pipeline.get,
            b"set": pipeline.smembers,
            b"stream": pipeline.xlen,
        }[kind](name)
    found = {name: _plain(name, value) for name, value in zip(names, pipeline.execute(), strict=True)}
    for name, tokens in found.items():
        if name.startswith("f:held:"):
            found[name] = {token: count for token, count in tokens.items() if token in found.get("f:lease", {})}
    return {name: value for name, value in found.items() if value}


def _plain(name: str, value: Any) -> Any:
    kind = name.split(":")[1]
    if kind in ("ev", "settled", "schema", "born", "synced", "token", "takes", "turns", "tally"):
        return None
    if kind == "desk":
        return {tenant.decode() for tenant, _ in value}
    if kind in ("r", "d", "c", "l"):
        return {8 * byte + bit for byte, bits in enumerate(value) for bit in range(8) if bits & 128 >> bit}
    if kind == "p":
        return [list(passage) for passage in struct.iter_unpack(">II", value)]
    if kind in ("ring", "jobs", "solo"):
        return {member.decode() for member, _ in value}
    if isinstance(value, set):
        return {member.decode() for member in value}
    if isinstance(value, list):
        return {member.decode(): int(score) for member, score in value}
    if isinstance(value, dict):
        fields = {field.decode(): content.decode() for field, content in value.items()}
        if kind in ("count", "ready", "load"):
            return {field: int(content) for field, content in fields.items() if content != "0"}
        if kind in ("b", "shared", "quota"):
            return {field: content for field, content in fields.items() if content != "0" or field == "webhook"}
        return fields
    text = value.decode()
    if kind == "idem" and text.startswith("?"):
        return "? " + text.split(" ")[1]
    return _same_json(text) if kind == "o" else text


def _same_json(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)


def _job_fields(job: Job) -> dict[str, str]:
    new = job.new
    fields = {
        "status": job.status,
        "tenant": new.tenant,
        "model": new.model,
        "lane": new.lane,
        "created": job.created,
        "characters": new.characters,
        "keep": new.retention_s,
        **(job.counters or {}),
        "batch": new.batch,
        "shares": 1 if new.shares else None,
        "streamed": 1 if new.streamed else None,
        "skip": 1 if new.on_error == "skip" else None,
        "events": ",".join(new.events) or None,
        "running": job.running,
        "ended": job.ended,
        "ends": job.ends or None,
        "asked": job.asked,
        "redos": job.redos or None,
        "started": 1 if job.started else None,
        "held": job.held,
        "bytes": job.bytes,
        "records": job.records,
        "planned": job.planned,
        "result": job.result,
        "passages": job.passages_due or None,
        "revision": job.revision if job.revision > 1 else None,
    }
    return {name: str(value) for name, value in fields.items() if value is not None}


def _batch_fields(batch: Batch) -> dict[str, str]:
    fields = {
        "tenant": batch.new.tenant,
        "total": batch.new.total,
        "keep": batch.new.retention_s,
        "webhook": int(batch.new.webhook),
        "created": batch.created,
        "completed": batch.completed,
        "accepted": batch.accepted or None,
        "ended": batch.ended or None,
        "ends": batch.ends or None,
        "asked": batch.asked,
        "stopped": 1 if batch.stopped else None,
        "skipped": batch.skipped or None,
        "deleted": 1 if batch.deleted else None,
        "bytes": batch.bytes,
        "records": batch.records,
        "held": batch.held,
        "lines": batch.lines,
        "texts": batch.texts,
        **batch.counts,
        **batch.sums,
    }
    return {
        str(name): str(value)
        for name, value in fields.items()
        if (value is not None and value != 0) or name == "webhook"
    }
