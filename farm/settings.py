"""The settings of the farm: environment variables with the prefix FARM_, read once into one frozen object.

Every setting has a working default and a sentence. An empty variable counts as absent, because compose files pass empty
ones. Misspelling a name would silently give the default, so each unknown FARM_ name is warned about, with the nearest
known one.

An engine has settings of its own, with a prefix of its own (FARM_INDEXTTS_), which only a render worker reads. They
stand beside the engine. `python -m worker.settings_docs` prints all of them for docs/settings.md.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from farm.errors import Misconfigured
from farm.redis_address import RedisAddress

ENGINE_GROUP = "tts_farm.engines"  # the entry points by which other distributions bring engines

# Names that belong to the farm but are read elsewhere (compose, make, the tests).
_FOREIGN = frozenset({"FARM_VENV", "FARM_TEST_REDIS", "FARM_TEST_PATIENCE"})
_ENGINES_WITH_SETTINGS = ("indextts", "kokoro")  # of those that come with the farm: farm/ can't import them to ask


# What Kubernetes sets in each container for a Service named `farm` or `farm-…`: FARM_PORT=tcp://10.43.1.39:8000.
_SERVICE_LINK = re.compile(
    r"FARM_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)=.*"
    r"|FARM_(\w+_)?PORT=(tcp|udp|sctp)://.*"
)
_PORT = 8000
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")


def _unless_service_link(value: object) -> object:
    return _PORT if _SERVICE_LINK.fullmatch(f"FARM_PORT={value}") else value


def _listed(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _origins(value: object) -> object:
    """Browsers send an origin without a path, so one with a path would never be met."""
    origins = _listed(value)
    for origin in origins if isinstance(origins, tuple) else ():
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin!r} is no origin; write scheme and host alone, like https://app.example.org:8443")
    return origins


def _mapped(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    if not all(name.strip() and meaning.strip() for name, _, meaning in pairs):
        raise ValueError("write name=meaning, with commas between")
    return {name.strip(): meaning.strip() for name, _, meaning in pairs}


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class Variables(BaseSettings):
    """Environment variables with one prefix, which a subclass names in its `model_config`."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="ignore")

    gone: ClassVar[Mapping[str, str]] = {}  # variables of earlier releases, and what is to be known instead

    @classmethod
    def read(cls, **values: Any) -> Self:
        """From the environment; `values` win over it. Raises Misconfigured, which names every wrong variable."""
        try:
            return cls(**values)
        except ValidationError as error:
            wrong = (
                f"{cls.prefix()}{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}"
                for item in error.errors()
            )
            raise Misconfigured("; ".join(wrong)) from None

    @classmethod
    def prefix(cls) -> str:
        return cls.model_config.get("env_prefix", "")

    @classmethod
    def variables(cls) -> dict[str, FieldInfo]:
        """Each setting by the name of its variable."""
        return {f"{cls.prefix()}{name.upper()}": field for name, field in cls.model_fields.items()}


