"""The package's own IndexTTS2, beside which benchmarks measure the engine."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the checkpoint's folder has all of it

import torch

from worker.engines.indextts.load.checkpoint import find_checkpoint


def loaded(folder: Path, version: str, device: torch.device, *, fused: bool = False) -> Any:
    """The package's own IndexTTS2, in half precision on a GPU, with its fused kernel if that is wanted and compiles."""
    half = device.type == "cuda"
    if version == "2.5":
        from indextts.infer_v2_5 import IndexTTS2

        return IndexTTS2(
            str(folder / "config.yaml"), str(folder), use_bf16=half, device=str(device), use_cuda_kernel=fused
        )
    from huggingface_hub import constants
    from indextts.infer_v2 import IndexTTS2

    cache = folder / "hf_cache"
    if cache.exists():
        constants.HF_HUB_CACHE = str(cache)
    if "aux_paths" not in signature(IndexTTS2).parameters:
        return IndexTTS2(model_dir=str(folder), device=str(device), use_fp16=half, use_cuda_kernel=fused)
    files = find_checkpoint(folder)  # the official repository is told where everything lies
    auxiliary = {"w2v_bert": files.semantic, "semantic_codec": files.codec, "campplus": files.speaker}
    auxiliary["bigvgan"] = files.vocoder
    return IndexTTS2(
        cfg_path=str(files.config_file), model_dir=str(folder), device=str(device), use_fp16=half,
        aux_paths={name: str(path) for name, path in auxiliary.items()}, use_cuda_kernel=fused,
    )  # fmt: skip


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the package's progress bars, prints and warnings."""
    with warnings.catch_warnings(), open(os.devnull, "w") as nowhere:
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield
