"""A random IndexTTS-2 that the real loading code loads: noise in a voice, through every real layer, from a few MB.

    python -m tests.indextts.checkpoint FOLDER               tiny: 2 GPT layers, about 50 codes an utterance
    python -m tests.indextts.checkpoint FOLDER --full-size   every width and depth of the released model, about 500

FOLDER becomes a model directory as users have one: the main files, under hf_cache/ the auxiliary models as the hub's
client keeps them, and under voices/ three references. It stays small because torch.save writes a storage once,
however many tensors are views on it. Only the codec, which safetensors must write in full, has its real size.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import math
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from omegaconf import OmegaConf
from torch import nn

from worker.engines.indextts.load.checkpoint import CODEC, SEMANTIC, SPEAKER, VOCODER, Repository

LAYERS_USED = 17  # of w2v-BERT


@dataclass(frozen=True, slots=True)
class Size:
    """What differs between the tiny model and the full one, beside config.yaml."""

    config: Mapping[str, Any]
    ending: tuple[int, float]  # from this code on the stop code gains so much at each step
    semantic: Mapping[str, Any]  # of the Wav2Vec2BertConfig
    vocoder: Mapping[str, Any]  # in BigVGAN's config.json
    pool: int  # numbers that weights are views on; the largest row must fit in
    vocoder_gain: float  # of its last layer: peaks near 0.5, so that nothing is clipped at 1


def write(folder: Path, *, full_size: bool = False, seed: int = 0) -> Path:
    """A model directory. The same seed gives the same weights on any machine with the same packages."""
    size = FULL if full_size else TINY
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(size.config), sort_keys=False))
    _write_tokenizer(folder, size)
    write_gpt(folder, size, Weights(seed + 1, size.pool))
    write_s2mel(folder, size, Weights(seed + 2, size.pool), use_gpt_latent=True)
    write_emotions(folder, size, Weights(seed + 3, size.pool))
    write_emotion_model(folder / size.config["qwen_emo_path"])
    write_semantic(_snapshot(folder, SEMANTIC), size, Weights(seed + 4, size.pool))
    _write_codec(_snapshot(folder, CODEC), size, Weights(seed + 5, size.pool))
    write_speaker(_snapshot(folder, SPEAKER), Weights(seed + 6, size.pool))
    write_vocoder(_snapshot(folder, VOCODER), size, Weights(seed + 7, size.pool))
    write_references(folder)
    return folder


def references(folder: Path) -> list[Path]:
    """Three voices that differ in pitch, vibrato and length."""
    return sorted((folder / "voices").iterdir())


class Weights:
    """Random tensors as overlapping views on one pool of numbers.

    Rows start at offsets of up to 97, so that they look independent. A scale is rounded to half an octave, because
    each needs a scaled copy of the pool, and each copy is written to the file.
    """

    def __init__(self, seed: int, pool: int = 1 << 16) -> None:
        self._pool = torch.randn(pool, generator=torch.Generator().manual_seed(seed))
        self._scaled: dict[float, torch.Tensor] = {}
        self._offset = 0

    def normal(self, shape: Sequence[int], std: float) -> torch.Tensor:
        octaves = round(math.log2(std) * 2) / 2
        pool = self._scaled.setdefault(octaves, self._pool * 2**octaves)
        rows, columns = shape[0], math.prod(shape[1:])
        step = max(1, min(97, (len(pool) - columns - 1) // rows))
        room = len(pool) - (rows - 1) * step - columns
        if room < 0:
            raise ValueError(f"no room for {tuple(shape)} in a pool of {len(pool)}")
        self._offset = (self._offset * 5 + 7919) % max(1, room)
        inner = [math.prod(shape[axis + 1 :]) for axis in range(1, len(shape))]
        return torch.as_strided(pool, tuple(shape), (step, *inner), self._offset)

    def fill(self, module: nn.Module, gain: float = 1.0) -> dict[str, torch.Tensor]:
        """A state for a module made within `shapes_only`: parameters that keep the variance of what passes through,
        and the buffers that the module computed itself."""
        return {
            name: self._fill(name, tensor, gain) if tensor.is_meta else tensor
            for name, tensor in module.state_dict().items()
        }

    def _fill(self, name: str, shape_of: torch.Tensor, gain: float) -> torch.Tensor:
        shape, leaf = shape_of.shape, name.rpartition(".")[2]
        if leaf in ("alpha", "beta", "mask_token"):  # snake's are logarithms
            return constant(shape, 0)
        if leaf == "bias":
            return self.normal(shape, 0.05)
        if len(shape) < 2 or leaf in ("weight_g", "gamma"):
            return constant(shape, 1)
        if name.endswith(("embedding.weight", "emb.weight")):
            return self.normal(shape, 0.3)
        inputs = (
            shape[0] if f".{name}".rpartition(".")[0].find(".h.") >= 0 else math.prod(shape[1:])
        )  # GPT-2: (in, out)
        return self.normal(shape, gain * inputs**-0.5)


def constant(shape: Sequence[int], value: float) -> torch.Tensor:
    return torch.full((1,), float(value)).expand(tuple(shape))


@contextmanager
def shapes_only() -> Iterator[None]:
    """Modules made within have parameters without data, so that the full size costs no memory; buffers are real."""
    register = nn.Module.register_parameter

    def without_data(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        register(module, name, None if parameter is None else nn.Parameter(parameter.to("meta"), requires_grad=False))

    nn.Module.register_parameter = without_data  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


def write_gpt(folder: Path, size: Size, weights: Weights, **options: Any) -> None:
    """Random, but for how an utterance ends.

    u is the stop code's own row of the output layer. The mel positions drift along u, so that the stop code wins in
    the end. The text positions hold a multiple of W u, W being the value and output projection of the first layer's
    head by head; attention adds W'W u, which points along u, in proportion to the text's share of what is looked at.
    Taken negatively, it holds the stop code back: the longer the text, the longer the speech.
    """
    from indextts.gpt.model_v2 import UnifiedVoice

    config = size.config["gpt"]
    with shapes_only():
        module = UnifiedVoice(**config, **options)
    state = weights.fill(module, gain=math.sqrt(2 / config["layers"]))

    along = state["mel_head.weight"][config["stop_mel_token"]]
    along = along / along.norm()
    start, slope = size.ending
    positions = state["mel_pos_embedding.emb.weight"]
    drift = slope * (torch.arange(len(positions)) - start).clamp(min=0)
    state["mel_pos_embedding.emb.weight"] = (positions + drift[:, None] * along).half()

    values = state["gpt.h.0.attn.c_attn.weight"][:, -config["model_dim"] :]
    restraint = -(values @ (state["gpt.h.0.attn.c_proj.weight"] @ along))
    restraint = restraint / restraint.norm()
    positions = state["text_pos_embedding.emb.weight"]
    state["text_pos_embedding.emb.weight"] = (positions + _RESTRAINT * restraint).half()

    state["mel_head.bias"] = torch.zeros(config["number_mel_codes"])
    state["mel_head.bias"][config["start_mel_token"]] = -1e4  # no codebook has a row for it
    torch.save(state, folder / size.config["gpt_checkpoint"])


_RESTRAINT = 25.0


def write_s2mel(folder: Path, size: Size, weights: Weights, **options: Any) -> None:
    from indextts.s2mel.modules.commons import MyModel

    with shapes_only():
        model = MyModel(OmegaConf.create(dict(size.config["s2mel"])), **options)
    net = {name: weights.fill(module, gain=0.7) for name, module in model.models.items()}
    torch.save({"net": net}, folder / size.config["s2mel_checkpoint"])


def write_emotions(folder: Path, size: Size, weights: Weights) -> None:
    config = size.config
    rows = sum(config["emo_num"])
    torch.save(weights.normal((rows, 192), 1.0), folder / config["spk_matrix"])
    torch.save(weights.normal((rows, config["gpt"]["model_dim"]), 0.25), folder / config["emo_matrix"])
    mean, variance = weights.normal((1024,), 0.1), 1 + weights.normal((1024,), 0.05)
    torch.save({"mean": mean, "var": variance}, folder / config["w2v_stat"])


def write_emotion_model(folder: Path) -> None:
    """A language model of one layer of zeros: its first token is the end, and from an empty answer follows calm."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    special = ["<|im_end|>", "<|im_start|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(special + sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=special[0], pad_token=special[2],
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    fast.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    fast.save_pretrained(folder)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(vocabulary),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            max_position_embeddings=40960,
            tie_word_embeddings=False,
            eos_token_id=0,
            bos_token_id=2,
            pad_token_id=2,
        )
    )
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    model.half().save_pretrained(folder)


