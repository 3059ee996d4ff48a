"""The state of one API process: its connections, and short-lived copies of facts that change rarely."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar, cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from api.admission import Catalog, names_unknown_voices
from api.estimate import speeds
from api.gate import KeyRing, Principal
from api.rate_limit import Standings
from api.ttl_cache import TtlCache
from api.watch import Watch
from farm.errors import FarmError, Forbidden, StoreReplaced, StoreUnavailable, Unavailable
from farm.job import Lane
from farm.quota import Standing
from farm.settings import Settings
from farm.storage import Storage, open_storage
from farm.storage_mark import compare, read_mark
from farm.store import AsyncStore, Pressure, lexicons, quotas, registry
from farm.stored import StoredLexicon, StoredVoice
from farm.tracing import OFF, Tracing
from farm.wake import Waker
from farm.webhooks.addresses import Network, allowed_networks
from farm.wire import JobRequest, Model, Worker

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

_PRESSURE_SECONDS = 1.0
_KEYS_SECONDS = 2.0  # after which a revoked key no longer opens
_RECOUNT_SECONDS = 60.0  # between two looks whether the quotas were compared with all jobs
_CATALOG_SECONDS = 1.0  # for which model cards and workers' speeds are taken as read
_ONCE_MORE_S = 1.0  # between two cancellations of the same task
_STORAGE_SECONDS = 5.0  # between two probe objects, however many probe us
_STORAGE_TIMEOUT, _STORAGE_ATTEMPTS = 5.0, 2  # who asks hears within 15 s of a bucket that does not answer


@dataclass(slots=True)
class AppState:
    settings: Settings
    store: AsyncStore
    storage: Storage
    waker: Waker
    watch: Watch
    keys: TtlCache[KeyRing]
    standings: Standings
    cards: TtlCache[Mapping[str, Model]]
    speeds: TtlCache[dict[str, float]]  # model -> segments per second
    storage_trouble: TtlCache[str | None]  # why storage can't be used, None when it can
    allow: Callable[[], Awaitable[tuple[Network, ...]]]  # that webhooks may reach beside public ones, now
    tracing: Tracing = OFF
    pressure: Pressure = field(default=Pressure(0, 0))

    def check_room(self) -> None:
        """Raises Unavailable while Redis is nearly full: accepted jobs need the rest of its memory to finish."""
        if self.pressure.full:
            raise Unavailable(
                "the farm is full: it takes no new work until some of what it has is done; try again later",
                code="farm_full",
            )

    async def catalog(self, tenant: str, request: JobRequest | None = None) -> Catalog:
        """The catalog of the tenant. For a single request, voices are read only if it names one that is not built
        in."""
        cards = await self.cards.get()
        card = cards.get((request.model if request else None) or self.settings.model)
        known = request is not None and (card is None or not names_unknown_voices(request, card.voices))
        uploads = {} if known else await self._uploads(tenant)
        return Catalog(
            cards=cards,
            default_model=self.settings.model,
            uploads=uploads,
            lexicons=await self._lexicons(tenant) if request is None or request.lexicons else {},
            highest=(await self.keys.get()).lanes.get(tenant, Lane.INTERACTIVE),
            signs_webhooks=self.settings.webhook_secret is not None,
            allow=await self.allow(),
            retention_s=round(timedelta(days=self.settings.retention_days).total_seconds()),
        )

    async def _uploads(self, tenant: str) -> dict[str, str]:
        voices = await self.store.run(registry.voices(tenant))
        return {name: StoredVoice.model_validate_json(voice).digest for name, voice in voices.items()}

    async def _lexicons(self, tenant: str) -> dict[str, StoredLexicon]:
        return {name: StoredLexicon.read(each) for name, each in (await self.store.run(lexicons.every(tenant))).items()}

    async def blocking(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs blocking work, such as storage or large texts, off the event loop."""
        return await run_in_threadpool(work, *args, **kwargs)

    async def keep_measuring(self) -> None:
        while True:
            try:
                self.note(await self.store.pressure())
            except FarmError as error:
                log.debug("memory of Redis not measured: %s", error)
            await asyncio.sleep(_PRESSURE_SECONDS)

    def note(self, pressure: Pressure) -> None:
        """How many bytes there are is for the operator, and nothing for whoever is refused."""
        if pressure.full and not self.pressure.full:
            log.warning(
                "Redis is at %s of %s bytes: no new work is accepted until some is done; raise maxmemory",
                f"{pressure.used_bytes:,}", f"{pressure.limit_bytes:,}",
            )  # fmt: skip
        self.pressure = pressure

    async def keep_counting(self) -> None:
        """Once a day all jobs are compared with what their tenants' quotas count. That corrects the counts on a Redis
        of a release without quotas, and after one has worked on it."""
        while True:
            try:
                if not await self.store.run(quotas.recounted()):
                    await self._recount()
                    await self.store.run(quotas.note_recount())
            except FarmError as error:
                log.debug("quotas not recounted: %s", error)
            await asyncio.sleep(_RECOUNT_SECONDS)

    async def _recount(self) -> None:
        for kind in ("list", "voices"):
            cursor: int | None = 0
            while cursor is not None:
                cursor, tenants = await self.store.run(quotas.tenants(cursor, kind))
                for tenant in tenants:
                    after: str | None = "-inf"
                    while after is not None:
                        after = await self.store.run(quotas.recount(tenant, after))


