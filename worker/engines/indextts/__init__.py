"""IndexTTS: narration in the voice of a reference, many utterances at a time on one GPU.

    parts        what travels between the stages, and what a version of the model must bring
    checkpoint   the files (config, integrity); hub, where they come from
    package      which IndexTTS is installed; network, its modules made of a checkpoint
    factory      an engine out of settings
    v2, v25      what a version does in its own way (text, multilingual, ear); the rest is one core
    engine       the loop: preparation (wording, reference, voices, emotion) ─> decode (gpt, kv, sampling)
                 ─> acoustic (regulator, flow, vocoder); beside the decode in a stage each

Importing this imports no torch: fetching a checkpoint and finding fault with one need none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farm.errors import Misconfigured
from farm.settings import Settings
from worker.engines.indextts.load.package import check_installed

if TYPE_CHECKING:
    from worker.engines.indextts.engine import IndexTTS

# What FARM_MODEL may say -> the version that its checkpoint must have.
MODELS = {"indextts-2": "2", "indextts-2.5": "2.5"}


def load(settings: Settings) -> IndexTTS:
    """The engine, warm. Raises Misconfigured with what is missing and how to get it."""
    if settings.indextts_beams != 1:
        raise Misconfigured(
            f"FARM_INDEXTTS_BEAMS={settings.indextts_beams}: this engine decodes with one beam. Three would read each "
            "sentence three times for one that is kept, and halve what a GPU narrates; leave it at 1"
        )
    check_installed(MODELS[settings.model])
    from worker.engines.indextts.load.factory import build

    return build(settings)
