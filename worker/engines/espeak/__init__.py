"""eSpeak NG: real speech on any CPU, from the `espeakng-loader` wheel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farm.errors import Misconfigured
from worker.engine import EngineSettings, Entry

if TYPE_CHECKING:
    from worker.engines.espeak.engine import Espeak


def load(settings: EngineSettings) -> Espeak:
    """The engine; it has no settings. Raises Misconfigured where its library is not installed."""
    del settings
    try:
        from worker.engines.espeak.engine import Espeak
    except ImportError:
        raise Misconfigured("the espeak engine is not installed: pip install 'tts-farm[espeak]'") from None
    return Espeak()


ENGINE = Entry(load)
