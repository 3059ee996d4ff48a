"""A checkpoint becomes a Network: the package's own modules, with their weights.

The package's way of loading leaves out weights whose shape differs, prints to stdout, changes the filters of warnings
for the whole process, and loads a language model that few need and seven layers of w2v-BERT that nobody reads. None of
that happens here. Run with the package indextts2-inference 2.1.1 on transformers 5.14, and with the official repository
at ee40fa7 on transformers 4.52.1: of one checkpoint, the modules of both gave the same numbers.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from farm.errors import Misconfigured
from worker.engines.indextts.checkpoint import Checkpoint, semantic_weights
from worker.engines.indextts.parts import HOP, MELS, SAMPLE_RATE, Network, Precisions
from worker.engines.indextts.weights import check_finite, damaged, load, part, place, restore

_LAYERS_HEARD = 17  # of w2v-BERT's 24: sound is to the model what the 17th says
_STYLE = 192
# They run once for each voice, and whatever is spoken in it depends on them: rounding them would gain nothing.
_ONCE_PER_VOICE = (
    *("conditioning_encoder", "perceiver_encoder", "emo_conditioning_encoder", "emo_perceiver_encoder"),
    *("emovec_layer", "emo_layer"),
)


def load_network(checkpoint: Checkpoint, device: torch.device, precisions: Precisions) -> Network:
    """Raises Misconfigured if the package is missing, a file can't be read, or weights and config.yaml differ."""
    _check_audio(checkpoint)
    config = checkpoint.config
    with _contained():
        package = _Package.find()
        regulator, estimator, gpt_layer = _s2mel(package, checkpoint)
        mean, variance = (part(load(checkpoint.statistics), key, checkpoint.statistics) for key in ("mean", "var"))
        return Network(
            version="2",
            config=config,
            device=device,
            precisions=precisions,
            gpt=place(_gpt(package, checkpoint), device, precisions.gpt, in_full=_ONCE_PER_VOICE),
            regulator=place(regulator, device, precisions.s2mel),
            estimator=place(estimator, torch.device("cpu")),
            gpt_layer=place(gpt_layer, device, precisions.s2mel),
            codec=place(_codec(package, checkpoint), device),
            vocoder=place(_vocoder(package, checkpoint), device, precisions.vocoder),
            speaker=place(_speaker(package, checkpoint), device),
            mel=_mel(package, config),
            emotion_rows=_rows(checkpoint.emotion_rows, config["gpt"]["model_dim"], checkpoint, device),
            speaker_rows=_rows(checkpoint.speaker_rows, _STYLE, checkpoint, device),
            semantic=place(_semantic(checkpoint), device),
            semantic_mean=mean.to(device),
            semantic_std=variance.sqrt().to(device),
            features=_features(checkpoint),
            tokenizer=_tokenizer(package, checkpoint),
            emotion_model_dir=str(checkpoint.emotion_model),
        )


def _gpt(package: _Package, checkpoint: Checkpoint) -> Any:
    gpt = _make(checkpoint.config_file, "gpt", lambda: package.unified_voice(**checkpoint.config["gpt"]))
    state = load(checkpoint.gpt)
    restore(gpt, state["model"] if isinstance(state, Mapping) and "model" in state else state, checkpoint.gpt)
    return gpt


def _s2mel(package: _Package, checkpoint: Checkpoint) -> tuple[Any, Any, Any]:
    """Length regulator, the flow's estimator, and the layer from GPT latents to contents."""
    from omegaconf import OmegaConf

    config = OmegaConf.create(checkpoint.config["s2mel"])
    models = _make(checkpoint.config_file, "s2mel", lambda: package.s2mel(config, use_gpt_latent=True)).models
    states = part(load(checkpoint.s2mel), "net", checkpoint.s2mel)
    for name in ("cfm", "length_regulator", "gpt_layer"):
        restore(models[name], part(states, name, checkpoint.s2mel), checkpoint.s2mel, f"net.{name}.")
    estimator = models["cfm"].estimator
    estimator.setup_caches(max_batch_size=1, max_seq_length=8192)
    return models["length_regulator"], estimator, models["gpt_layer"]


