"""IndexTTS: narration in the voice of a reference, many utterances at a time on one GPU.

    settings     the variables that begin with FARM_INDEXTTS_
    shapes       the values between the stages, and the protocol of a version (Adapter)
    load/        checkpoint: the files (config, integrity; hub fetches them); package: the installed IndexTTS;
                 network: its modules with the weights of a checkpoint; precision: of each stage, by device;
                 factory: an engine out of settings
    adapter      the common half of the versions; v2 and v25 have the rest
    text/        a text front end for each version: bilingual, multilingual; wording puts numbers into words
    voice/       reference, spectra, reference_encoder, cache; emotion, emotion_model
    engine       the loop: preparation ─> decode/ (decoder, gpt, kv, sampling) ─> sound/; the first and the last run
                 in stages beside the decode, and taker asks the feed
    scrutiny     takes that are odd for their text, and which of two takes stays
    aide         a process that answers questions: grammars, recordings, emotions
    sound/       acoustic: a first try, and a second in fp32; stages: regulator, flow, vocoder, in batches
    kernels/     five small functions of flow and vocoder, by PyTorch or compiled with the image
    isolation    the rules for a batch that fails; device_error: whether the device failed; unexplained: whose
                 failures they are that nobody explains

Importing this imports no torch, which neither fetching nor checking a checkpoint needs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from farm.errors import Misconfigured
from worker.engine import Entry
from worker.engines.indextts.load.package import check_installed
from worker.engines.indextts.settings import IndexTTSSettings

if TYPE_CHECKING:
    from worker.engines.indextts.engine import IndexTTS

_START_S = 7200.0  # a first start may fetch 8 GB, from a hub that may be slow


def load(version: str, settings: IndexTTSSettings) -> IndexTTS:
    """The engine, warm. Raises Misconfigured, which names the missing library or file and the way to get it."""
    if settings.beams != 1:
        raise Misconfigured(
            f"FARM_INDEXTTS_BEAMS={settings.beams}: this engine decodes with one beam. Three would read each "
            "sentence three times for one that is kept, and halve what a GPU narrates; leave it at 1"
        )
    check_installed(version)
    from worker.engines.indextts.load.factory import build

    return build(version, settings)


def fetch(version: str, settings: IndexTTSSettings) -> None:
    """The checkpoint's files, into FARM_INDEXTTS_DIR or the Hugging Face cache. Raises Misconfigured, Unavailable."""
    try:
        from worker.engines.indextts.load import hub
    except ImportError as error:
        raise Misconfigured(f"fetching needs {error.name}: pip install 'tts-farm[indextts]'") from None
    hub.fetch(version, settings.dir)


def _entry(version: str) -> Entry:
    return Entry(partial(load, version), IndexTTSSettings, partial(fetch, version), start_s=_START_S)


VERSION_2, VERSION_25 = _entry("2"), _entry("2.5")
