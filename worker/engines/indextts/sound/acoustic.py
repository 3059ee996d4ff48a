"""The acoustic stages as one: contents become samples, as many pieces at a time as memory holds.

isolation.py has the rules for a batch that fails. After a batch that did not fit, later ones are smaller, and grow
again with each success.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from worker.engines.indextts.device_error import out_of_memory
from worker.engines.indextts.isolation import Isolation
from worker.engines.indextts.shapes import Fault, Network, Piece
from worker.engines.indextts.sound.flow import Flow
from worker.engines.indextts.sound.regulator import regulate
from worker.engines.indextts.sound.vocoder import Vocoder

log = logging.getLogger(__name__)

Sound = tuple[Hashable, npt.NDArray[np.float32]]  # a piece's key and its samples (256 * frames,) within [-1, 1]


class Acoustic:
    """Regulator, flow and vocoder of a network. A batch has at most `rows` mel frames, those of the references among
    them, or one piece. A row takes about 70 KB in fp32 (calculated)."""

    def __init__(self, network: Network, steps: int = 25, guidance: float = 0.7, rows: int = 16384) -> None:
        with torch.inference_mode():
            self._regulator = network.regulator
            dtype = next(network.regulator.parameters()).dtype
            self._flow = Flow(network.estimator, network.device, dtype, steps, guidance)
            self._vocoder = Vocoder(network.vocoder)
        self._most = self._room = rows
        self._isolation = Isolation("the acoustic stages")

    @torch.inference_mode()
    def render(self, pieces: Sequence[Piece]) -> list[Sound | Fault]:
        """In the order of the pieces.

        Raises:
            Exception: the device failed, or so many pieces in a row that they are not to blame.
        """
        made: dict[int, Sound | Fault] = {
            index: Fault(piece.key, "there are no codes to make sound of; try another seed")
            for index, piece in enumerate(pieces)
            if not piece.frames or not len(piece.contents)
        }
        order = sorted(range(len(pieces)) - made.keys(), key=lambda index: pieces[index].frames)
        while order:
            batch = self._fitting(pieces, order)
            sounds = self._isolation.run([pieces[index] for index in batch], self._sounds, _fault, self._give_way)
            made |= zip(batch, sounds, strict=True)
            del order[: len(batch)]
        return [made[index] for index in range(len(pieces))]

    def _fitting(self, pieces: Sequence[Piece], order: Sequence[int]) -> list[int]:
        """The first of `order` that fit into one batch; at least one."""
        rows = 0
        for count, index in enumerate(order):
            rows += _rows(pieces[index])
            if count and rows > self._room:
                return list(order[:count])
        return list(order)

    def _sounds(self, pieces: Sequence[Piece]) -> list[Sound | Fault]:
        conditions = regulate(self._regulator, [piece.contents for piece in pieces], [piece.frames for piece in pieces])
        mels = self._flow.mels(conditions, [piece.voice for piece in pieces], [piece.seed for piece in pieces])
        waves = self._vocoder.samples(mels)
        self._room = min(self._most, self._room + self._room // 8 + 1)
        return [_checked(piece, wave.numpy()) for piece, wave in zip(pieces, waves, strict=True)]

    def _give_way(self, pieces: Sequence[Piece], error: Exception) -> None:
        lacking = out_of_memory(error)
        if lacking:
            self._room = sum(map(_rows, pieces)) // 2
        way = "in halves" if lacking else "one by one"
        log.warning("%d pieces failed together and are rendered %s: %s", len(pieces), way, _first_line(error))


def _rows(piece: Piece) -> int:
    return piece.voice.mel.shape[1] + piece.frames


def _checked(piece: Piece, samples: npt.NDArray[np.float32]) -> Sound | Fault:
    if np.isfinite(samples).all():
        return piece.key, samples
    return Fault(piece.key, "the model made samples that are no numbers; try another seed, or both stages in fp32")


def _fault(piece: Piece, error: Exception) -> Fault:
    if out_of_memory(error):
        reason = "the GPU has no memory for this text, not even alone; split it, or give the engine fewer slots"
        return Fault(piece.key, reason)
    return Fault(piece.key, f"the acoustic stages failed: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
