"""Regulator, flow and vocoder in a precision each, over as many pieces at a time as memory holds.

isolation.py has the rules for a batch that fails.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from worker.engines.indextts.device_error import out_of_memory, perhaps_out_of_memory
from worker.engines.indextts.isolation import Isolation
from worker.engines.indextts.kernels.plain import PLAIN, Kernels
from worker.engines.indextts.shapes import DTYPES, Fault, Network, Piece, Precision
from worker.engines.indextts.sound.batches import Room, first_batch
from worker.engines.indextts.sound.flow import Flow
from worker.engines.indextts.sound.regulator import regulate
from worker.engines.indextts.sound.vocoder import Vocoder

log = logging.getLogger(__name__)

_NO_MEMORY = "the GPU has no memory for this text, not even alone; split it, or give the engine fewer slots"

Sound = tuple[Hashable, npt.NDArray[np.float32]]  # a piece's key and its samples (256 * frames,) within [-1, 1]


@dataclass(frozen=True, slots=True)
class Task:
    """A piece to be made into sound. Where its `mel` (80, Y) is known, only the vocoder is left."""

    piece: Piece
    mel: torch.Tensor | None = None

    @property
    def rows(self) -> int:
        return self.piece.voice.mel.shape[1] + self.piece.frames


@dataclass(frozen=True, slots=True)
class Spoiled:
    """The samples of a task were not finite. The task keeps its mel if that was."""

    task: Task


class Stages:
    """Of a network, with flow and vocoder in these precisions; their weights are made when they are first needed. A
    batch has at most `rows` mel frames, those of the references among them, or one piece."""

    def __init__(
        self, network: Network, steps: int, guidance: float, rows: int, s2mel: Precision, vocoder: Precision,
        kernels: Kernels, no_memory: str = _NO_MEMORY,
    ) -> None:  # fmt: skip
        """`no_memory`: what is said of a piece that does not fit alone."""
        self._kernels, self._no_memory = kernels, no_memory
        self._network, self._steps, self._guidance = network, steps, guidance
        self._of_flow, self._of_vocoder = DTYPES[s2mel], DTYPES[vocoder]
        self._rows = rows
        self._room = Room(rows)
        self._isolation = Isolation("the acoustic stages")

    @cached_property
    def flow(self) -> Flow:
        network = self._network
        return Flow(
            network.estimator, network.device, self._of_flow, self._steps, self._guidance, kernels=self._kernels
        )

    @cached_property
    def vocoder(self) -> Vocoder:
        limit = max(1, self._rows // 2)
        return Vocoder(
            self._network.vocoder, self._network.device, self._of_vocoder, limit=limit, kernels=self._kernels
        )

    def in_full(self) -> Stages:
        """The same in fp32 by PyTorch's kernels, with weights of its own."""
        return Stages(self._network, self._steps, self._guidance, self._rows, "fp32", "fp32", PLAIN)

    def run(self, tasks: Mapping[int, Task]) -> dict[int, Sound | Spoiled | Fault]:
        """By the tasks' numbers.

        Raises:
            Exception: the device failed, or so many pieces in a row that they are not to blame.
        """
        made: dict[int, Sound | Spoiled | Fault] = {}
        order = sorted(tasks, key=lambda number: tasks[number].piece.frames)
        while order:
            batch = order[: first_batch([tasks[number].rows for number in order], self._room.rows)]
            sounds = self._isolation.run([tasks[number] for number in batch], self._sounds, self._fault, self._give_way)
            made |= zip(batch, sounds, strict=True)
            del order[: len(batch)]
        return made

    def _sounds(self, tasks: Sequence[Task]) -> list[Sound | Spoiled]:
        mels = self._mels(tasks)
        waves = [wave.numpy() for wave in self.vocoder.samples(mels)]
        self._room.grow()
        return [
            (task.piece.key, wave) if np.isfinite(wave).all() else _spoiled(task, mel)
            for task, mel, wave in zip(tasks, mels, waves, strict=True)
        ]

    def _mels(self, tasks: Sequence[Task]) -> list[torch.Tensor]:
        pieces = [task.piece for task in tasks if task.mel is None]
        made: Sequence[torch.Tensor] = ()
        if pieces:
            contents, frames = [piece.contents for piece in pieces], [piece.frames for piece in pieces]
            conditions = regulate(self._network.regulator, contents, frames)
            made = self.flow.mels(conditions, [piece.voice for piece in pieces], [piece.seed for piece in pieces])
        fresh = iter(made)
        return [next(fresh) if task.mel is None else task.mel for task in tasks]

    def _fault(self, task: Task, error: Exception) -> Fault:
        if out_of_memory(error):
            return Fault(task.piece.key, self._no_memory)
        return Fault(task.piece.key, f"the acoustic stages failed: {_first_line(error)}", unexplained=True)

    def _give_way(self, tasks: Sequence[Task], error: Exception) -> None:
        lacking = out_of_memory(error) or perhaps_out_of_memory(error)
        if lacking:
            self._room.shrink(sum(task.rows for task in tasks))
        way = "in halves" if lacking else "one by one"
        log.warning("%d pieces failed together and are rendered %s: %s", len(tasks), way, _first_line(error))


def _spoiled(task: Task, mel: torch.Tensor) -> Spoiled:
    """Asks the device about the mel, which waits for it: only here, where something went wrong."""
    return Spoiled(Task(task.piece, mel if mel.isfinite().all() else None))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
