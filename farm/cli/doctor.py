"""`farm doctor`: checks every part of a farm and says that it is well, or how to mend it.

Any client can check settings, the API, models and workers. Redis and storage are checked where the environment names
them or an embedded farm runs on the data folder.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from farm.cli.screen import FAILED, OK, line, needs, show
from farm.cli.site import Site, site
from farm.client import Farm
from farm.environment import is_strange
from farm.errors import FarmError, Misconfigured, Unauthorized
from farm.redis_address import RedisAddress
from farm.settings import Settings, misspelt
from farm.warmth import ailments
from farm.webhooks.secrets import check_form
from farm.wire import Worker

_WORDS = {True: "OK", False: "MEND", None: "-"}


@dataclass(frozen=True, slots=True)
class Finding:
    part: str
    ok: bool | None  # None: it could not be looked at from here
    says: str


def doctor(given: argparse.Namespace) -> int:
    here = site()
    found = list(examine(here, os.environ))

    def plainly() -> None:
        for finding in found:
            line(f"{_WORDS[finding.ok]:<5} {finding.part:<9} {finding.says}")

    show(given, [asdict(finding) for finding in found], plainly)
    return FAILED if any(finding.ok is False for finding in found) else OK


def examine(here: Site, environment: Mapping[str, str]) -> Iterator[Finding]:
    settings = here.settings
    wrong = misspelt(environment)
    strange = sorted(filter(is_strange, environment))
    ignored = f"; the farm ignores {', '.join(strange)}" if strange else ""
    yield Finding("settings", not wrong, ("; ".join(wrong) or "every FARM_ variable is known") + ignored)
    with Farm(settings.url, settings.api_key, patience=0) as farm:
        yield from _api(farm, settings)
    if not here.operated:
        says = "not looked at: set FARM_REDIS_URL and FARM_STORAGE_URL, or FARM_DATA_DIR of a running embedded farm"
        yield from (Finding(part, None, says) for part in ("redis", "broker", "storage", "webhooks"))
        return
    yield from _redis(settings)
    yield from _strangers(settings)
    if here.stored:
        yield _missing_folder(settings) or _storage(settings)
    else:
        yield Finding("storage", None, "not looked at: set FARM_STORAGE_URL to the storage of this farm")
    yield _webhooks(settings)


def _api(farm: Farm, settings: Settings) -> Iterator[Finding]:
    try:
        queue = farm.queue()
        cards = {card.name: card for card in farm.models()}
    except FarmError as error:
        mend = "" if error.status != Unauthorized.status else "; set FARM_API_KEY to a key of this farm"
        yield Finding("api", False, f"{error.message}{mend}")
        return
    yield Finding("api", True, f"{settings.url} answers")
    if not queue.jobs:  # which count all tenants' jobs, by status
        says = "not looked at: FARM_API_KEY is a tenant's, and only an operator's shows them"
        yield Finding("workers", None, says)
        return

    model = settings.model
    alive = [worker for worker in queue.workers if worker.kind == "render" and worker.model == model]
    card = cards.get(model)
    if card is not None and alive:
        says = f"{model}, revision {card.revision}, {len(card.languages)} languages, {len(alive)} live workers"
        yield Finding("engine", True, says)
        for worker in alive:
            facts = [f"{name} {fact}" for name, fact in worker.facts.items()]
            device = worker.device or "unknown"
            yield Finding("device", True, ", ".join([device, *facts]))
            yield from (Finding("device", False, f"{device}: {ill}") for ill in ailments(worker.facts))
    else:
        others = sorted({worker.model for worker in queue.workers if worker.model})
        hint = f"; workers serve {', '.join(others)}: set FARM_MODEL to one of these" if others else ""
        says = f"no live render worker serves {model}: start one with `python -m worker render`{hint}"
        yield Finding("engine", False, says)
    desks = sum(worker.kind == "desk" for worker in queue.workers)
    if desks:
        yield Finding("workers", True, f"{len(queue.workers) - desks} render and {desks} desk, all with a heartbeat")
    else:
        says = "no desk worker is alive, so nothing is planned or assembled: start one with `python -m worker desk`"
        yield Finding("workers", False, says)


def _redis(settings: Settings) -> Iterator[Finding]:
    with needs("store"):
        from farm.start import check_broker, ills
        from farm.store import Store
    try:
        where = RedisAddress.read(settings.redis_url, "FARM_REDIS_URL")
        with closing(Store.connect(settings.redis_url)) as store:
            facts = store.info()
    except FarmError as error:
        yield Finding("redis", False, error.message if isinstance(error, Misconfigured) else f"{where}: {error}")
        return
    found = list(ills(facts))
    well = f"version {facts['redis_version']}, durable, {int(facts['used_memory']):,} bytes in use"
    yield Finding("redis", not found, "; ".join(found) or well)
    try:
        check_broker(settings)
    except FarmError as error:
        yield Finding("broker", False, error.message)
    else:
        yield Finding("broker", True, f"{RedisAddress.read(settings.broker, 'FARM_BROKER_URL')} takes messages")


def _missing_folder(settings: Settings) -> Finding | None:
    """Said before the storage is opened, which would make the folder: a doctor changes nothing."""
    parts = urlsplit(settings.storage_url)
    if parts.scheme != "file" or Path(unquote(parts.path)).is_dir():
        return None
    return Finding("storage", False, f"{settings.storage_url}: there is no such folder; correct FARM_STORAGE_URL")


def _storage(settings: Settings) -> Finding:
    with needs("storage"):
        from farm.storage import open_storage
    with needs("store"):
        from farm.storage_mark import compare, read_mark
    try:
        storage = open_storage(settings)
        storage.check()
        compare(_known_mark(settings), read_mark(storage), settings)
    except FarmError as error:
        return Finding("storage", False, f"{settings.storage_url}: {error.message}")
    return Finding("storage", True, f"{settings.storage_url} can be written and read")


def _strangers(settings: Settings) -> Iterator[Finding]:
    """Workers that keep their objects elsewhere."""
    with needs("store"):
        from farm.storage_mark import on_another_storage
        from farm.store import Store, registry
    try:
        with closing(Store.connect(settings.redis_url)) as store:
            beats, known = store.run(registry.workers()), store.run(registry.storage_mark())
    except FarmError:
        return  # which is a finding of its own
    if names := [each.id for each in on_another_storage(map(Worker.model_validate_json, beats), known)]:
        says = f"on another storage than the farm's: {', '.join(names)}; give them the farm's FARM_STORAGE_URL"
        yield Finding("workers", False, says)


def _known_mark(settings: Settings) -> str | None:
    """None also where Redis can't be asked, which is a finding of its own."""
    from farm.store import Store, registry

    try:
        with closing(Store.connect(settings.redis_url)) as store:
            return store.run(registry.storage_mark())
    except FarmError:
        return None


def _webhooks(settings: Settings) -> Finding:
    if settings.webhook_secret is None:
        return Finding("webhooks", True, "refused, because FARM_WEBHOOK_SECRET is not set; set it to allow them")
    try:
        check_form(settings.webhook_secret)
    except Misconfigured as error:
        return Finding("webhooks", False, error.message)
    return Finding(
        "webhooks",
        True,
        "signed; networks allowed beside public ones: " + (_networks(settings) or "none"),
    )


def _networks(settings: Settings) -> str:
    keyless = [f"{network} until there is an API key" for network in settings.webhook_allow_keyless]
    return ", ".join([*settings.webhook_allow, *keyless])