def state_of(request: HTTPConnection) -> AppState:
    return cast(AppState, request.app.state.farm)


def principal_of(request: HTTPConnection) -> Principal:
    return cast(Principal, request.scope["principal"])


def trace_of(request: HTTPConnection) -> str | None:
    """The traceparent under which the steps of a job of this request are traced."""
    return cast(str | None, request.scope["trace"])


def tenant_of(request: HTTPConnection) -> str:
    return principal_of(request).tenant


def require_operator(request: HTTPConnection) -> None:
    """Raises Forbidden."""
    if not principal_of(request).operator:
        raise Forbidden(
            "this shows the whole farm, so it needs an operator's key: `farm keys create NAME --operator` makes one",
            code="operator_only",
        )


@asynccontextmanager
async def opened(settings: Settings, tracing: Tracing = OFF) -> AsyncIterator[AppState]:
    """The state with its background work. Raises StoreUnavailable when Redis can't be reached."""
    allow, keyless = allowed_networks(settings.webhook_allow), allowed_networks(settings.webhook_allow_keyless)
    storage = open_storage(settings, timeout=_STORAGE_TIMEOUT, attempts=_STORAGE_ATTEMPTS)
    store = await AsyncStore.connect(settings.redis_url, synchronous=settings.synchronous_commit)
    waker = Waker(settings.broker)

    async def read_cards() -> Mapping[str, Model]:
        return {name: Model.model_validate_json(card) for name, card in (await store.run(registry.models())).items()}

    async def read_speeds() -> dict[str, float]:
        return speeds(Worker.model_validate_json(beat) for beat in await store.run(registry.workers()))

    async def read_allow() -> tuple[Network, ...]:
        return (*allow, *keyless) if keyless and not await store.run(registry.closed()) else allow

    async def read_keys() -> KeyRing:
        return KeyRing.of(await store.run(registry.access()))

    async def read_standing(tenant: str) -> Standing:
        return (await store.run(quotas.account(tenant))).standing

    async def check_storage() -> str | None:
        try:
            await run_in_threadpool(storage.check)
            compare(await store.run(registry.storage_mark()), await run_in_threadpool(read_mark, storage), settings)
        except (StoreUnavailable, StoreReplaced):
            return None  # which is told as the state of Redis
        except FarmError as error:
            return error.message
        return None

    state = AppState(
        settings=settings,
        store=store,
        storage=storage,
        waker=waker,
        watch=Watch(store),
        keys=TtlCache(read_keys, _KEYS_SECONDS),
        standings=Standings(read_standing),
        cards=TtlCache(read_cards, _CATALOG_SECONDS),
        speeds=TtlCache(read_speeds, _CATALOG_SECONDS),
        storage_trouble=TtlCache(check_storage, _STORAGE_SECONDS),
        allow=read_allow,
        tracing=tracing,
    )
    background = [
        asyncio.create_task(work)
        for work in (
            state.watch.run(),
            state.watch.channels.keep_telling_progress(),
            state.keep_measuring(),
            state.keep_counting(),
        )
    ]
    try:
        yield state
    finally:
        await end(background)
        await run_in_threadpool(waker.close)
        await store.close()


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels them until they have ended. Once is not enough: a cancellation that meets a timeout of the same moment
    may be lost in a library, and what runs for ever would then keep this process from ending."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_ONCE_MORE_S)
