"""The runners of calls: Store for any thread; AsyncStore for one event loop, whose concurrent calls share round
trips."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import redis
import redis.asyncio
from redis.exceptions import NoScriptError, RedisError

from farm.errors import Misconfigured, StoreUnavailable
from farm.store import connection
from farm.store.call import Argument, Call, Script, command, own_scripts
from farm.store.outage import farm_error

T = TypeVar("T")

log = logging.getLogger(__name__)

# A change of the keyspace raises this number when a running older farm could not work with it; farm/lua/open.lua then
# converts the data in one step. An addition that an older farm may ignore does not raise it, so that the older workers
# go on during a rolling upgrade.
SCHEMA = 1
_OLDEST = (6, 2)
_WAITAOF = (7, 2)
_FLIGHTS = 2  # round trips at the same time; more of them are smaller, and a round trip costs more than a call in it
_SHARED = 8  # calls that two flights take, each the half, where no other is under way
_PER_FLIGHT = 200  # calls; at some 15 microseconds each, Redis is free for others after 3 ms
_SYNC_MS = 3_000  # to wait for an fsync: with everysec it comes after 1 to 2 s, and socket_timeout is 5 s
_STAMP = "redis.call('DEL', 'f:none') redis.call('SET', 'f:synced', '')"  # the DEL is drains() of farm/lua/shared
_LISTEN_MS = 2_000  # of one blocking read, well below socket_timeout


@dataclass(frozen=True, slots=True)
class Keyspace:
    schema: int
    born: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """A job or batch of which something changed, and whose it is."""

    owner: str
    tenant: str
    batch: str | None  # of a job

    @classmethod
    def of(cls, fields: Mapping[bytes, bytes]) -> Self:
        """Entries of releases before this one name the owner alone; nobody listens to the tenant "" or hears less."""
        return cls(fields[b"o"].decode(), fields.get(b"t", b"").decode(), fields.get(b"b", b"").decode() or None)


@dataclass(frozen=True, slots=True)
class Event:
    id: str  # of the stream: "<milliseconds>-<number>"
    owner: str  # a job or batch id
    status: str  # a Status, "completed" for a batch, or "deleted"
    tenant: str = ""
    batch: str | None = None  # of a job


@dataclass(frozen=True, slots=True)
class News:
    """What has changed in the store, for one reader of a process."""

    events: list[Event]
    settled: list[Moved]  # jobs of which clips were settled, each as often as that happened
    after: tuple[str, str]  # where to read on: the latest ids of both streams


@dataclass(frozen=True, slots=True)
class Pressure:
    used_bytes: int
    limit_bytes: int  # 0: no limit

    @property
    def full(self) -> bool:
        """No new work is accepted: the rest of the memory is for the work on what was."""
        return self._at(0.8)

    @property
    def crowded(self) -> bool:
        """Batches are unfolded no further: below `full`, one of 50,000 jobs must not shut everybody else out."""
        return self._at(0.7)

    def _at(self, share: float) -> bool:
        return self.limit_bytes > 0 and self.used_bytes >= share * self.limit_bytes


class Store:
    """Runs calls on a pool of connections, from any thread."""

    def __init__(self, client: redis.Redis, scripts: Mapping[str, Script]) -> None:
        self._client = client
        self._scripts = scripts
        self._born = ""

    @classmethod
    def connect(cls, url: str, scripts: Mapping[str, Script] | None = None, *, synchronous: bool = False) -> Store:
        """Checks the server's version (>= 6.2), cluster mode, eviction and schema; with `synchronous` also that an
        AsyncStore could wait for its disk. The store remembers the birth mark of the keyspace: when Redis later has
        another mark or none, every call raises StoreReplaced."""
        store = cls(connection.client(url), scripts or own_scripts())
        try:
            info = store.info()
            check_server(info)
            if synchronous:
                check_sync(info, store._execute("CONFIG GET", "appendfsync"))
            store._born = check_keyspace(store.run(open_keyspace()))
        except RedisError as error:
            store.close()
            raise no_redis(error) from error
        except BaseException:
            store.close()
            raise
        return store

    def run(self, call: Call[T]) -> T:
        script = self._scripts[call.verb]
        try:
            answer = self._execute("EVALSHA", script.sha, 0, *call.args, self._born)
        except NoScriptError:
            answer = self._execute("EVAL", script.source, 0, *call.args, self._born)
        return call.read(answer)

    def pressure(self) -> Pressure:
        return read_pressure(self._execute("INFO", "memory"))

    def info(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._execute("INFO")
        return found

    def close(self) -> None:
        self._client.close()

    def _execute(self, *command: Argument) -> Any:
        try:
            return self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            raise farm_error(error) or error from error


class AsyncStore:
    """Runs calls from one event loop. Calls of the same moment travel in one pipeline, a flight. Calls that come while
    all flights are under way wait for the next one (group commit).

    With `synchronous`, a flight with lasting calls (changes that a user is answered 2xx for) ends when they are on the
    disk of Redis. A call that is not on the disk in time raises StoreUnavailable(code="not_durable"), although Redis
    has it. Workers don't need this: work that a power cut takes back is done again."""

    def __init__(self, client: redis.asyncio.Redis, scripts: Mapping[str, Script], synchronous: bool = False) -> None:
        self._synchronous = synchronous
        self._client = client
        self._scripts = scripts
        self._born = ""
        self._waiting: list[tuple[Call[Any], asyncio.Future[Any]]] = []
        self._flights: set[asyncio.Task[None]] = set()
        self._flying = 0

    @classmethod
    async def connect(
        cls, url: str, scripts: Mapping[str, Script] | None = None, *, synchronous: bool = False
    ) -> AsyncStore:
        store = cls(connection.async_client(url), scripts or own_scripts(), synchronous)
        try:
            info = await store._execute("INFO")
            check_server(info)
            if synchronous:
                check_sync(info, await store._execute("CONFIG GET", "appendfsync"))
            store._born = check_keyspace(await store.run(open_keyspace()))
        except RedisError as error:
            await store.close()
            raise no_redis(error) from error
        except BaseException:
            await store.close()
            raise
        return store

    async def run(self, call: Call[T]) -> T:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._flying < _FLIGHTS and len(self._waiting) == 1:
            # The task starts after every callback that is ready now, and takes the calls of those along.
            self._start_flight()
        return call.read(await future)

    async def pressure(self) -> Pressure:
        return read_pressure(await self._execute("INFO", "memory"))

    async def events(self, after: str, block_ms: int) -> list[Event]:
        """The events after this stream id ("$": from now on). Waits up to `block_ms` for the first."""
        if after == "$":
            latest = await self._execute("XREVRANGE", "f:ev", "+", "-", "COUNT", 1)
            after = latest[0][0].decode() if latest else "0-0"
        deadline = time.monotonic() + block_ms / 1000
        while True:
            left_ms = round((deadline - time.monotonic()) * 1000)
            block = ("BLOCK", min(left_ms, _LISTEN_MS)) if left_ms > 0 else ()
            answer = await self._execute("XREAD", "COUNT", 1000, *block, "STREAMS", "f:ev", after)
            if answer or left_ms <= 0:
                return read_events(answer)

    async def news(self, after: tuple[str, str], block_ms: int) -> News:
        """Events, and jobs with fresh clips, after these stream ids. Waits up to `block_ms` for the first."""
        deadline = time.monotonic() + block_ms / 1000
        while True:
            left_ms = round((deadline - time.monotonic()) * 1000)
            block = ("BLOCK", min(left_ms, _LISTEN_MS)) if left_ms > 0 else ()
            answer = await self._execute("XREAD", "COUNT", 1000, *block, "STREAMS", "f:ev", "f:settled", *after)
            if answer or left_ms <= 0:
                return read_news(answer, after)

    async def events_between(self, after: str, until: str, count: int) -> list[Event]:
        """Of the events after one stream id up to and with another, the first `count`."""
        entries = await self.run(command("XRANGE", "f:ev", f"({after}", until, "COUNT", count, read=_entries))
        return _events(entries)

    async def events_kept(self) -> tuple[str, str]:
        """The ids of the oldest event that is kept and of the latest that ever was; "0-0" where there is none.

        Whether others were trimmed before the oldest, Redis 6.2 does not say. Whoever has none of them counts as having
        missed some: at a farm's first event ever one listener too many is told the state again, and none too few.
        """
        first, last = await asyncio.gather(
            self.run(command("XRANGE", "f:ev", "-", "+", "COUNT", 1, read=_entries)),
            self.run(command("XREVRANGE", "f:ev", "+", "-", "COUNT", 1, read=_entries)),
        )
        return (first[0][0].decode(), last[0][0].decode()) if first and last else ("0-0", "0-0")

    async def close(self) -> None:
        if self._flights:
            await asyncio.wait(self._flights)
        await self._client.aclose()

    def _start_flight(self) -> None:
        self._flying += 1
        flight = asyncio.create_task(self._fly())
        self._flights.add(flight)
        flight.add_done_callback(self._flights.discard)

    def _board(self) -> list[tuple[Call[Any], asyncio.Future[Any]]]:
        """The calls of the next flight. Of many, another flight takes the half: clients that all wait for one flight
        come back together, and then this process and Redis would wait for each other by turns, for ever."""
        size = len(self._waiting)
        if size >= _SHARED and self._flying < _FLIGHTS:
            size = size // 2
            self._start_flight()
        size = min(size, _PER_FLIGHT)
        crew, self._waiting = self._waiting[:size], self._waiting[size:]
        return crew

    async def _fly(self) -> None:
        while self._waiting:
            crew = self._board()
            try:
                answers = await self._send([call for call, _ in crew])
            except Exception as error:
                answers = [error] * len(crew)
            for (_, future), answer in zip(crew, answers, strict=True):
                if future.done():  # its caller was canceled
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(farm_error(answer) or answer)
                else:
                    future.set_result(answer)
        self._flying -= 1

    async def _send(self, calls: Sequence[Call[Any]], *, load: Collection[str] = ()) -> list[Any]:
        """Sends all calls in one round trip. An answer is Redis's, or the RedisError of that one call."""
        pipeline = self._client.pipeline(transaction=False)
        for name in load:
            pipeline.execute_command("SCRIPT LOAD", self._scripts[name].source)
        for call in calls:
            sha = self._scripts[call.verb].sha
            pipeline.execute_command("EVALSHA", sha, 0, *call.args, self._born)
        waits = self._synchronous and any(call.lasting for call in calls)
        if waits:
            # WAITAOF waits for the latest write of its connection, and a request that is sent again writes nothing.
            pipeline.execute_command("EVAL", _STAMP, 0)
            pipeline.execute_command("WAITAOF", 1, 0, _SYNC_MS)
        answers = (await pipeline.execute(raise_on_error=False))[len(load) :]
        if waits:
            *answers, stamped, synced = answers
            if isinstance(stamped, Exception) or isinstance(synced, Exception) or not synced[0]:
                answers = [
                    not_durable() if call.lasting and not isinstance(answer, Exception) else answer
                    for call, answer in zip(calls, answers, strict=True)
                ]
        unknown = [position for position, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown and not load:
            again = [calls[position] for position in unknown]
            late = await self._send(again, load={call.verb for call in again})
            for position, answer in zip(unknown, late, strict=True):
                answers[position] = answer
        return answers

    async def _execute(self, *command: Argument) -> Any:
        try:
            return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except (RedisError, RuntimeError, OSError) as error:
            raise farm_error(error) or error from error


# --- checks and answers of both runners -------------------------------------------------------------------------------


def check_server(info: Mapping[str, Any]) -> None:
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise Misconfigured(f"Redis {version} is too old; the farm needs 6.2 or newer")
    if info.get("cluster_enabled"):
        raise Misconfigured(
            "this Redis is a cluster, and a claim crosses tenants and so slots; "
            "use a single primary, with replicas if you like"
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory") and policy != "noeviction":
        raise Misconfigured(
            f"this Redis evicts keys when it is full (maxmemory-policy {policy}), which loses accepted jobs or, with "
            "volatile-…, what is known of Idempotency-Keys; set maxmemory-policy noeviction"
        )


def no_redis(error: RedisError) -> Misconfigured:
    """For an answer at the start that no outage explains."""
    return Misconfigured(
        f"FARM_REDIS_URL: what answers there refuses the farm, or is no Redis ({type(error).__name__}: {error}); "
        "correct the address or the rights of its user"
    )


def open_keyspace() -> Call[Keyspace]:
    """Reads the schema and the birth mark. An empty database gets both."""

    def read(answer: list[Any]) -> Keyspace:
        schema, born, fresh = answer
        return Keyspace(schema, (born or b"").decode(), bool(fresh))

    return Call("open", (SCHEMA, secrets.token_hex(8)), read)


def check_keyspace(found: Keyspace) -> str:
    """The birth mark. Raises Misconfigured when the schema is of another version of the farm."""
    if found.schema > SCHEMA:
        raise Misconfigured(
            f"the data in Redis was written by a newer farm (schema {found.schema}, this one knows {SCHEMA}); "
            "upgrade this one"
        )
    if found.schema < SCHEMA:
        raise Misconfigured(
            f"the data in Redis was written by an older farm (schema {found.schema}, this one reads {SCHEMA} only); "
            "let that version finish its jobs and then empty this database, or use another"
        )
    if found.fresh:
        log.info("Redis held no farm: an empty one begins, with the birth mark %s", found.born)
    return found.born


def check_sync(info: Mapping[str, Any], config: Mapping[str, str]) -> None:
    """Raises Misconfigured when this server can't tell that a write is on its disk."""
    version, valkey = str(info["redis_version"]), info.get("valkey_version")
    server = f"Valkey {valkey}" if valkey else f"Redis {version}"
    fsync = config.get("appendfsync")
    if tuple(int(part) for part in version.split(".")[:2]) < _WAITAOF:
        raise Misconfigured(f"FARM_SYNCHRONOUS_COMMIT needs Redis 7.2 or newer, and this is {server}; upgrade it")
    if not info.get("aof_enabled") or fsync == "no":
        raise Misconfigured(
            "FARM_SYNCHRONOUS_COMMIT needs an append-only file that is synced; "
            "set appendonly yes and appendfsync always"
        )
    # Valkey 8.0.1 was seen to answer up to a second before its fdatasync. Redis corrected the same error in 8.0:
    # github.com/redis/redis/pull/13793.
    if fsync != "always" and (valkey or int(version.split(".")[0]) < 8):
        raise Misconfigured(
            f"{server} answers WAITAOF before everysec has synced; for FARM_SYNCHRONOUS_COMMIT set appendfsync "
            "always, or take Redis 8"
        )


def not_durable() -> StoreUnavailable:
    return StoreUnavailable(
        "Redis has this, but not on its disk yet; look whether the disk is overloaded, and send the request again: "
        "with the same Idempotency-Key it is accepted once, without one it may be accepted twice",
        code="not_durable",
    )


def read_pressure(info: Mapping[str, Any]) -> Pressure:
    return Pressure(int(info["used_memory"]), int(info["maxmemory"]))


def read_events(answer: Any) -> list[Event]:
    if not answer:
        return []
    ((_, entries),) = answer
    return _events(entries)


def read_news(answer: Any, after: tuple[str, str]) -> News:
    found = dict(answer or ())
    changed, settled = found.get(b"f:ev", ()), found.get(b"f:settled", ())
    latest = tuple(
        entries[-1][0].decode() if entries else before
        for entries, before in zip((changed, settled), after, strict=True)
    )
    return News(_events(changed), [Moved.of(fields) for _, fields in settled], (latest[0], latest[1]))


def _entries(answer: list[Any]) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Those of a stream, as a script answers them."""
    return [(id, dict(zip(flat[::2], flat[1::2], strict=True))) for id, flat in answer]


def _events(entries: Any) -> list[Event]:
    found = []
    for id, fields in entries:
        moved = Moved.of(fields)
        found.append(Event(id.decode(), moved.owner, fields[b"s"].decode(), moved.tenant, moved.batch))
    return found