def write_semantic(folder: Path, size: Size, weights: Weights) -> None:
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

    config = Wav2Vec2BertConfig(
        vocab_size=None,
        hidden_size=1024,
        feature_projection_input_dim=160,
        position_embeddings_type="relative_key",
        left_max_position_embeddings=64,
        right_max_position_embeddings=8,
        add_adapter=False,
        apply_spec_augment=False,
        layerdrop=0.0,
        architectures=["Wav2Vec2BertModel"],
        **size.semantic,
    )
    with shapes_only():
        module = Wav2Vec2BertModel(config)
    torch.save(weights.fill(module, gain=0.5), folder / "pytorch_model.bin")
    config.save_pretrained(folder)
    SeamlessM4TFeatureExtractor(
        feature_size=80, num_mel_bins=80, sampling_rate=16000, stride=2, padding_value=1, return_attention_mask=True
    ).save_pretrained(folder)


def _write_codec(folder: Path, size: Size, weights: Weights) -> None:
    from safetensors.torch import save_file

    try:
        from indextts.codec.maskgct_codec import build_semantic_codec  # of the official repository
    except ModuleNotFoundError:
        from indextts.utils.maskgct_utils import build_semantic_codec

    with shapes_only():
        module = build_semantic_codec(OmegaConf.create(dict(size.config["semantic_codec"])))
    path = folder / "semantic_codec" / "model.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file({name: tensor.half().contiguous() for name, tensor in weights.fill(module).items()}, path)


