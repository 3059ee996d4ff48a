"""The acoustic half of a network: pieces become samples, in its precisions, and in fp32 where these do not suffice.

    pieces ──> regulator ──> flow ──> vocoder ──> samples      in the network's precisions
                               │         │
                               └─ not finite: again in fp32 ──> samples, or a fault

fp16 ends at 65,504. A value beyond it becomes infinite, and the samples that depend on it are no numbers any more. That
is no fault of the piece before fp32 has said so. The weights in fp32 wait on the CPU, and move to the device when they
are first needed: 0.9 GB at full size, which then stay there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import torch

from worker.engines.indextts.kernels.choice import choose as choose_kernels
from worker.engines.indextts.kernels.plain import Kernels
from worker.engines.indextts.shapes import HALF, Fault, Network, Piece
from worker.engines.indextts.sound.batches import rows_of
from worker.engines.indextts.sound.stages import Sound, Spoiled, Stages, Task

log = logging.getLogger(__name__)


class Acoustic:
    """Over a network. A batch has at most `rows` mel frames, those of the references among them, or one piece; by
    default as many as the device's memory holds. `steps` and `guidance` are the flow's."""

    def __init__(
        self, network: Network, steps: int = 25, guidance: float = 0.7, rows: int | None = None,
        kernels: Kernels | None = None,
    ) -> None:  # fmt: skip
        self._kernels = kernels = kernels or choose_kernels(network.device)
        self._precisions = precisions = network.precisions
        rows = rows or rows_of(network.device)
        self._usual = Stages(network, steps, guidance, rows, precisions.s2mel, precisions.vocoder, kernels)
        self._exact: Stages | None = None
        if precisions.s2mel in HALF or precisions.vocoder in HALF:
            half = max(1, rows // 2)  # because a row takes twice the memory
            no_memory = (
                "the sound of this text is not finite in half precision, and the GPU has no memory to make it again in "
                f"{precisions.full}; give the engine fewer slots"
            )
            self._exact = Stages(network, steps, guidance, half, precisions.full, precisions.full, kernels, no_memory)
        self._rendered = self._again = 0  # pieces
        with torch.inference_mode():
            self._attention = self._usual.flow.attention
            self._usual.vocoder  # noqa: B018

    @property
    def usual(self) -> Stages:
        return self._usual

    @torch.inference_mode()
    def render(self, pieces: Sequence[Piece]) -> list[Sound | Fault]:
        """In the order of the pieces.

        Raises:
            Exception: the device failed, or so many pieces in a row that they are not to blame.
        """
        tasks = {number: Task(piece) for number, piece in enumerate(pieces) if piece.frames and len(piece.contents)}
        made = self._usual.run(tasks)
        self._rendered += len(tasks)
        spoiled = {number: sound.task for number, sound in made.items() if isinstance(sound, Spoiled)}
        if spoiled and self._exact is not None:
            self._count(len(spoiled))
            made |= self._exact.run(spoiled)
        silent = "there are no codes to make sound of; try another seed"
        return [
            self._settled(made[number]) if number in made else Fault(piece.key, silent)
            for number, piece in enumerate(pieces)
        ]

    def facts(self) -> Mapping[str, str]:
        facts = {"flow attention": self._attention, "kernels": self._kernels.name}
        if self._again:
            facts["made again"] = f"{self._again} of {self._rendered} pieces, in {self._precisions.full}"
        return facts

    def _count(self, spoiled: int) -> None:
        if not self._again:
            log.warning(
                "the sound of %d pieces is not finite with the flow in %s and the vocoder in %s; such pieces are made "
                "again in %s, and farm doctor counts them",
                spoiled, self._precisions.s2mel, self._precisions.vocoder, self._precisions.full,
            )  # fmt: skip
        self._again += spoiled

    def _settled(self, sound: Sound | Spoiled | Fault) -> Sound | Fault:
        if not isinstance(sound, Spoiled):
            return sound
        even = "" if self._exact is None else f", in {self._precisions.full} too"
        error = f"the model made samples that are no numbers{even}; try another seed"
        return Fault(sound.task.piece.key, error, unexplained=True)