def _semantic(checkpoint: Checkpoint) -> Any:
    """w2v-BERT without the layers whose states nobody reads: its last state is the one that is read."""
    transformers: Any = importlib.import_module("transformers")
    folder, weights = checkpoint.semantic, semantic_weights(checkpoint.semantic)
    config = transformers.Wav2Vec2BertConfig.from_pretrained(folder)
    if config.num_hidden_layers < _LAYERS_HEARD:
        raise Misconfigured(
            f"{folder / 'config.json'}: num_hidden_layers is {config.num_hidden_layers}, and IndexTTS-2 reads the "
            f"state behind layer {_LAYERS_HEARD}; use the config.json of facebook/w2v-bert-2.0"
        )
    config.num_hidden_layers = _LAYERS_HEARD
    config.add_adapter = config.use_intermediate_ffn_before_adapter = False  # either would change the last state
    try:
        model, report = transformers.Wav2Vec2BertModel.from_pretrained(
            folder, config=config, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # what transformers raises for a damaged file has no class in common
        raise damaged(weights, error) from error
    if missing := sorted(set(report["missing_keys"]) - {"masked_spec_embed"}):
        raise Misconfigured(f"{weights} lacks {missing[0]}; delete it and fetch it again")
    check_finite(model, weights)
    return model


def _features(checkpoint: Checkpoint) -> Any:
    transformers: Any = importlib.import_module("transformers")
    try:
        return transformers.SeamlessM4TFeatureExtractor.from_pretrained(checkpoint.semantic, local_files_only=True)
    except (OSError, TypeError, ValueError) as error:
        raise damaged(checkpoint.semantic / "preprocessor_config.json", error) from error


def _codec(package: _Package, checkpoint: Checkpoint) -> Any:
    from omegaconf import OmegaConf

    config = OmegaConf.create(checkpoint.config["semantic_codec"])
    codec = _make(checkpoint.config_file, "semantic_codec", lambda: package.build_semantic_codec(config))
    restore(codec, load(checkpoint.codec), checkpoint.codec)
    return codec


def _speaker(package: _Package, checkpoint: Checkpoint) -> Any:
    speaker = _make(checkpoint.speaker, "", lambda: package.campplus(feat_dim=MELS, embedding_size=_STYLE))
    restore(speaker, load(checkpoint.speaker), checkpoint.speaker)
    return speaker


def _vocoder(package: _Package, checkpoint: Checkpoint) -> Any:
    """Published with weight norm and, by some, without."""
    settings, weights = checkpoint.vocoder / "config.json", checkpoint.vocoder / "bigvgan_generator.pt"
    config = package.bigvgan.load_hparams_from_json(settings)
    vocoder = _make(settings, "", lambda: package.bigvgan.BigVGAN(config))
    state = part(load(weights), "generator", weights)
    normed = isinstance(state, Mapping) and "conv_pre.weight_g" in state
    if not normed:
        vocoder.remove_weight_norm()
    restore(vocoder, state, weights, "generator.")
    if normed:
        vocoder.remove_weight_norm()
    return vocoder


def _mel(package: _Package, config: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    audio = config["s2mel"]["preprocess_params"]
    spectrum = audio["spect_params"]
    return partial(
        package.mel_spectrogram,
        n_fft=spectrum["n_fft"],
        num_mels=spectrum["n_mels"],
        sampling_rate=audio["sr"],
        hop_size=spectrum["hop_length"],
        win_size=spectrum["win_length"],
        fmin=spectrum.get("fmin", 0),
        fmax=None if spectrum.get("fmax", "None") == "None" else 8000,  # so in the package, whatever it says
        center=False,
    )


def _rows(path: Path, width: int, checkpoint: Checkpoint, device: torch.device) -> tuple[Tensor, ...]:
    """A matrix with `emo_num` rows for each emotion, one emotion after the other."""
    rows, counts = load(path), checkpoint.config["emo_num"]
    needed = (sum(counts), width)
    if not isinstance(rows, Tensor) or rows.shape != needed:
        found = tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
        raise Misconfigured(f"{path} is {found} where emo_num in config.yaml asks for {needed}; fetch both again")
    return torch.split(rows.to(device, torch.float32), counts)


def _tokenizer(package: _Package, checkpoint: Checkpoint) -> Any:
    """With its normaliser, whose grammars the package builds at its first start and keeps beside its own files."""
    try:
        normalizer = package.text_normalizer(enable_glossary=True)
        normalizer.load()
    except OSError as error:
        raise Misconfigured(
            f"the package's text normaliser can't keep its grammars ({error}); start once as a user who may write there"
        ) from error
    try:
        tokenizer = package.text_tokenizer(str(checkpoint.tokenizer), normalizer)
    except (RuntimeError, OSError, ValueError) as error:
        raise damaged(checkpoint.tokenizer, error) from error
    if checkpoint.glossary.exists():
        normalizer.load_glossary_from_yaml(str(checkpoint.glossary))
    return tokenizer


def _check_audio(checkpoint: Checkpoint) -> None:
    """What the stages take for granted."""
    audio = checkpoint.config["s2mel"]["preprocess_params"]
    spectrum = audio["spect_params"]
    for name, found, needed in (
        ("sr", audio["sr"], SAMPLE_RATE),
        ("spect_params.hop_length", spectrum["hop_length"], HOP),
        ("spect_params.n_mels", spectrum["n_mels"], MELS),
    ):
        if found != needed:
            raise Misconfigured(
                f"{checkpoint.config_file}: s2mel.preprocess_params.{name} is {found}, and IndexTTS-2 has {needed}; "
                "use the config.yaml that came with the weights"
            )


def _make(path: Path, section: str, make: Callable[[], Any]) -> Any:
    try:
        with _Undrawn():
            return make()
    except ImportError as error:
        raise _not_installed(error) from error
    except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise Misconfigured(
            f"{path}: no network can be made of {section or 'it'} ({error}); use the one that came with the weights"
        ) from error


@dataclass(frozen=True, slots=True)
class _Package:
    """What is used of the package `indextts`, which has the same places in both distributions but for the codec's."""

    unified_voice: Any
    s2mel: Any
    build_semantic_codec: Any
    campplus: Any
    bigvgan: Any
    mel_spectrogram: Any
    text_normalizer: Any
    text_tokenizer: Any

    @classmethod
    def find(cls) -> _Package:
        try:
            from indextts.gpt.model_v2 import UnifiedVoice
            from indextts.s2mel.modules.audio import mel_spectrogram
            from indextts.s2mel.modules.bigvgan import bigvgan
            from indextts.s2mel.modules.campplus.DTDNN import CAMPPlus
            from indextts.s2mel.modules.commons import MyModel
            from indextts.utils.front import TextNormalizer, TextTokenizer

            try:
                from indextts.codec.maskgct_codec import build_semantic_codec  # of the official repository
            except ModuleNotFoundError:
                from indextts.utils.maskgct_utils import build_semantic_codec
        except ImportError as error:
            raise _not_installed(error) from error
        return cls(
            unified_voice=UnifiedVoice,
            s2mel=MyModel,
            build_semantic_codec=build_semantic_codec,
            campplus=CAMPPlus,
            bigvgan=bigvgan,
            mel_spectrogram=mel_spectrogram,
            text_normalizer=TextNormalizer,
            text_tokenizer=TextTokenizer,
        )


def _not_installed(error: ImportError) -> Misconfigured:
    return Misconfigured(f"IndexTTS is not installed, or not what it needs ({error}): pip install 'tts-farm[indextts]'")


class _Undrawn(TorchFunctionMode):
    """Modules made within start from zeros and not from random numbers, 1.1 billion of them at full size, every one of
    which is then replaced. Zeros, because PyTorch's truncated distribution draws until all is within its bounds."""

    _DRAWS = frozenset({"normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_"})

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), keywords: Mapping[str, Any] | None = None
    ) -> Any:
        keywords = keywords or {}
        if getattr(function, "__name__", "") in self._DRAWS:  # of a tensor, and of torch.nn.init
            tensor: Tensor = arguments[0] if arguments else keywords["tensor"]
            tensor.detach().zero_()
            return tensor
        return function(*arguments, **keywords)


@contextlib.contextmanager
def _contained() -> Iterator[None]:
    """What importing and building the package does to the process, undone: filters of warnings, random numbers that
    are drawn for weights which are then replaced, progress bars and what goes to stdout."""
    with (
        warnings.catch_warnings(),
        torch.random.fork_rng(devices=[]),
        contextlib.redirect_stdout(sys.stderr),
        _silent_transformers(),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _silent_transformers() -> Iterator[None]:
    """It draws progress bars of files that are read in a second, and reports the layers that were left out."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
