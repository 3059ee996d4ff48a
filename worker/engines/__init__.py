"""What renders, one file or folder per engine. Each is imported only when it is asked for, because each brings its own
large libraries."""

from __future__ import annotations

import logging

from farm.errors import Misconfigured
from farm.settings import Settings
from worker.engine import Engine


def load(settings: Settings) -> Engine:
    """The engine of FARM_MODEL, ready to render."""
    if settings.model == "espeak":
        try:
            from worker.engines.espeak.engine import Espeak
        except ImportError:
            raise Misconfigured("the espeak engine is not installed: pip install 'tts-farm[espeak]'") from None
        return Espeak()
    from worker.engines import indextts

    if settings.model in indextts.MODELS:
        return indextts.load(settings)
    raise Misconfigured(f"FARM_MODEL={settings.model}: no such engine; this farm has espeak and {_listed()}")


def fetch(model: str, settings: Settings) -> None:
    """The files of a model, into FARM_INDEXTTS_DIR or the Hugging Face cache, with progress on stderr."""
    from worker.engines import indextts

    if model not in indextts.MODELS:
        raise Misconfigured(f"{model} has no files to fetch; those that have are {_listed()}")
    try:
        from worker.engines.indextts.load import hub
    except ImportError as error:
        raise Misconfigured(f"fetching needs {error.name}: pip install 'tts-farm[indextts]'") from None
    logging.basicConfig(level=settings.log_level, format="%(message)s")
    hub.fetch(indextts.MODELS[model], settings.indextts_dir)


def _listed() -> str:
    from worker.engines.indextts import MODELS

    return ", ".join(MODELS)
