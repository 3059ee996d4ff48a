"""The two things that the device does for the decode, over static memory: `advance` all rows, and `begin` new ones.

Neither needs anything from the host, or leaves anything but what it writes into batch and pages. So each can be
recorded once as a CUDA graph, and replayed. Each can also be repeated after it failed: a row's place moves at the very
end, where no memory can run out.
"""

from __future__ import annotations

import torch

from worker.engines.indextts.decode.batch import Batch, Entry
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.decode.kv import Attention, Pages, places
from worker.engines.indextts.decode.sampling import Parameters, sample, uniform

_PENALISED = 1  # the package's stand-in for a prompt's ids: penalised from the start, as is the start code


def advance(gpt: Gpt, pages: Pages, attention: Attention, batch: Batch, *, narrow: bool) -> None:
    """The next code of every row. `narrow` as in `sample`."""
    latest = batch.codes.clamp(min=0)  # NOT_FINITE is no code; the host ends such a row as soon as it knows
    batch.seen.scatter_(1, latest[:, None], True)
    logits = gpt.step(latest, batch.count, pages, attention.over(batch.tables, batch.lengths))
    uniforms = batch.uniforms.gather(1, batch.count[:, None])[:, 0]
    drawn = sample(logits, batch.seen, batch.parameters, uniforms, narrow=narrow)
    batch.codes.copy_(drawn)
    batch.count.add_(batch.alive)
    batch.lengths.add_(batch.alive)


def begin(gpt: Gpt, pages: Pages, batch: Batch, entry: Entry, *, narrow: bool) -> None:
    """The first code of the rows in `entry`, whose tables show their pages. Padding is written to page 0."""
    slots = entry.slots
    rows, length = entry.states.shape[:2]
    positions = torch.arange(length, device=gpt.device).expand(rows, -1)
    own = places(batch.tables.index_select(0, slots), positions, pages.size)
    into = torch.where(positions <= entry.last[:, None], own, positions % pages.size)
    logits = gpt.prefill(entry.states, entry.last, into, pages)
    seen = torch.zeros(rows, gpt.vocabulary, dtype=torch.bool, device=gpt.device)
    seen[:, _PENALISED].fill_(True)
    seen[:, gpt.start].fill_(True)
    numbers = torch.arange(batch.uniforms.shape[1], device=gpt.device)
    uniforms = uniform(batch.seeds.index_select(0, slots)[:, None], numbers)
    parameters = Parameters(*(tensor.index_select(0, slots) for tensor in batch.parameters.tensors()))
    drawn = sample(logits, seen, parameters, uniforms[:, 0], narrow=narrow)
    batch.seen.index_copy_(0, slots, seen)
    batch.uniforms.index_copy_(0, slots, uniforms)
    batch.codes.index_copy_(0, slots, drawn)