class Settings(Variables):
    model_config = SettingsConfigDict(env_prefix="FARM_")

    host: str = Field("127.0.0.1", description="address that the API binds to; others than loopback need an API key")
    port: Annotated[int, BeforeValidator(_unless_service_link)] = Field(
        _PORT, ge=0, le=65535, description="port of the API"
    )
    url: str = Field("http://127.0.0.1:8000", description="the farm that the CLI and the client talk to")
    api_key: str | None = Field(None, description="the key that the CLI and the client send")
    data_dir: Path = Field(Path("data"), description="the embedded farm's folder: Redis AOF, audio, logs, pids")

    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        description="the store: jobs, segments, leases; redis://, rediss:// for TLS, or unix:///path/of.sock",
    )
    broker_url: str | None = Field(
        None, description="Celery's own database; redis_url with the next database number when absent"
    )
    synchronous_commit: bool = Field(
        False,
        description="the API answers 2xx only once Redis has the change on disk, so that a power cut takes nothing "
        "back; needs appendfsync always and Redis 7.2, or Redis 8 with everysec, where an answer may take seconds",
    )
    storage_url: str = Field("file:///var/lib/farm", description="file:///folder or s3://bucket/prefix")
    s3_public_endpoint: str | None = Field(
        None, description="host of presigned URLs where it is not the workers' endpoint"
    )
    s3_proxy: str | None = Field(
        None, description="the HTTP proxy on the way to S3; proxies of the environment (HTTPS_PROXY) are not used"
    )
    s3_path_style: bool = Field(True, description="bucket in the path, as most self-hosted S3 servers want it")

    model: str = Field("espeak", description="the default model of the API, and what a render worker serves")
    lease_seconds: float = Field(
        10.0, ge=0.5, le=3600, description="a claim that is not renewed for this long goes to another worker"
    )
    watchdog_seconds: float = Field(
        300.0, ge=1, le=604_800, description="an engine without progress for this long ends its worker"
    )
    check: Annotated[Literal["off", "report", "rerender"], BeforeValidator(_lower)] = Field(
        "off",
        description="off, report or rerender: whether an ear hears each clip and tells of one that does not say its "
        "text; rerender has such a clip made again under up to two other seeds; needs tts-farm[check]",
    )
    check_behind: Annotated[Literal["wait", "pass"], BeforeValidator(_lower)] = Field(
        "wait",
        description="while the ear is behind the engine: wait, or let clips pass with the warning `unchecked`",
    )
    ear_dir: Path | None = Field(
        None, description="folder of the ear's files, filled at the first start; ~/.cache/tts-farm/ear when absent"
    )
    retention_days: float = Field(30.0, gt=0, le=36_500, description="how long results and clips are kept")
    record_days: float = Field(90.0, gt=0, le=36_500, description="how long the record of a job outlives its result")

    speech_aliases: Annotated[Mapping[str, str], NoDecode, BeforeValidator(_mapped)] = Field(
        {},
        description="names that clients of /v1/audio/speech ship with, and the model or voice that each means here: "
        "tts-1=indextts-2,alloy=anna; without it they mean the default model and the language's voice",
    )
    speech_hours: float = Field(
        24.0, gt=0, le=876_000, description="how long the clips and the record of a speech request are kept"
    )

    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = Field(
        (),
        description="sites whose pages may call the API from a browser: https://app.example.org,http://localhost:3000; "
        "* for every site, which needs an API key",
    )
    public_url: str | None = Field(None, description="how clients reach the API, for URLs in answers and webhooks")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="networks of proxies whose X-Forwarded-Proto and -For the API believes: 127.0.0.1/32,10.0.0.0/8"
    )
    webhook_secret: str | None = Field(None, description="whsec_…; signs webhooks; without it webhooks are refused")
    webhook_allow: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="networks that webhooks may reach beside public ones: 10.0.0.0/8,127.0.0.0/8"
    )
    webhook_allow_keyless: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="networks that webhooks may reach as long as there is no API key; the embedded farm's loopback"
    )
    remote_control: bool = Field(
        False,
        description="workers answer Celery's remote control, which Flower needs; whoever reaches the broker can then "
        "stop them",
    )
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR"
    )
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower)] = Field(
        "text", description="text for a terminal, or json: one object a line, for a collector of logs"
    )

    @cached_property
    def broker(self) -> str:
        """The address of Celery's database. Raises Misconfigured, which begins with the setting that is wrong."""
        if self.broker_url:
            return RedisAddress.read(self.broker_url, "FARM_BROKER_URL").url
        store = RedisAddress.read(self.redis_url, "FARM_REDIS_URL")
        return store.with_database(store.database + 1).url


def cache_folder() -> Path:
    """Where weights lie unless a setting names another folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tts-farm"


def misspelt(environment: Mapping[str, str], settings: type[Variables] = Settings) -> list[str]:
    """One warning for each variable that has the prefix of these settings and is none of them. The farm leaves the
    variables of engines alone: a worker that loads the engine looks at those."""
    prefix = settings.prefix()
    known = settings.variables().keys() | _FOREIGN
    unknown = [
        name
        for name in sorted(environment)
        if name.startswith(prefix) and name not in known and not _SERVICE_LINK.fullmatch(f"{name}={environment[name]}")
    ]
    others = _engine_prefixes() if unknown and settings is Settings else ()
    warnings = []
    for name in unknown:
        if name in settings.gone:
            warnings.append(f"{name} is a setting no longer: {settings.gone[name]}")
        elif not name.startswith(others):
            # Without the prefix, which makes any two names alike.
            near = difflib.get_close_matches(name.removeprefix(prefix), [one.removeprefix(prefix) for one in known], 1)
            warnings.append(f"{name} is not a setting" + (f"; did you mean {prefix}{near[0]}?" if near else ""))
    return warnings


def engine_prefix(model: str) -> str:
    """How the names of an engine's own settings begin: FARM_INDEXTTS_ for both indextts-2 and indextts-2.5."""
    return f"FARM_{re.split('[^A-Za-z0-9]', model)[0].upper()}_"


def _engine_prefixes() -> tuple[str, ...]:
    brought = (point.name for point in entry_points(group=ENGINE_GROUP))
    return tuple(engine_prefix(model) for model in (*_ENGINES_WITH_SETTINGS, *brought))
