"""Every setting of the farm: environment variables with the prefix FARM_, read once into one frozen object.

A setting has a working default and a sentence. An empty variable counts as absent, because compose files pass such. A
FARM_ name that is none of these is warned about with the nearest real one, because a misspelt setting is silently a
default.

    python -m farm.settings        prints docs/settings.md
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from farm.errors import Misconfigured

# Names that belong to the farm but are read elsewhere (compose, make, the tests).
_FOREIGN = frozenset({"FARM_VENV", "FARM_TEST_REDIS", "FARM_TEST_PATIENCE"})


Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]


def _listed(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FARM_", env_ignore_empty=True, frozen=True, extra="ignore")

    host: str = Field("127.0.0.1", description="address that the API binds to; others than loopback need an API key")
    port: int = Field(8000, ge=0, le=65535, description="port of the API")
    url: str = Field("http://127.0.0.1:8000", description="the farm that the CLI and the client talk to")
    api_key: str | None = Field(None, description="the key that the CLI and the client send")
    data_dir: Path = Field(Path("data"), description="the embedded farm's folder: Redis AOF, audio, logs, pids")

    redis_url: str = Field("redis://127.0.0.1:6379/0", description="the store: jobs, segments, leases")
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
    s3_path_style: bool = Field(True, description="bucket in the path, as most self-hosted S3 servers want it")

    model: str = Field("espeak", description="the default model of the API, and what a render worker serves")
    lease_seconds: float = Field(
        10.0, ge=0.5, description="a claim that is not renewed for this long goes to another worker"
    )
    watchdog_seconds: float = Field(300.0, ge=1, description="an engine without progress for this long ends its worker")
    retention_days: float = Field(30.0, gt=0, description="how long results and clips are kept")
    record_days: float = Field(90.0, gt=0, description="how long the record of a job outlives its result")

    indextts_dir: Path | None = Field(
        None,
        description="folder with an IndexTTS checkpoint; the Hugging Face cache, filled at first start, when absent",
    )
    indextts_device: str = Field("auto", description="cpu, cuda or cuda:1; auto takes a GPU where there is one")
    indextts_slots: int | None = Field(
        None, ge=1, le=1024, description="utterances decoded at once; 64 on a GPU and 16 on a CPU when absent"
    )
    indextts_gpt: Precision = Field(
        "auto",
        description="precision of the GPT: fp32, tf32, bf16, fp16; auto is fp16 (2.5: bf16) on a GPU, fp32 on a CPU",
    )
    indextts_s2mel: Precision = Field(
        "auto", description="precision of regulator and flow; auto is tf32 on a GPU and fp32 on a CPU"
    )
    indextts_vocoder: Precision = Field(
        "auto", description="precision of the vocoder; auto is tf32 on a GPU and fp32 on a CPU"
    )
    indextts_attention: Literal["auto", "flash", "sdpa"] = Field(
        "auto",
        description="of the decode: flash needs flash-attn, a GPU and half precision; auto takes it where it can",
    )
    indextts_compile: bool = Field(
        False, description="torch.compile for the decode step: faster after minutes of start"
    )
    indextts_steps: int = Field(25, ge=1, le=200, description="Euler steps of the flow; the model was made for 25")
    indextts_code_limit: int = Field(
        1500, ge=50, le=1800, description="codes of one utterance, 50 to a second (2.5: 25)"
    )
    indextts_voices_mb: int = Field(512, ge=16, description="memory for voices that were heard before")
    indextts_readers: int | None = Field(
        None, ge=0, le=64, description="processes that put numbers into words; 4 on a GPU when absent, on a CPU none"
    )
    indextts_beams: int = Field(
        1, ge=1, description="beams of the decode: 1; more are refused, docs/indextts.md says why"
    )

    public_url: str | None = Field(None, description="how clients reach the API, for URLs in answers and webhooks")
    webhook_secret: str | None = Field(None, description="whsec_…; signs webhooks; without it webhooks are refused")
    webhook_allow: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="networks that webhooks may reach beside public ones: 10.0.0.0/8,127.0.0.0/8"
    )
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR"
    )

    @cached_property
    def broker(self) -> str:
        if self.broker_url:
            return self.broker_url
        parts = urlsplit(self.redis_url)
        database = parts.path.strip("/") or "0"
        if parts.scheme not in ("redis", "rediss") or not database.isdecimal():
            raise Misconfigured(
                "FARM_REDIS_URL: has no database number that the broker's could follow; set FARM_BROKER_URL as well, "
                "or write it as redis://host:6379/0"
            )
        return urlunsplit(parts._replace(path=f"/{int(database) + 1}"))

    @classmethod
    def read(cls, **values: Any) -> Settings:
        """From the environment. Raises Misconfigured with every wrong setting named."""
        try:
            return cls(**values)
        except ValidationError as error:
            wrong = "; ".join(
                f"FARM_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}" for item in error.errors()
            )
            raise Misconfigured(wrong) from None


def misspelt(environment: Mapping[str, str]) -> list[str]:
    """One warning for every FARM_ variable that is no setting."""
    known = {f"FARM_{name.upper()}" for name in Settings.model_fields} | _FOREIGN
    warnings = []
    for name in sorted(environment):
        if name.startswith("FARM_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            warnings.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    return warnings


def main() -> None:
    print("# Settings\n\nPrinted by `python -m farm.settings` from `farm/settings.py`; a test keeps it so.\n")
    print("| variable | default | |\n|---|---|---|")
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) else f"`{field.default}`"
        print(f"| `FARM_{name.upper()}` | {default} | {field.description} |")
    print(
        "\nS3 is reached by the usual `AWS_` variables: `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, "
        "`AWS_SECRET_ACCESS_KEY`, `AWS_REGION`."
    )


if __name__ == "__main__":
    main()
