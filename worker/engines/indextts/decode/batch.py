"""The rows of the decode as the device holds them: tensors that are made once, and only ever written in place.

    slot            0     1     2
    codes           17    -     4002     the latest of each row
    count           212   0     1        how many it has
    lengths         301   0     64       positions in its pages, before the next step
    alive           1     0     1
    tables          [4 2] [0 0] [1 1]    its pages

A step reads them and writes them, so that no number comes from the host or has to go there before the next step. A free
slot is a row like any other, of length 0 and on page 0; its codes mean nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.engines.indextts.decode.sampling import Parameters, signed
from worker.engines.indextts.shapes import Sampling


@dataclass(frozen=True, slots=True)
class Batch:
    """B rows: row i is slot i. V codes, W pages at most."""

    codes: Tensor  # (B,) int64; NOT_FINITE where there was none
    count: Tensor  # (B,) int64
    lengths: Tensor  # (B,) int32
    alive: Tensor  # (B,) int32, 1 or 0
    tables: Tensor  # (B, W) int32
    seen: Tensor  # (B, V) bool: the codes to which the repetition penalty applies
    seeds: Tensor  # (B,) int64
    uniforms: Tensor  # (B, N) float64: the random number for each code of the row, from its seed
    parameters: Parameters

    @classmethod
    def empty(cls, rows: int, pages: int, vocabulary: int, codes: int, device: torch.device) -> Batch:
        """Of free slots, with room for so many pages and codes each."""

        def zeros(*shape: int, dtype: torch.dtype) -> Tensor:
            return torch.zeros(rows, *shape, dtype=dtype, device=device)

        return cls(
            codes=zeros(dtype=torch.int64),
            count=zeros(dtype=torch.int64),
            lengths=zeros(dtype=torch.int32),
            alive=zeros(dtype=torch.int32),
            tables=zeros(pages, dtype=torch.int32),
            seen=zeros(vocabulary, dtype=torch.bool),
            seeds=zeros(dtype=torch.int64),
            uniforms=zeros(codes, dtype=torch.float64),
            parameters=Parameters.empty(rows, device),
        )

    def first(self, rows: int, pages: int) -> Batch:
        """The first rows, and the first columns of their tables, in the same memory."""
        return Batch(
            self.codes[:rows], self.count[:rows], self.lengths[:rows], self.alive[:rows], self.tables[:rows, :pages],
            self.seen[:rows], self.seeds[:rows], self.uniforms[:rows],
            Parameters(*(tensor[:rows] for tensor in self.parameters.tensors())),
        )  # fmt: skip

    def tensors(self) -> tuple[Tensor, ...]:
        return (
            self.codes, self.count, self.lengths, self.alive, self.tables, self.seen, self.seeds, self.uniforms,
            *self.parameters.tensors(),
        )  # fmt: skip

    # Each number that the host writes is an argument of a kernel, and no copy that would have to be waited for.

    def admit(self, slot: int, sampling: Sampling) -> None:
        """What `begin` reads of a row."""
        self.seeds[slot].fill_(signed(sampling.seed))
        self.parameters.put(slot, sampling, self.seen.shape[1])

    def start(self, slot: int, length: int) -> None:
        """The row has its first code, behind so many positions."""
        self.lengths[slot].fill_(length)
        self.count[slot].fill_(1)
        self.alive[slot].fill_(1)

    def show(self, slot: int, pages: Sequence[int], known: int) -> None:
        """Writes the row's pages, of which the first `known` are written. The rest of the table repeats the first page:
        its own, so that nothing of another row is ever gathered."""
        if not known:
            self.tables[slot].fill_(pages[0])
        for place, page in enumerate(pages[known:], known):
            if place:
                self.tables[slot, place].fill_(page)

    def free(self, slot: int) -> None:
        for tensor in (self.alive, self.count, self.lengths, self.tables):
            tensor[slot].fill_(0)

    def move(self, source: int, target: int) -> None:
        for tensor in self.tensors():
            tensor[target].copy_(tensor[source])


@dataclass(frozen=True, slots=True)
class Entry:
    """N rows that are about to begin."""

    states: Tensor  # (N, T, D): of each its prompt, the start code, and zeros
    last: Tensor  # (N,) int64: the place of the start code
    slots: Tensor  # (N,) int64

    @classmethod
    def empty(cls, rows: int, positions: int, width: int, dtype: torch.dtype, device: torch.device) -> Entry:
        numbers = torch.zeros(rows, dtype=torch.int64, device=device)
        return cls(torch.zeros(rows, positions, width, dtype=dtype, device=device), numbers, numbers.clone())

    def put(self, row: int, prompt: Tensor, start: Tensor, slot: int) -> None:
        length = len(prompt)
        self.states[row, :length].copy_(prompt)
        self.states[row, length].copy_(start)
        self.states[row, length + 1 :].zero_()
        self.last[row].fill_(length)
        self.slots[row].fill_(slot)

    def first(self, positions: int) -> Entry:
        return Entry(self.states[:, :positions], self.last, self.slots)

    def tensors(self) -> tuple[Tensor, ...]:
        return self.states, self.last, self.slots
