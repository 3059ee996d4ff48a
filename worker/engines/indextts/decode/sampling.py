"""Drawing the next code of each row: all rows at once, on the device, each by its own parameters.

    logits -> repetition penalty -> temperature -> top-k -> top-p -> probabilities -> one draw

in the order and with the tie rules of Hugging Face's `generate`. The draw differs: its random numbers are a function of
the row's seed and the code's position, so neighbours in the batch and the device change nothing.
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
    """The parameters of B rows, (B,) each."""

    seed: Tensor  # int64
    penalty: Tensor
    temperature: Tensor
    top_k: Tensor  # int64
    tail: Tensor  # 1 - top_p: the probability that may be cut off; below 0 where none may be
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
    """The reason why these parameters can't be used, in words; None if they can."""
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

    logits (B, V) fp32; seen (B, V) bool, the codes to which the repetition penalty applies; positions (B,) int64, the
    count of codes that the row has.
    """
    scores = penalise(logits, seen, parameters)
    drawn = pick(probabilities(scores, parameters), uniform(parameters.seed, positions))
    codes = torch.where(parameters.greedy, scores.argmax(-1), drawn)
    return codes.masked_fill(~logits.isfinite().all(-1), NOT_FINITE)


def penalise(logits: Tensor, seen: Tensor, parameters: Parameters) -> Tensor:
    """Logits (B, V) with the seen codes lowered."""
    penalty = parameters.penalty[:, None]
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def probabilities(scores: Tensor, parameters: Parameters) -> Tensor:
    """(B, V) at the row's temperature, with zeros for the codes that top-k and top-p leave out.

    Codes that tie with the k-th all stay. Top-p removes the least likely codes as long as they weigh 1 - top_p or less
    together; the likeliest always stays. Of equals the lower code goes first, which Hugging Face leaves to chance.
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
    """(B,) int64: the code at which the cumulative distribution of each row (B, V) passes its uniform (B,).

    The sum is over integers of 2^-40, which add up alike in any order. A scan of floats may step up at a code of no
    weight, and differs from device to device."""
    cumulative = (weights.double() * 2**40).long().cumsum(-1)
    target = (uniforms * cumulative[:, -1]).long()
    return torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]


def uniform(seeds: Tensor, positions: Tensor) -> Tensor:
    """(B,) float64 in [0, 1), 53 bits each, from seeds and positions (B,) int64; the same on every device."""
    bits = _mix(_mix(seeds + _STEP) + (positions + 1) * _STEP)
    return _shift(bits, 11).double() * 2**-53


def _mix(state: Tensor) -> Tensor:
    """SplitMix64's finaliser; int64 wraps around."""
    state = state.bitwise_xor(_shift(state, 30)) * _FIRST
    state = state.bitwise_xor(_shift(state, 27)) * _SECOND
    return state.bitwise_xor(_shift(state, 31))


def _shift(state: Tensor, bits: int) -> Tensor:
    """Shifts right and fills with zeros; int64 by itself would fill with its sign."""
    return state.bitwise_right_shift(bits).bitwise_and(2 ** (64 - bits) - 1)


def _signed(seed: int) -> int:
    return (seed + 2**63) % 2**64 - 2**63
