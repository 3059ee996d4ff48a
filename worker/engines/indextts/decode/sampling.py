"""How the next code of each row is drawn: all rows at once, on the device, each by its own parameters.

    logits -> repetition penalty -> temperature -> top-k -> top-p -> probabilities -> one draw

in the order and with the tie rules of Hugging Face's `generate`, except for the draw: its randomness is a function of
the row's seed and the code's position, so what shares the batch, and where the row was run, changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.engines.indextts.shapes import Sampling

NOT_FINITE = -1  # in place of a code: the row's logits hold NaN or infinity

# SplitMix64 (Steele, Lea, Flood 2014): the step of its counter and the constants of its finaliser, as signed int64.
_STEP = 0x9E3779B97F4A7C15 - 2**64
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64


@dataclass(frozen=True, slots=True)
class Parameters:
    """Of B rows, (B,) each."""

    seed: Tensor  # int64
    penalty: Tensor
    temperature: Tensor
    top_k: Tensor  # int64
    tail: Tensor  # 1 - top_p: the probability that may be cut off; below 0 where nothing may be
    greedy: Tensor  # bool

    @classmethod
    def of(cls, samplings: Sequence[Sampling], vocabulary: int, device: torch.device) -> Parameters:
        def send(values: list[float] | list[int] | list[bool], dtype: torch.dtype) -> Tensor:
            return torch.tensor(values, dtype=dtype).to(device, non_blocking=True)

        return cls(
            seed=send([_signed(one.seed) for one in samplings], torch.int64),
            penalty=send([one.repetition_penalty for one in samplings], torch.float32),
            temperature=send([one.temperature for one in samplings], torch.float32),
            top_k=send([min(one.top_k or vocabulary, vocabulary) for one in samplings], torch.int64),
            tail=send([1 - one.top_p if one.top_p < 1 else -1.0 for one in samplings], torch.float32),
            greedy=send([one.greedy for one in samplings], torch.bool),
        )


def defect(sampling: Sampling) -> str | None:
    """What makes these parameters unusable, for people; None if nothing does."""
    if not (math.isfinite(sampling.temperature) and sampling.temperature > 0):
        return f"temperature must be above 0, not {sampling.temperature}; ask for greedy decoding instead of 0"
    if not (math.isfinite(sampling.repetition_penalty) and sampling.repetition_penalty > 0):
        return f"repetition_penalty must be above 0, not {sampling.repetition_penalty}; 1 turns it off"
    if not 0 <= sampling.top_p <= 1:
        return f"top_p must be from 0 to 1, not {sampling.top_p}; 1 turns it off"
    if sampling.top_k < 0:
        return f"top_k must be 0 or more, not {sampling.top_k}; 0 turns it off"
    if sampling.limit < 1:
        return f"limit must be 1 code or more, not {sampling.limit}"
    return None


def sample(logits: Tensor, seen: Tensor, parameters: Parameters, positions: Tensor) -> Tensor:
    """The next code of each row, (B,) int64, or NOT_FINITE.

    logits (B, V) fp32; seen (B, V) bool, the codes that the repetition penalty applies to; positions (B,) int64, how
    many codes the row has.
    """
    scores = penalise(logits, seen, parameters)
    drawn = pick(probabilities(scores, parameters), uniform(parameters.seed, positions))
    codes = torch.where(parameters.greedy, scores.argmax(-1), drawn)
    return codes.masked_fill(~logits.isfinite().all(-1), NOT_FINITE)


def penalise(logits: Tensor, seen: Tensor, parameters: Parameters) -> Tensor:
    """Lowers what was seen: (B, V)."""
    penalty = parameters.penalty[:, None]
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def probabilities(scores: Tensor, parameters: Parameters) -> Tensor:
    """(B, V), zero for what temperature, top-k and top-p leave out.

    Codes that tie with the k-th all stay. Top-p takes the least likely away while together they weigh no more than
    1 - top_p; the likeliest always stays. Of equals the lower code goes first, which Hugging Face leaves to chance.
    """
    scores = scores / parameters.temperature[:, None]
    ascending, order = scores.sort(stable=True)
    smallest = ascending.gather(1, (scores.shape[1] - parameters.top_k)[:, None])
    ascending = ascending.masked_fill(ascending < smallest, -torch.inf)
    cut = ascending.softmax(-1).cumsum(-1) <= parameters.tail[:, None]
    cut[:, -1] = False
    kept = ascending.masked_fill(cut, -torch.inf)
    return torch.empty_like(scores).scatter_(1, order, kept).softmax(-1)


def pick(weights: Tensor, uniforms: Tensor) -> Tensor:
    """(B,) int64: where the cumulative distribution of each row (B, V), in the order of the codes, passes its uniform
    (B,). The sum is over integers of 2^-40, which add up alike in any order: a scan of floats may step up at a code of
    no weight, and differs from device to device."""
    cumulative = (weights.double() * 2**40).long().cumsum(-1)
    target = (uniforms * cumulative[:, -1]).long()
    return torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]


def uniform(seeds: Tensor, positions: Tensor) -> Tensor:
    """(B,) float64 in [0, 1), 53 bits each, by seeds and positions (B,) int64: the same on every device."""
    bits = _mix(_mix(seeds + _STEP) + (positions + 1) * _STEP)
    return _shift(bits, 11).double() * 2**-53


def _mix(state: Tensor) -> Tensor:
    """SplitMix64's finaliser; int64 wraps around."""
    state = state.bitwise_xor(_shift(state, 30)) * _FIRST
    state = state.bitwise_xor(_shift(state, 27)) * _SECOND
    return state.bitwise_xor(_shift(state, 31))


def _shift(state: Tensor, bits: int) -> Tensor:
    """Right, and filled with zeros, which int64 alone would fill with its sign."""
    return state.bitwise_right_shift(bits).bitwise_and(2 ** (64 - bits) - 1)


def _signed(seed: int) -> int:
    return (seed + 2**63) % 2**64 - 2**63
