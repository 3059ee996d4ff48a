"""What probes share: the device, random checkpoints, networks and the engine, each made when it is first asked for.

Nothing is downloaded. A checkpoint is random weights in the real architecture, which the real code loads.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

if TYPE_CHECKING:
    from worker.engine import Clip, Utterance
    from worker.engines.indextts.engine import IndexTTS
    from worker.engines.indextts.kernels.plain import Kernels
    from worker.engines.indextts.shapes import Network, Precision, Voice

T = TypeVar("T")

REFERENCES_S = (3, 10, 15)  # of a reference, all of which the flow hears beside each clip; 15 s are the most
TEXT = "The tide went out before the harbour woke, and nobody on the long grey quay had seen it go, or asked where to."


class Missing(Exception):
    """What a probe needs is not here; the message names it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked, and of what."""

    out: Path
    scratch: Path  # for checkpoints, which all processes share
    device: str = "cuda"
    tiny: bool = False  # a model of 16 MB, which shows on a CPU that each probe works
    checkpoints: Mapping[str, Path] = field(default_factory=dict)  # by version, where there are some already


class Bench:
    """Of one process, in whose main thread the plan's GPU is the one that PyTorch takes without a number."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tiny = plan.tiny
        if plan.device.startswith("cuda:"):
            torch.cuda.set_device(plan.device)
        self._networks: dict[str, Network] = {}
        self._engine: tuple[str, IndexTTS] | None = None

    @property
    def device(self) -> torch.device:
        """With its number, as tensors name it. Raises Missing where there is none of that kind."""
        device = torch.device(self.plan.device)
        if device.type != "cuda":
            return device
        if not torch.cuda.is_available():
            raise Missing(f"PyTorch {torch.__version__} sees no GPU here; look at nvidia-smi")
        return torch.device("cuda", device.index or 0)

    @property
    def on_cuda(self) -> bool:
        return self.device.type == "cuda"

    def cuda_only(self, what: str) -> None:
        if not self.on_cuda:
            raise Missing(f"{what} needs a GPU, and this is {self.device.type}")

    def size(self, full: int, tiny: int) -> int:
        return tiny if self.tiny else full

    # --- time --------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        if self.on_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    def seconds(self, work: Callable[[], object], turns: int = 5, warm: int = 2) -> float:
        """The median of `turns` calls, after `warm` that are not counted."""
        for _ in range(warm):
            work()
        taken = []
        for _ in range(turns):
            started = self.now()
            work()
            taken.append(self.now() - started)
        return sorted(taken)[turns // 2]

    # --- models ------------------------------------------------------------------------------------------------------

    def checkpoint(self, version: str) -> Path:
        """A folder with random weights of the version, written once for all processes. Raises Missing where the
        package does not have that version."""
        if version in self.plan.checkpoints:
            return self.plan.checkpoints[version]
        folder = self.plan.scratch / f"indextts-{version}"
        if not folder.exists():
            from benchmarks.engine import written

            unfinished = folder.with_suffix(".unfinished")
            written(unfinished, version, not self.tiny)
            unfinished.rename(folder)
        return folder

    def check_version(self, version: str) -> None:
        from worker.engines.indextts.load.package import has_25

        if version == "2.5" and not has_25():
            raise Missing("version 2.5 needs the official repository of IndexTTS as the package indextts")

    def network(self, version: str = "2") -> Network:
        """The GPT as `auto` has it; the rest in fp32, of which `stages` rounds flow and vocoder."""
        if version not in self._networks:
            from worker.engines.indextts.load.checkpoint import find_checkpoint
            from worker.engines.indextts.load.network import load_network
            from worker.engines.indextts.load.precision import choose_precisions
            from worker.engines.indextts.sdpa import without_plans
            from worker.engines.indextts.settings import IndexTTSSettings
            from worker.engines.indextts.shapes import Precisions

            self.check_version(version)
            self.close_engine()
            without_plans()
            gpt = choose_precisions(version, IndexTTSSettings(), self.device).gpt
            found = find_checkpoint(self.checkpoint(version))
            self._networks[version] = load_network(found, self.device, Precisions(gpt=gpt))
        return self._networks[version]

    def stages(self, precision: Precision, kernels: Kernels | None = None, version: str = "2") -> Stages:
        """With the kernels that the device gets where none are named."""
        from worker.engines.indextts.shapes import DTYPES
        from worker.engines.indextts.sound.flow import Flow
        from worker.engines.indextts.sound.vocoder import Vocoder

        network, dtype = self.network(version), DTYPES[precision]
        if self.on_cuda:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        with torch.inference_mode():
            return Stages(
                regulator=network.regulator,
                flow=Flow(network.estimator, self.device, dtype, steps=self.size(25, 2), kernels=kernels),
                vocoder=Vocoder(network.vocoder, self.device, dtype, kernels=kernels),
            )

    def engine(self, version: str = "2") -> IndexTTS:
        """As a worker builds it with no setting but the folder: what `auto` deploys."""
        if self._engine is None or self._engine[0] != version:
            from worker.engines.indextts.load.factory import build
            from worker.engines.indextts.settings import IndexTTSSettings

            self.check_version(version)
            self.close_engine()
            self._networks.clear()
            self.tidy()
            folder = self.checkpoint(version)
            small: dict[str, Any] = {"slots": 3, "steps": 2, "code_limit": 50} if self.tiny else {}
            settings = IndexTTSSettings(dir=folder, device=self.plan.device, **small)
            # Random weights keep no time with a text: every other take would be odd, and made twice.
            self._engine = version, build(version, settings, checks=False)
        return self._engine[1]

    def close_engine(self) -> None:
        if self._engine is not None:
            self._engine[1].close()
            self._engine = None
            self.tidy()

    # --- work --------------------------------------------------------------------------------------------------------

    def references(self, seconds: float) -> list[Path]:
        """Recordings of that length, of different pitch."""
        from benchmarks.engine import cut
        from tests.indextts.checkpoint import references, write_references

        scratch = self.plan.scratch
        if not (scratch / "voices").exists():
            write_references(scratch)
        voices = references(scratch)
        return [Path(file) for file in cut(voices[: self.size(len(voices), 1)], 0.7 if self.tiny else seconds, scratch)]

    def voices(self, seconds: float, count: int, version: str = "2") -> list[Voice]:
        """Of references of that length, conditioned by the network, in turn."""
        from worker.engines.indextts.decode.gpt import Gpt
        from worker.engines.indextts.load.factory import adapt

        network = self.network(version)
        heard = adapt(network, Gpt(network.gpt)).voices([str(path) for path in self.references(seconds)])
        for voice in heard:
            if isinstance(voice, Exception):
                raise voice
        return [heard[number % len(heard)] for number in range(count)]  # type: ignore[misc]

    def utterances(self, count: int, seconds: float, first_seed: int = 0) -> list[Utterance]:
        """In voices of references of that length; each with a seed of its own."""
        from farm.speech import Manner
        from worker.engine import Speech, Utterance

        paths = self.references(seconds)
        text = "At last!" if self.tiny else TEXT
        return [
            Utterance(
                f"{number}", text,
                Speech("en", path.stem, path, Manner(seed=first_seed + number)),
            )
            for number, path in zip(range(count), paths * count, strict=False)
        ]  # fmt: skip

    def tidy(self) -> bool:
        """Gives memory back that nothing refers to. Returns whether the device still answers."""
        gc.collect()
        try:
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
                torch.cuda.empty_cache()
        except Exception:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Stages:
    """Regulator, flow and vocoder of one network in one precision."""

    regulator: Any
    flow: Any
    vocoder: Any

    def mels(
        self, contents: Sequence[Any], frames: Sequence[int], voices: Sequence[Voice], seeds: Sequence[int]
    ) -> list[torch.Tensor]:
        """(80, Y) of each item, in fp32."""
        from worker.engines.indextts.sound.regulator import regulate

        conditions = regulate(self.regulator, contents, frames)
        mels: list[torch.Tensor] = self.flow.mels(conditions, voices, seeds)
        return mels


def clips(engine: IndexTTS, utterances: Sequence[Utterance]) -> dict[str, Clip]:
    """By key. Raises RuntimeError for the first failure."""
    from tests.engine.feeds import ListFeed
    from worker.engine import Failure

    made: dict[str, Clip] = {}
    for outcome in engine.render(ListFeed(utterances)):
        if isinstance(outcome, Failure):
            raise RuntimeError(f"an utterance failed: {outcome.error}")
        made[outcome.key] = outcome
    return made
