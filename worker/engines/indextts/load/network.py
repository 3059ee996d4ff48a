"""A checkpoint becomes a Network: the package's own modules, with their weights.

The package's own loader leaves out weights of another shape, prints to stdout, and changes the filters of warnings for
the whole process. It also loads a language model that few need, and seven layers of w2v-BERT whose states are never
used. None of that happens here. Run with the package indextts2-inference 2.1.1 on transformers 5.14, and with the
official repository at ee40fa7 on transformers 4.52.1: of one checkpoint, the modules of both gave the same numbers.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from farm.errors import Misconfigured
from worker.engines.indextts.load.checkpoint import Checkpoint, semantic_weights
from worker.engines.indextts.load.package import OFFICIAL, Official, Package, not_installed, place_of_package
from worker.engines.indextts.load.weights import check_finite, damaged, entry, load, place, restore
from worker.engines.indextts.shapes import HALF, HOP, MELS, SAMPLE_RATE, Network, Precisions
from worker.engines.indextts.text.wording import spanish_grammar

_CPU = torch.device("cpu")
_LAYERS_HEARD = 17  # of w2v-BERT's 24: the model was trained on the state behind the 17th
_STYLE = 192
# They run once for each voice, and every clip in it depends on them, so rounding them would gain nothing.
_ONCE_PER_VOICE = (
    *("conditioning_encoder", "perceiver_encoder", "emo_conditioning_encoder", "emo_perceiver_encoder"),
    *("emovec_layer", "emo_layer", "spk_emb_proj"),
)


def load_network(checkpoint: Checkpoint, device: torch.device, precisions: Precisions) -> Network:
    """Raises Misconfigured if the package is missing, a file can't be read, or the weights don't fit config.yaml."""
    _check_audio(checkpoint)
    config = checkpoint.config
    with _contained():
        package = Package.find()
        own = _of_25(package, checkpoint) if checkpoint.version == "2.5" else _of_2(package, checkpoint)
        models = _s2mel(package, checkpoint, own.s2mel, **own.s2mel_options)
        mean, variance = (entry(load(checkpoint.statistics), key, checkpoint.statistics) for key in ("mean", "var"))
        return Network(
            version=checkpoint.version,
            config=config,
            device=device,
            precisions=precisions,
            gpt=place(own.gpt, device, precisions.gpt, in_full=_ONCE_PER_VOICE),
            regulator=place(models["length_regulator"], device),
            estimator=place(models["cfm"].estimator, _CPU),
            gpt_layer=place(models["gpt_layer"], device) if "gpt_layer" in own.s2mel else None,
            codec=place(own.codec, device),
            vocoder=place(_vocoder(package, checkpoint), _CPU if precisions.vocoder in HALF else device),
            speaker=place(_speaker(package, checkpoint), device),
            mel=_mel(package, config),
            emotion_rows=_rows(checkpoint.emotion_rows, config["gpt"]["model_dim"], checkpoint, device),
            speaker_rows=_rows(checkpoint.speaker_rows, _STYLE, checkpoint, device),
            semantic=place(_semantic(checkpoint), device),
            semantic_mean=mean.to(device),
            semantic_std=variance.sqrt().to(device),
            features=_features(checkpoint),
            emotion_model_dir=str(checkpoint.emotion_model),
            normalizer=own.normalizer,
            tokenizer=own.tokenizer,
            spanish=own.spanish,
            japanese=own.japanese,
            language_row=own.language_row,
        )


@dataclass(frozen=True, slots=True)
class _Own:
    """The modules that a version makes in its own way, not yet on the device."""

    gpt: Any
    s2mel: tuple[str, ...]  # which models of s2mel are used
    s2mel_options: Mapping[str, Any]
    codec: Any
    normalizer: Any
    tokenizer: Any
    spanish: Any = None
    japanese: Any = None
    language_row: Any = None


def _of_2(package: Package, checkpoint: Checkpoint) -> _Own:
    from omegaconf import OmegaConf

    config = OmegaConf.create(checkpoint.config["semantic_codec"])
    codec = _make(checkpoint.config_file, "semantic_codec", lambda: package.build_semantic_codec(config))
    restore(codec, load(checkpoint.codec), checkpoint.codec)
    normalizer = _normalizer(package, checkpoint)
    return _Own(
        gpt=_gpt(package, checkpoint),
        s2mel=("cfm", "length_regulator", "gpt_layer"),
        s2mel_options={"use_gpt_latent": True},
        codec=codec,
        normalizer=normalizer,
        tokenizer=_sentencepiece(package, checkpoint, normalizer),
    )


def _of_25(package: Package, checkpoint: Checkpoint) -> _Own:
    from omegaconf import OmegaConf

    official = Official.find()
    config = OmegaConf.create(checkpoint.config["semantic_codec"])
    codec = _make(checkpoint.config_file, "semantic_codec", lambda: official.codec(**config, cfg=config))
    restore(codec, entry(load(checkpoint.codec), "model", checkpoint.codec), checkpoint.codec, "model.")
    try:
        with _grammars_kept():
            spanish = spanish_grammar(place_of_package())
        japanese = official.japanese(g2p_ratio=0)  # the share of words that would be replaced by their reading
    except ImportError as error:
        raise not_installed(error, OFFICIAL) from error
    return _Own(
        gpt=_gpt(package, checkpoint, spk_cond_mode="campplus"),
        s2mel=("cfm", "length_regulator"),
        s2mel_options={},
        codec=codec,
        normalizer=_normalizer(package, checkpoint),
        tokenizer=_ranks(official, checkpoint),
        spanish=spanish,
        japanese=japanese,
        language_row=official.language_row,
    )


def _gpt(package: Package, checkpoint: Checkpoint, **options: Any) -> Any:
    gpt = _make(checkpoint.config_file, "gpt", lambda: package.unified_voice(**checkpoint.config["gpt"], **options))
    state = load(checkpoint.gpt)
    restore(gpt, state["model"] if isinstance(state, Mapping) and "model" in state else state, checkpoint.gpt)
    return gpt


def _s2mel(package: Package, checkpoint: Checkpoint, names: Sequence[str], **options: Any) -> Mapping[str, Any]:
    """The models of s2mel by name: length regulator, flow (cfm), and the layer from GPT latents to contents."""
    from omegaconf import OmegaConf

    config = OmegaConf.create(checkpoint.config["s2mel"])
    models: Mapping[str, Any] = _make(checkpoint.config_file, "s2mel", lambda: package.s2mel(config, **options)).models
    states = entry(load(checkpoint.s2mel), "net", checkpoint.s2mel)
    for name in names:
        restore(models[name], entry(states, name, checkpoint.s2mel), checkpoint.s2mel, f"net.{name}.")
    models["cfm"].estimator.setup_caches(max_batch_size=1, max_seq_length=8192)
    return models


def _semantic(checkpoint: Checkpoint) -> Any:
    """w2v-BERT up to the layer whose state is used."""
    transformers: Any = importlib.import_module("transformers")
    folder, weights = checkpoint.semantic, semantic_weights(checkpoint.semantic)
    config = transformers.Wav2Vec2BertConfig.from_pretrained(folder)
    if config.num_hidden_layers < _LAYERS_HEARD:
        raise Misconfigured(
            f"{folder / 'config.json'}: num_hidden_layers is {config.num_hidden_layers}, and IndexTTS reads the "
            f"state behind layer {_LAYERS_HEARD}; use the config.json of facebook/w2v-bert-2.0"
        )
    config.num_hidden_layers = _LAYERS_HEARD
    config.add_adapter = config.use_intermediate_ffn_before_adapter = False  # either would change the last state
    try:
        model, report = transformers.Wav2Vec2BertModel.from_pretrained(
            folder, config=config, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # the errors of transformers for a damaged file have no class in common
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


def _speaker(package: Package, checkpoint: Checkpoint) -> Any:
    speaker = _make(checkpoint.speaker, "", lambda: package.campplus(feat_dim=MELS, embedding_size=_STYLE))
    restore(speaker, load(checkpoint.speaker), checkpoint.speaker)
    return speaker


def _vocoder(package: Package, checkpoint: Checkpoint) -> Any:
    """BigVGAN. Its authors publish it with weight norm, others without."""
    settings, weights = checkpoint.vocoder / "config.json", checkpoint.vocoder / "bigvgan_generator.pt"
    config = package.bigvgan.load_hparams_from_json(settings)
    vocoder = _make(settings, "", lambda: package.bigvgan.BigVGAN(config))
    state = entry(load(weights), "generator", weights)
    normed = isinstance(state, Mapping) and "conv_pre.weight_g" in state
    if not normed:
        vocoder.remove_weight_norm()
    restore(vocoder, state, weights, "generator.")
    if normed:
        vocoder.remove_weight_norm()
    return vocoder


def _mel(package: Package, config: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
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
        fmax=None if spectrum.get("fmax", "None") == "None" else 8000,  # as in the package, for any other value
        center=False,
    )


def _rows(path: Path, width: int, checkpoint: Checkpoint, device: torch.device) -> tuple[Tensor, ...]:
    """For each emotion its `emo_num` rows, out of a matrix that has the emotions one after the other."""
    rows, counts = load(path), checkpoint.config["emo_num"]
    needed = (sum(counts), width)
    if not isinstance(rows, Tensor) or rows.shape != needed:
        found = tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
        raise Misconfigured(f"{path} is {found} where emo_num in config.yaml asks for {needed}; fetch both again")
    return torch.split(rows.to(device, torch.float32), counts)


def _normalizer(package: Package, checkpoint: Checkpoint) -> Any:
    """The package's normaliser with its grammars, which the package builds at first use and keeps beside its files."""
    normalizer = package.text_normalizer(enable_glossary=True)
    with _grammars_kept():
        normalizer.load()
    if checkpoint.glossary.exists():
        normalizer.load_glossary_from_yaml(str(checkpoint.glossary))
    return normalizer


