"""The truth about work, in Redis, behind domain verbs. Each verb is one atomic Lua call.

A verb is a function that returns a Call: what to run and how to read the answer. A runner executes it:

    store = Store.connect(settings.redis_url)
    grant = store.run(claim("espeak", want=32, worker=me, lease_ms=10_000))

    store = await AsyncStore.connect(settings.redis_url)       # the API: concurrent calls share a round trip
    accepted = await store.run(accept(new_job))

so that nothing is written twice for synchronous and asynchronous callers. The keyspace is explained at the top of
farm/lua/keys.lua. Scripts check first and write after, because Lua does not roll back.

Errors: StoreUnavailable when Redis can't be reached or can't take the write; StoreReplaced when it lost the keyspace
that was opened; Misconfigured when it is too old, a cluster, evicts keys, or was written by another version of the
farm; Conflict, BadInput and NotFound where a verb says so.
"""

from farm.store.batches import (
    BatchRecord,
    NewBatch,
    accept_batch,
    batch_record,
    cancel_batch,
    forget_batch,
)
from farm.store.call import Call
from farm.store.desk import (
    DeliveryRecord,
    Task,
    delivered,
    deliveries,
    done,
    extend,
    next_due,
    redeliver,
    take,
)
from farm.store.jobs import (
    Accepted,
    JobRecord,
    NewJob,
    Place,
    abort,
    accept,
    attempts,
    cached_bits,
    cancel,
    draft,
    expire,
    finish,
    forget,
    job_page,
    job_record,
    job_text,
    plan,
    redo,
    reserve,
    retry,
    unreserve,
)
from farm.store.registry import (
    Backlog,
    announce,
    backlog,
    beat,
    clock,
    drop_key,
    drop_voice,
    keys,
    lock,
    models,
    ping,
    put_key,
    put_voice,
    voices,
    workers,
)
from farm.store.runner import SCHEMA, AsyncStore, Event, Pressure, Store
from farm.store.segments import (
    Grant,
    Renewal,
    Rescued,
    Settled,
    begin,
    claim,
    fail,
    release,
    renew,
    rescue,
    settle,
)

__all__ = [
    "SCHEMA",
    "Accepted",
    "AsyncStore",
    "Backlog",
    "BatchRecord",
    "Call",
    "DeliveryRecord",
    "Event",
    "Grant",
    "JobRecord",
    "NewBatch",
    "NewJob",
    "Place",
    "Pressure",
    "Renewal",
    "Rescued",
    "Settled",
    "Store",
    "Task",
    "abort",
    "accept",
    "accept_batch",
    "announce",
    "attempts",
    "backlog",
    "batch_record",
    "beat",
    "begin",
    "cached_bits",
    "cancel",
    "cancel_batch",
    "claim",
    "clock",
    "delivered",
    "deliveries",
    "done",
    "draft",
    "drop_key",
    "drop_voice",
    "expire",
    "extend",
    "fail",
    "finish",
    "forget",
    "forget_batch",
    "job_page",
    "job_record",
    "job_text",
    "keys",
    "lock",
    "models",
    "next_due",
    "ping",
    "plan",
    "put_key",
    "put_voice",
    "redeliver",
    "redo",
    "release",
    "renew",
    "rescue",
    "reserve",
    "retry",
    "settle",
    "take",
    "unreserve",
    "voices",
    "workers",
]
