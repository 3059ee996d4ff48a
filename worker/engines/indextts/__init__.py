"""IndexTTS: narration in the voice of a reference, many utterances at a time on one GPU.

    parts        what travels between the stages, and what a version of the model must bring
    checkpoint   the files (config, integrity); hub, where they come from; network, the package's modules made of them
    factory      an engine out of settings
    engine       the loop: preparation (text, wording, reference, voices, emotion, v2) ─> decode (gpt, kv, sampling)
                 ─> acoustic (regulator, flow, vocoder); beside the decode in a stage each

Importing this imports no torch: fetching a checkpoint and finding fault with one need none.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from farm.errors import Misconfigured
from farm.settings import Settings

if TYPE_CHECKING:
    from worker.engines.indextts.engine import IndexTTS

MODELS = {"indextts-2": "2"}  # what FARM_MODEL may say -> the version that its checkpoint must have


def load(settings: Settings) -> IndexTTS:
    """The engine, warm. Raises Misconfigured with what is missing and how to get it."""
    if settings.indextts_beams != 1:
        raise Misconfigured(
            f"FARM_INDEXTTS_BEAMS={settings.indextts_beams}: this engine decodes with one beam. Three would read each "
            "sentence three times for one that is kept, and halve what a GPU narrates; leave it at 1"
        )
    missing = [package for package in ("torch", "indextts") if find_spec(package) is None]
    if missing:
        raise Misconfigured(
            f"FARM_MODEL={settings.model} needs {' and '.join(missing)}, not installed here: "
            "pip install 'tts-farm[indextts]'"
        )
    from worker.engines.indextts.factory import build

    return build(settings)
