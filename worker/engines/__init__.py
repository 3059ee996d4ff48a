"""What renders, one file or folder per engine."""

from __future__ import annotations

from farm.errors import Misconfigured
from farm.settings import Settings
from worker.engine import Engine


def load(settings: Settings) -> Engine:
    """The engine of FARM_MODEL, ready to render. Imported only here, because each brings its own large libraries."""
    if settings.model == "espeak":
        try:
            from worker.engines.espeak import Espeak
        except ImportError:
            raise Misconfigured("the espeak engine is not installed: pip install 'tts-farm[espeak]'") from None
        return Espeak()
    raise Misconfigured(f"FARM_MODEL={settings.model}: no such engine; this farm has: espeak")
