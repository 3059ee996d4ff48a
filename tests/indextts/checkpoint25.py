"""A random IndexTTS-2.5 that the official code loads, made as the random IndexTTS-2 of checkpoint.py is.

    python -m tests.indextts.checkpoint25 FOLDER [--full-size]

It needs the official repository. Under hf_cache/ the auxiliary models lie as that puts them. The vocabulary of the tiny
one is the 256 bytes, in the order of GPT-2, so that `!` and `"` have the ids 0 and 1 as in the released one.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import OmegaConf

from tests.indextts.checkpoint import (
    FULL,
    TINY,
    Size,
    Weights,
    main,
    merged,
    shapes_only,
    write_emotion_model,
    write_emotions,
    write_gpt,
    write_references,
    write_s2mel,
    write_semantic,
    write_speaker,
    write_vocoder,
)
from worker.engines.indextts.load.checkpoint import MAIN_25, Repository
from worker.engines.indextts.load.package import check_installed

SPECIAL_TOKENS = 1673  # that the official tokenizer adds to what the file holds


def write(folder: Path, *, full_size: bool = False, seed: int = 0) -> Path:
    """A model directory. The same seed gives the same weights on any machine with the same packages. Raises
    Misconfigured without the official repository."""
    check_installed("2.5")
    size = FULL_25 if full_size else TINY_25
    cache = folder / "hf_cache"
    for place in (folder, cache / "w2v-bert-2.0", cache / "bigvgan"):
        place.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(size.config), sort_keys=False))
    _write_ranks(folder, size.config["gpt"]["number_text_tokens"] - SPECIAL_TOKENS)
    write_gpt(folder, size, Weights(seed + 1, size.pool), spk_cond_mode="campplus")
    write_s2mel(folder, size, Weights(seed + 2, size.pool))
    write_emotions(folder, size, Weights(seed + 3, size.pool))
    write_emotion_model(folder / size.config["qwen_emo_path"])
    write_semantic(cache / "w2v-bert-2.0", size, Weights(seed + 4, size.pool))
    _write_codec(folder, size, Weights(seed + 5, size.pool))
    write_speaker(cache, Weights(seed + 6, size.pool))
    write_vocoder(cache / "bigvgan", size, Weights(seed + 7, size.pool))
    write_references(folder)
    return folder


def stand_ins(repository: Repository) -> dict[str, bytes]:
    """Its files, whole and with nothing in them, for what only looks where they lie. No official code is needed."""
    empty = {
        ".yaml": yaml.safe_dump(dict(TINY_25.config)).encode(),
        ".safetensors": (2).to_bytes(8, "little") + b"{}",
        ".json": b"{}",
        ".tiktoken": b"IQ== 0\n",
    }
    return {name: empty.get(Path(name).suffix, b"\x80") for name in repository.files}


def _write_ranks(folder: Path, count: int) -> None:
    """The bytes, and up to `count` of pairs of them that no text needs."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    singles = [bytes([byte]) for byte in [*printable, *(byte for byte in range(256) if byte not in printable)]]
    pairs = [bytes([first, second]) for first in range(0x80, 0xC0) for second in range(0xC0, 0x100)]
    triples = [bytes([0xFF]) + pair for pair in pairs]
    tokens = (singles + pairs + [bytes([byte]) + triple for byte in range(16) for triple in triples])[:count]
    (name,) = [file for file in MAIN_25.files if file.endswith(".tiktoken")]
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(tokens)]
    (folder / name).write_text("".join(lines))


def _write_codec(folder: Path, size: Size, weights: Weights) -> None:
    from indextts.codec.models import EnhancedCodec

    config = OmegaConf.create(dict(size.config["semantic_codec"]))
    with shapes_only():
        module = EnhancedCodec(**config, cfg=config)
    torch.save({"model": weights.fill(module)}, folder / "codec.pth")


# What differs from version 2. The width of the GPT is free here.
_CONFIG: dict[str, Any] = {"semantic_codec": {"num_quantizers": 1, "downsample_scale": 2}, "version": 2.5}
_TINY: dict[str, Any] = {
    "gpt": {"model_dim": 128, "heads": 2, "number_text_tokens": 256 + SPECIAL_TOKENS},
    "semantic_codec": {"vocos_num_layers": 3},
}
_FULL: dict[str, Any] = {"gpt": {"number_text_tokens": 60509}}

TINY_25 = replace(TINY, config=merged(merged(TINY.config, _CONFIG), _TINY))
# A code is 40 ms here, 20 there: half as many make a clip as long.
FULL_25 = replace(FULL, config=merged(merged(FULL.config, _CONFIG), _FULL), ending=(247, 4.0))


if __name__ == "__main__":
    main(__doc__, write)
