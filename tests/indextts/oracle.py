"""The package's own infer() as the oracle: one text at a time, one beam, its randomness drawn from the farm's streams.

What the package draws by itself (codes by torch.multinomial, the flow's noise by torch.randn) it draws here from what
the farm would draw for the same seed; everything else is its own. Nothing of the farm's decode or acoustics runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch

from worker.engines.indextts.decode.sampling import pick, uniform
from worker.engines.indextts.load.checkpoint import find_checkpoint


def load(checkpoint: Path) -> Any:
    """The package's IndexTTS2 on that folder."""
    import_module("audioread.rawread")  # when librosa reads its first file, it would warn of the end of aifc
    from huggingface_hub import constants
    from indextts.infer_v2 import IndexTTS2

    cache = str(checkpoint / "hf_cache")
    # The hub's client may have been imported before, so that the environment alone would come too late.
    with patch.object(constants, "HF_HUB_OFFLINE", True), patch.object(constants, "HF_HUB_CACHE", cache):
        if "aux_paths" not in signature(IndexTTS2).parameters:
            return IndexTTS2(model_dir=str(checkpoint), device="cpu")
        files = find_checkpoint(checkpoint)  # the official repository is told where everything lies
        auxiliary = {"w2v_bert": files.semantic, "semantic_codec": files.codec, "campplus": files.speaker}
        auxiliary["bigvgan"] = files.vocoder
        return IndexTTS2(
            cfg_path=str(files.config_file), model_dir=str(checkpoint), device="cpu",
            aux_paths={name: str(path) for name, path in auxiliary.items()},
        )  # fmt: skip


@dataclass(frozen=True)
class Spoken:
    codes: list[list[int]]  # of each segment
    mels: list[torch.Tensor]  # (80, frames)
    waves: list[npt.NDArray[np.float32]]  # (samples,), clamped as infer() does

    @property
    def whole(self) -> npt.NDArray[np.float32]:
        """(samples,): its waves with 0.2 s of silence between them, as infer() joins them."""
        gap = np.zeros(int(22050 * 0.2), np.float32)
        return np.concatenate([samples for wave in self.waves for samples in (gap, wave)][1:])


def speak(
    package: Any, reference: str, text: str, *, seed: int = 0, greedy: bool = False, seeds: list[int] | None = None,
    **options: Any,
) -> Spoken:  # fmt: skip
    """`seeds` are those of the segments that the package cuts the text into; `seed` of the only one."""
    spoken = Spoken([], [], [])
    with _tapped(package, spoken, seeds or [seed], greedy), torch.inference_mode():
        answer = package.infer(reference, text, None, num_beams=1, **options)
    assert answer is not None, "the package gave up"
    return spoken


@contextmanager
def _tapped(package: Any, spoken: Spoken, seeds: list[int], greedy: bool) -> Iterator[None]:
    generate, vocode, randn = package.gpt.inference_speech, package.bigvgan.forward, torch.randn
    draws = 0

    def inference_speech(*given: Any, **options: Any) -> Any:
        nonlocal draws
        draws = 0
        if greedy:
            options["do_sample"] = False
            for name in ("top_p", "top_k", "temperature"):
                options.pop(name)
        codes, latent = generate(*given, **options)
        row = codes[0].tolist()
        stop = package.stop_mel_token
        spoken.codes.append(row[: row.index(stop)] if stop in row else row)
        return codes, latent

    def multinomial(weights: torch.Tensor, num_samples: int = 1, **_: Any) -> torch.Tensor:
        nonlocal draws
        assert num_samples == 1
        drawn = pick(weights, uniform(torch.tensor([_seed()]), torch.tensor([draws])))
        draws += 1
        return drawn[:, None]

    def noise(*shape: Any, **options: Any) -> torch.Tensor:
        if len(shape) == 1 and isinstance(shape[0], list) and shape[0][1:2] == [80]:
            return randn(1, 80, shape[0][2], generator=torch.Generator().manual_seed(_seed()))
        return randn(*shape, **options)

    def bigvgan(mel: torch.Tensor) -> torch.Tensor:
        wave = vocode(mel)
        spoken.mels.append(mel[0])
        spoken.waves.append(wave[0, 0].clamp(-1, 1).numpy())
        return wave

    def _seed() -> int:
        return seeds[len(spoken.waves)]

    with ExitStack() as patches:
        patches.enter_context(patch.object(package.gpt, "inference_speech", inference_speech))
        patches.enter_context(patch.object(package.bigvgan, "forward", bigvgan))
        patches.enter_context(patch.object(torch, "multinomial", multinomial))
        patches.enter_context(patch.object(torch, "randn", noise))
        yield