def _sentencepiece(package: Package, checkpoint: Checkpoint, normalizer: Any) -> Any:
    try:
        return package.text_tokenizer(str(checkpoint.tokenizer), normalizer)
    except (RuntimeError, OSError, ValueError) as error:
        raise damaged(checkpoint.tokenizer, error) from error


def _ranks(official: Official, checkpoint: Checkpoint) -> Any:
    """tiktoken's Encoding. One without a token for every byte would end the process at a text that needs the token."""
    path = checkpoint.tokenizer
    try:
        encoding = official.tokenizer(multilingual=True, model_dir=str(path.parent)).encoding
        for byte in range(256):
            encoding.encode_single_token(bytes([byte]))
    except (AssertionError, KeyError, OSError, ValueError) as error:
        raise damaged(path, error) from error
    if encoding.n_vocab > (rows := checkpoint.config["gpt"]["number_text_tokens"]):
        raise Misconfigured(
            f"{path} has {encoding.n_vocab} tokens, and gpt.number_text_tokens in {checkpoint.config_file} is {rows}; "
            "fetch both again"
        )
    return encoding


@contextlib.contextmanager
def _grammars_kept() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Misconfigured(
            f"the package's text normaliser can't keep its grammars ({error}); start once as a user who may write there"
        ) from error


