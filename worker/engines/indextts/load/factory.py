"""An engine made from its settings: checkpoint, device, the precision of each stage, and the shares of memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from dataclasses import dataclass, field, replace

import torch

from farm.errors import Misconfigured
from farm.wire import Language, Model
from worker.engines.indextts.decode.decoder import Decoder
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.decode.graph import WantedGraph
from worker.engines.indextts.decode.kv import Wanted
from worker.engines.indextts.engine import IndexTTS
from worker.engines.indextts.examination.start import begin
from worker.engines.indextts.examination.ways import Ways
from worker.engines.indextts.kernels.choice import choose as choose_kernels
from worker.engines.indextts.kernels.plain import PLAIN, Kernels
from worker.engines.indextts.load.checkpoint import Checkpoint, find_checkpoint
from worker.engines.indextts.load.network import load_network
from worker.engines.indextts.load.package import edition
from worker.engines.indextts.load.precision import choose_precisions, switch_tf32
from worker.engines.indextts.load.shares import needs, shares_on
from worker.engines.indextts.preparation import Preparation
from worker.engines.indextts.scrutiny import LIMITS
from worker.engines.indextts.sdpa import without_plans
from worker.engines.indextts.settings import IndexTTSSettings
from worker.engines.indextts.shapes import HALF, SAMPLE_RATE, Adapter, Network, Precisions, Sampling
from worker.engines.indextts.sound.acoustic import Acoustic
from worker.engines.indextts.text.wording import GrammarProcesses, Grammars, Wording
from worker.engines.indextts.v2 import V2
from worker.engines.indextts.v25 import V25
from worker.engines.indextts.voice.cache import EmotionCache, VoiceCache
from worker.engines.indextts.voice.emotion import Emotions
from worker.engines.indextts.voice.emotion_model import EmotionProcess
from worker.engines.indextts.voice.spectra import Analyst, AnalystProcess

log = logging.getLogger(__name__)

_RENDERING = 1  # raise it when these files make the same input sound different
_RENDERING_HALF = 1  # likewise, where only flow or vocoder in half precision sound different

# At 0.155 s for 10 s of speech and 3.1 ms a step, 6 fill 60 of 64 rows, and 4 only 40 (tests/indextts/test_pace.py).
_READERS_CUDA = range(2, 7)
_THREADS_CUDA = 2


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a network of any version."""

    slots: int | None = None  # by memory when absent
    attention: Wanted = "auto"
    graph: WantedGraph = "auto"
    kernels: Kernels | None = None  # chosen by the device when absent
    steps: int = 25
    voice_bytes: int = 512 << 20
    readers: int = 0  # processes that put texts into words; 0: in the engine's own process
    sampling: Sampling = field(default_factory=Sampling)
    checks: bool = False  # of takes. The limits are those of released weights; random ones keep no time with a text
    pages: int | None = None  # of the decoder's K and V; by memory when absent


def build(version: str, settings: IndexTTSSettings, *, checks: bool = True) -> IndexTTS:
    """Returns when a first utterance has been rendered, so that no job waits for the choice of kernels. `checks` as in
    Options. Raises Misconfigured."""
    device = choose_device(settings.device)
    precisions = choose_precisions(version, settings, device)
    switch_tf32(precisions, device)
    limit_threads(device)
    options = replace(choose_options(settings, device), checks=checks)
    started = time.monotonic()
    checkpoint = _checkpoint(version, settings)

    def make(network: Network, ways: Ways) -> IndexTTS:
        chosen = replace(options, attention=ways.attention, graph=ways.graph, kernels=ways.kernels)
        return assemble(network, checkpoint.revision(), chosen)

    wanted = Ways(settings.attention, settings.graph, precisions, options.kernels or PLAIN)
    network = load_network(checkpoint, device, precisions)
    engine = begin(network, wanted, make, examined=device.type == "cuda")
    log.info(
        "%s on %s: ready in %.0f s; %s", engine.card.name, engine.device, time.monotonic() - started,
        ", ".join(f"{name} {fact}" for name, fact in engine.facts().items()),
    )  # fmt: skip
    return engine


def choose_options(settings: IndexTTSSettings, device: torch.device) -> Options:
    """What a worker with these settings runs on the device."""
    on_gpu = device.type == "cuda"
    return Options(
        slots=settings.slots,
        attention=settings.attention,
        graph=settings.graph,
        kernels=choose_kernels(device, settings.kernels),
        steps=settings.steps,
        voice_bytes=settings.voices_mb << 20,
        readers=_default(settings.readers, readers_beside(len(os.sched_getaffinity(0))) if on_gpu else 0),
        sampling=Sampling(limit=settings.code_limit),
    )


