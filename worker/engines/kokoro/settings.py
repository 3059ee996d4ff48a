"""The settings of Kokoro, which a render worker reads."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from worker.engine import EngineSettings


class KokoroSettings(EngineSettings):
    model_config = SettingsConfigDict(env_prefix="FARM_KOKORO_")

    dir: Path | None = Field(
        None,
        description="folder of the model's two files, filled at the first start; ~/.cache/tts-farm/kokoro when absent",
    )

    @property
    def folder(self) -> Path:
        if self.dir is not None:
            return self.dir
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tts-farm" / "kokoro"