def _check_audio(checkpoint: Checkpoint) -> None:
    """Raises Misconfigured unless the audio has the rate and the frames for which the stages were made."""
    audio = checkpoint.config["s2mel"]["preprocess_params"]
    spectrum = audio["spect_params"]
    for name, found, needed in (
        ("sr", audio["sr"], SAMPLE_RATE),
        ("spect_params.hop_length", spectrum["hop_length"], HOP),
        ("spect_params.n_mels", spectrum["n_mels"], MELS),
    ):
        if found != needed:
            raise Misconfigured(
                f"{checkpoint.config_file}: s2mel.preprocess_params.{name} is {found}, and IndexTTS-"
                f"{checkpoint.version} has {needed}; use the config.yaml that came with the weights"
            )


def _make(path: Path, section: str, make: Callable[[], Any]) -> Any:
    try:
        with _Undrawn():
            return make()
    except ImportError as error:
        raise not_installed(error) from error
    except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise Misconfigured(
            f"{path}: no network can be made of {section or 'it'} ({error}); use the one that came with the weights"
        ) from error


class _Undrawn(TorchFunctionMode):
    """Makes modules start from zeros and not from random numbers: at full size 1.1 billion would be drawn and then
    replaced. Zeros, because PyTorch's truncated distribution draws until all values are within its bounds."""

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
    """Keeps the package's import and construction from changing the process: filters of warnings, the random state,
    progress bars, prints to stdout."""
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
    """transformers would draw progress bars for files of a second, and report the layers that were left out."""
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