def assemble(network: Network, revision: str, options: Options) -> IndexTTS:
    """An engine on a network. `revision` names the weights."""
    without_plans()
    gpt = Gpt(network.gpt)
    wording: Wording = Grammars(network.normalizer, network.spanish)
    analyst = None
    if options.readers:
        analyst = AnalystProcess(network.features)
        spanish = network.spanish is not None
        wording = GrammarProcesses(options.readers, wording, network.normalizer.term_glossary, spanish=spanish)
    adapter = adapt(network, gpt, wording, analyst)
    reads = EmotionProcess(network.emotion_model_dir, network.version, network.device)
    precisions = network.precisions
    needed = needs(network, gpt, options.sampling.limit)
    shares = shares_on(network.device, needed, options.slots, beside=reads.reserve)
    decoder = Decoder(
        gpt, slots=shares.slots, attention=options.attention, graph=options.graph, pages=options.pages,
        bytes=None if options.pages else shares.pages,
    )  # fmt: skip
    card = Model(
        name=f"indextts-{network.version}",
        revision=f"{revision}-{_fingerprint(precisions, options)}",
        sample_rate=SAMPLE_RATE,
        languages={language: Language(max_characters=most) for language, most in adapter.languages.items()},
        voices={},
        uploaded_voices=True,
        parameters=list(adapter.parameters),
    )
    standing = {
        "precision": f"gpt {precisions.gpt}, s2mel {precisions.s2mel}, vocoder {precisions.vocoder}",
        "attention": decoder.attention.name,
        "decode": "CUDA graphs" if decoder.graphs else "without graphs",
        "beams": "1",
    }
    return IndexTTS(
        card=card,
        device=network.device,
        name=_name(network.device),
        preparation=Preparation(
            adapter,
            VoiceCache(adapter.voices, options.voice_bytes),
            EmotionCache(adapter.emotions),
            Emotions(network, reads),
            wording,
            options.readers,
            network.device,
        ),
        adapter=adapter,
        decoder=decoder,
        acoustic=Acoustic(network, steps=options.steps, rows=shares.frames, kernels=options.kernels),
        sampling=options.sampling,
        slots=shares.slots,
        standing=standing,
        limits=LIMITS[network.version] if options.checks else None,
    )


def adapt(network: Network, gpt: Gpt, wording: Wording | None = None, analyst: Analyst | None = None) -> Adapter:
    if network.version == "2.5":
        return V25(network, wording, analyst)
    return V2(network, gpt.latents, wording, analyst)


def choose_device(wanted: str) -> torch.device:
    """The device by its name. Raises Misconfigured for a GPU that is not there."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise Misconfigured(f"FARM_INDEXTTS_DEVICE={wanted}: say auto, cpu, cuda or cuda:1") from None
    if device.type not in ("cpu", "cuda"):
        raise Misconfigured(f"FARM_INDEXTTS_DEVICE={wanted}: only cpu and cuda are known here")
    if device.type == "cuda":
        there = torch.cuda.device_count()
        if not there:
            raise Misconfigured(
                f"FARM_INDEXTTS_DEVICE={wanted}: PyTorch {torch.__version__} sees no GPU here; look at nvidia-smi, "
                "or say cpu"
            )
        if (device.index or 0) >= there:
            raise Misconfigured(f"FARM_INDEXTTS_DEVICE={wanted}: there are {there} GPUs here, counted from cuda:0")
        device = torch.device("cuda", device.index or 0)
    return device


def readers_beside(processors: int) -> int:
    """Of a GPU: half of the processors at most, because decode, stages and uploads want theirs."""
    return min(max(processors // 2, _READERS_CUDA[0]), _READERS_CUDA[-1])


def limit_threads(device: torch.device) -> None:
    """On a GPU PyTorch's work on the CPU is small. Each of our threads that meets OpenMP would start a thread for each
    core, and these spin beside the decode."""
    if device.type == "cuda":
        torch.set_num_threads(min(_THREADS_CUDA, torch.get_num_threads()))
        with contextlib.suppress(RuntimeError):  # it can be set once, before the first use
            torch.set_num_interop_threads(1)


def _checkpoint(version: str, settings: IndexTTSSettings) -> Checkpoint:
    try:
        return find_checkpoint(settings.dir, version=version)
    except Misconfigured as error:
        if settings.dir is not None:
            raise
        log.info("%s", error.message)
    from worker.engines.indextts.load import hub  # its client takes a second to import, and is seldom needed

    hub.fetch(version)
    return find_checkpoint(version=version)


def _fingerprint(precisions: Precisions, options: Options) -> str:
    """8 hexadecimal digits for everything that makes the same weights sound different."""
    sound = [
        _RENDERING, edition(), precisions.gpt, precisions.s2mel, precisions.vocoder, options.steps,
        options.sampling.limit,
    ]  # fmt: skip
    if {precisions.s2mel, precisions.vocoder} & set(HALF):
        sound.append(_RENDERING_HALF)
    return hashlib.sha256(json.dumps(sound, sort_keys=True).encode()).hexdigest()[:8]


def _default(wanted: int | None, otherwise: int) -> int:
    return otherwise if wanted is None else wanted


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
