"""The settings of Kokoro, which a render worker reads."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from farm.settings import cache_folder
from worker.engine import EngineSettings


class KokoroSettings(EngineSettings):
    model_config = SettingsConfigDict(env_prefix="FARM_KOKORO_")

    dir: Path | None = Field(
        None,
        description="folder of the model's two files, filled at the first start; ~/.cache/tts-farm/kokoro when absent",
    )

    @property
    def folder(self) -> Path:
        return self.dir or cache_folder() / "kokoro"
