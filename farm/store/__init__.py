"""The truth about work, in Redis, behind domain verbs. Each verb is one atomic Lua call.

A verb is a function that returns a Call: a script, its arguments, and how to read the answer. A runner executes it:

    store = Store.connect(settings.redis_url)
    grant = store.run(claim("espeak", want=32, worker=me, lease_ms=10_000))

    store = await AsyncStore.connect(settings.redis_url)       # the API: concurrent calls share a round trip
    accepted = await store.run(accept(new_job))

So every verb is written once, for synchronous and for asynchronous callers. The keyspace is explained at the top of
farm/lua/shared/keys.lua. Scripts check first and write after, because Lua does not roll back.

Errors: StoreUnavailable when Redis can't be reached or can't take the write. StoreReplaced when Redis has lost the
keyspace that was opened. Misconfigured when Redis is too old, is a cluster, evicts keys, or holds the data of another
version of the farm. Conflict, BadInput and NotFound where a verb says so.
"""

from farm.store.call import Call
from farm.store.runner import SCHEMA, AsyncStore, Event, Moved, News, Pressure, Store

__all__ = ["SCHEMA", "AsyncStore", "Call", "Event", "Moved", "News", "Pressure", "Store"]