def write_speaker(folder: Path, weights: Weights) -> None:
    from indextts.s2mel.modules.campplus.DTDNN import CAMPPlus

    with shapes_only():
        module = CAMPPlus(feat_dim=80, embedding_size=192)
    torch.save(weights.fill(module), folder / "campplus_cn_common.bin")


def write_vocoder(folder: Path, size: Size, weights: Weights) -> None:
    from indextts.s2mel.modules.bigvgan import bigvgan

    released = Path(bigvgan.__file__).with_name("config.json")
    config = json.loads(released.read_text()) | dict(size.vocoder)
    (folder / "config.json").write_text(json.dumps(config))
    with shapes_only():
        module = bigvgan.BigVGAN(bigvgan.AttrDict(config))
    state = weights.fill(module)
    state["conv_post.weight_g"] = constant(state["conv_post.weight_g"].shape, size.vocoder_gain)
    torch.save({"generator": state}, folder / "bigvgan_generator.pt")


def _write_tokenizer(folder: Path, size: Size) -> None:
    """Sentencepiece as the released one: ids 0, 1 and 2 are start, end and unknown, letters are upper-case, and a
    character that the corpus lacks is unknown."""
    from sentencepiece import SentencePieceTrainer

    english = "THE QUICK BROWN FOX JUMPS OVER A LAZY DOG WHILE WE SPEAK OF ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE"
    words = english.split()
    chinese = "你好世界今天天气很好我们一起去公园散步这是个测试他说话声音大家都不会有人的了在年月日二三四五六七八九十"
    marks = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'-…"
    sentences = [" ".join(words[turn:] + words[:turn]) for turn in range(len(words))]
    model = io.BytesIO()  # in a file it would hold that file's path, and differ from folder to folder
    SentencePieceTrainer.train(
        sentence_iterator=iter(sentences + [" ".join(marks), " ".join(chinese)] * 20),
        model_writer=model,
        model_type="bpe",
        vocab_size=180,
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",
        bos_id=0,
        eos_id=1,
        unk_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    (folder / size.config["dataset"]["bpe_model"]).write_bytes(model.getvalue())


def write_references(folder: Path) -> None:
    (folder / "voices").mkdir(exist_ok=True)
    for index, (pitch, seconds) in enumerate([(140, 3.0), (210, 4.3), (95, 2.2)]):
        time = np.arange(int(22050 * seconds)) / 22050
        wobbling = time + 0.002 * np.sin(2 * np.pi * (3 + index) * time)
        tone = sum(np.sin(2 * np.pi * pitch * partial * wobbling) / partial for partial in range(1, 9))
        samples = tone * (0.3 + 0.2 * np.sin(2 * np.pi * 2.1 * time))
        with wave.open(str(folder / "voices" / f"{index}.wav"), "wb") as file:
            file.setparams((1, 2, 22050, 0, "NONE", ""))
            file.writeframes((samples / np.abs(samples).max() * 20000).astype("<i2").tobytes())


def _snapshot(folder: Path, repository: Repository) -> Path:
    """Where the hub's client keeps a repository's files, with `main` pointing there."""
    kept = folder / "hf_cache" / f"models--{repository.name.replace('/', '--')}"
    snapshot = kept / "snapshots" / repository.revision
    snapshot.mkdir(parents=True, exist_ok=True)
    (kept / "refs").mkdir(exist_ok=True)
    (kept / "refs" / "main").write_text(repository.revision)
    return snapshot


# Fixed by the package, whatever its config says: a GPT width of 1280 (the layer from latents to contents), w2v-BERT
# 1024 wide with 17 layers or more, a style of 192 numbers, 80 mel bands.
_TINY_CONFIG: dict[str, Any] = yaml.safe_load("""
dataset:
  bpe_model: bpe.model
  sample_rate: 24000
  squeeze: false
  mel: {sample_rate: 24000, n_fft: 1024, hop_length: 256, win_length: 1024, n_mels: 100, mel_fmin: 0, normalize: false}
gpt:
  model_dim: 1280
  max_mel_tokens: 605
  max_text_tokens: 200
  heads: 20
  use_mel_codes_as_input: true
  mel_length_compression: 1024
  layers: 2
  number_text_tokens: 600
  number_mel_codes: 66
  start_mel_token: 64
  stop_mel_token: 65
  start_text_token: 0
  stop_text_token: 1
  train_solo_embeddings: false
  condition_type: conformer_perceiver
  condition_module:
    {output_size: 64, linear_units: 64, attention_heads: 2, num_blocks: 1, input_layer: conv2d2, perceiver_mult: 1}
  emo_condition_module:
    {output_size: 64, linear_units: 64, attention_heads: 2, num_blocks: 1, input_layer: conv2d2, perceiver_mult: 1}
semantic_codec:
  codebook_size: 64
  hidden_size: 1024
  codebook_dim: 8
  vocos_dim: 16
  vocos_intermediate_dim: 32
  vocos_num_layers: 1
s2mel:
  preprocess_params:
    sr: 22050
    spect_params: {n_fft: 1024, win_length: 1024, hop_length: 256, n_mels: 80, fmin: 0, fmax: "None"}
  dit_type: DiT
  reg_loss_type: l1
  style_encoder: {dim: 192}
  length_regulator:
    channels: 64
    is_discrete: false
    in_channels: 1024
    content_codebook_size: 16
    sampling_ratios: [1, 1, 1, 1]
    vector_quantize: false
    n_codebooks: 1
    quantizer_dropout: 0.0
    f0_condition: false
    n_f0_bins: 512
  DiT:
    hidden_dim: 64
    num_heads: 2
    depth: 3
    class_dropout_prob: 0.1
    block_size: 8192
    in_channels: 80
    style_condition: true
    final_layer_type: wavenet
    target: mel
    content_dim: 64
    content_codebook_size: 16
    content_type: discrete
    f0_condition: false
    n_f0_bins: 512
    content_codebooks: 1
    is_causal: false
    long_skip_connection: true
    zero_prompt_speech_token: false
    time_as_token: false
    style_as_token: false
    uvit_skip_connection: true
    add_resblock_in_transformer: false
  wavenet: {hidden_dim: 64, num_layers: 2, kernel_size: 5, dilation_rate: 1, p_dropout: 0.2, style_condition: true}
gpt_checkpoint: gpt.pth
w2v_stat: wav2vec2bert_stats.pt
s2mel_checkpoint: s2mel.pth
emo_matrix: feat2.pt
spk_matrix: feat1.pt
emo_num: [3, 17, 2, 8, 4, 5, 10, 24]
qwen_emo_path: qwen0.6bemo4-merge/
vocoder: {type: bigvgan, name: nvidia/bigvgan_v2_22khz_80band_256x}
version: 2.0
""")

_FULL_CONFIG: dict[str, Any] = yaml.safe_load("""
gpt:
  max_mel_tokens: 1815
  max_text_tokens: 600
  layers: 24
  number_text_tokens: 12000
  number_mel_codes: 8194
  start_mel_token: 8192
  stop_mel_token: 8193
  condition_module: {output_size: 512, linear_units: 2048, attention_heads: 8, num_blocks: 6, perceiver_mult: 2}
  emo_condition_module: {output_size: 512, linear_units: 1024, attention_heads: 4, num_blocks: 4, perceiver_mult: 2}
semantic_codec: {codebook_size: 8192, vocos_dim: 384, vocos_intermediate_dim: 2048, vocos_num_layers: 12}
s2mel:
  length_regulator: {channels: 512, content_codebook_size: 2048}
  DiT: {hidden_dim: 512, num_heads: 8, depth: 13, content_dim: 512, content_codebook_size: 1024}
  wavenet: {hidden_dim: 512, num_layers: 8}
""")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = copy.deepcopy(dict(base))
    for key, value in over.items():
        both[key] = merged(both[key], value) if isinstance(value, Mapping) else value
    return both


TINY = Size(
    config=_TINY_CONFIG,
    ending=(0, 0.2),
    semantic={
        "num_hidden_layers": LAYERS_USED + 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "conv_depthwise_kernel_size": 3,
    },
    vocoder={"upsample_initial_channel": 128, "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3]]},
    pool=1 << 16,
    vocoder_gain=0.002,
)
FULL = Size(
    config=merged(_TINY_CONFIG, _FULL_CONFIG),
    ending=(495, 4.0),
    semantic={"num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
    vocoder={},
    pool=1 << 18,
    vocoder_gain=0.008,
)


def main(told: str | None, write: Callable[..., Path]) -> None:
    """The command line of a generator; `told` is the docstring of its file."""
    parser = argparse.ArgumentParser(description=(told or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full-size", action="store_true", help="every width and depth of the released model")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write(arguments.folder, full_size=arguments.full_size, seed=arguments.seed)


if __name__ == "__main__":
    main(__doc__, write)
