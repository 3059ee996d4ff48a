"""The farm that an operator's command acts on: the one that the environment names, else the embedded farm of the data
folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from farm.embedded.data_folder import webhook_secret
from farm.embedded.running import Running
from farm.errors import Misconfigured
from farm.settings import Settings


@dataclass(frozen=True, slots=True)
class Site:
    """Settings of a farm. `operated` is true where its Redis can be reached, false on a client's machine; `stored`
    where its storage is known as well. The default of FARM_STORAGE_URL says nothing about a farm elsewhere."""

    settings: Settings
    operated: bool
    stored: bool = False


def site(environment: Mapping[str, str] = os.environ) -> Site:
    """Settings, with the addresses of a running embedded farm filled in where the environment says nothing."""
    settings = Settings.read()
    if environment.get("FARM_REDIS_URL"):
        return Site(settings, operated=True, stored=bool(environment.get("FARM_STORAGE_URL")))
    running = Running.read(settings.data_dir)
    if running is None:
        return Site(settings, operated=False)
    found = {
        "url": running.url,
        "redis_url": running.redis_url,
        "storage_url": running.storage_url,
        "webhook_secret": webhook_secret(settings.data_dir.resolve()),
        "webhook_allow_keyless": tuple(running.webhook_allow_keyless),
    }
    kept = {name: value for name, value in found.items() if not environment.get(f"FARM_{name.upper()}")}
    return Site(settings.model_copy(update=kept), operated=True, stored=True)


def operated_site() -> Settings:
    """Raises Misconfigured on a machine from which the farm's Redis can't be reached."""
    here = site()
    if not here.operated:
        raise Misconfigured(
            f"there is no running farm in {here.settings.data_dir}/; set FARM_REDIS_URL to the farm's Redis, "
            "FARM_DATA_DIR to the folder of an embedded farm, or start one with `farm up` (without --host, as long as "
            "it has no key)"
        )
    return here.settings
