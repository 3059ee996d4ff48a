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
MOST_NARROW = 64  # codes: to find the largest 64 of 8194 is less work than to sort them

# SplitMix64 (Steele, Lea, Flood 2014): the step of its counter and the constants of its finaliser, as signed int64.
_STEP = 0x9E3779B97F4A7C15 - 2**64
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of B rows, (B,) each."""

    penalty: Tensor
    temperature: Tensor
    top_k: Tensor  # int64, from 1 to the vocabulary
    tail: Tensor  # 1 - top_p: the probability that may be cut off; below 0 where none may be
    greedy: Tensor  # bool

    @classmethod
    def of(cls, samplings: Sequence[Sampling], vocabulary: int, device: torch.device) -> Parameters:
        parameters = cls.empty(len(samplings), device)
        for row, sampling in enumerate(samplings):
            parameters.put(row, sampling, vocabulary)
        return parameters

    @classmethod
    def empty(cls, rows: int, device: torch.device) -> Parameters:
        """Harmless ones."""
        single = torch.ones(rows, device=device)
        whole = torch.ones(rows, dtype=torch.int64, device=device)
        return cls(single, single.clone(), whole, single.clone(), whole.bool())

    def put(self, row: int, sampling: Sampling, vocabulary: int) -> None:
        """In place, and without a copy from the host: each number is an argument of a kernel."""
        self.penalty[row].fill_(sampling.repetition_penalty)
        self.temperature[row].fill_(sampling.temperature)
        self.top_k[row].fill_(min(sampling.top_k or vocabulary, vocabulary))
        self.tail[row].fill_(1 - sampling.top_p if sampling.top_p < 1 else -1.0)
        self.greedy[row].fill_(sampling.greedy)

    def tensors(self) -> tuple[Tensor, ...]:
        return self.penalty, self.temperature, self.top_k, self.tail, self.greedy


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


def narrow(sampling: Sampling) -> bool:
    """Whether top-k leaves a row so few codes that `sample` can do without sorting the vocabulary."""
    return sampling.greedy or 1 <= sampling.top_k <= MOST_NARROW


def sample(logits: Tensor, seen: Tensor, parameters: Parameters, uniforms: Tensor, *, narrow: bool = False) -> Tensor:
    """The next code of each row, (B,) int64, or NOT_FINITE.

    logits (B, V) fp32; seen (B, V) bool, the codes to which the repetition penalty applies; uniforms (B,) float64, the
    random number of each row. `narrow` says that `narrow()` holds for each row: the answer is the same to the bit, and
    faster.
    """
    scores = penalise(logits, seen, parameters)
    drawn = pick(probabilities(scores, parameters, narrow=narrow), uniforms)
    codes = torch.where(parameters.greedy, scores.argmax(-1), drawn)
    finite = logits.abs().amax(-1) < torch.inf  # a maximum passes NaN on
    return codes.masked_fill(finite.logical_not(), NOT_FINITE)


def penalise(logits: Tensor, seen: Tensor, parameters: Parameters) -> Tensor:
    """Logits (B, V) with the seen codes lowered."""
    penalty = parameters.penalty[:, None]
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def probabilities(scores: Tensor, parameters: Parameters, *, narrow: bool = False) -> Tensor:
    """(B, V) at the row's temperature, with zeros for the codes that top-k and top-p leave out.

    Codes that tie with the k-th all stay. Top-p removes the least likely codes as long as they weigh 1 - top_p or less
    together; the likeliest always stays. Of equals the lower code goes first, which Hugging Face leaves to chance.

    Where a code stands in the order of its row is told by two counts: of the codes below it, and of its equals that
    come before it. So the values alone need to be in order, and of these only the ones that top-k leaves.
    """
    scores = scores / parameters.temperature[:, None]
    ascending, outside = _leading(scores, parameters.top_k) if narrow else _sorted(scores, parameters.top_k)
    light = _running(ascending.softmax(-1)) <= parameters.tail[:, None]
    cut = torch.maximum(light[:, :-1].sum(-1, keepdim=True), outside)
    last = ascending.gather(1, cut)  # the least likely that stays
    below = scores < last
    equal = scores == last
    first = equal.cumsum(-1) <= cut - below.sum(-1, keepdim=True)
    return scores.masked_fill(below | (equal & first), -torch.inf).softmax(-1)


def _sorted(scores: Tensor, top_k: Tensor) -> tuple[Tensor, Tensor]:
    """(B, V) in ascending order with -infinity for the codes outside of top-k, and how many those are, (B, 1)."""
    ascending = scores.sort().values
    smallest = ascending.gather(1, (scores.shape[1] - top_k)[:, None])
    return ascending.masked_fill(ascending < smallest, -torch.inf), (scores < smallest).sum(-1, keepdim=True)


def _leading(scores: Tensor, top_k: Tensor) -> tuple[Tensor, Tensor]:
    """The same, for a top-k of at most MOST_NARROW (a row of a larger one gets some answer). Only so many values are
    put in order. All others that tie with the k-th are its equals, and only need to be counted."""
    vocabulary = scores.shape[1]
    most = min(MOST_NARROW, vocabulary)
    leading = scores.topk(most).values
    smallest = leading.gather(1, (top_k.clamp(max=most) - 1)[:, None])
    outside = (scores < smallest).sum(-1, keepdim=True)
    ascending = torch.cat([smallest.expand(-1, vocabulary - most), leading.flip(-1)], 1)
    places = torch.arange(vocabulary, device=scores.device)
    return ascending.masked_fill(places < outside, -torch.inf), outside


def _running(weights: Tensor) -> Tensor:
    """The running sum of each row (B, V). CUDA has another kernel for a row alone: its blocks add their sums in the
    order in which they happen to end, so last bits change from call to call (pytorch#75240). Two rows never go there.
    """
    return weights.cumsum(-1) if len(weights) > 1 else weights.expand(2, -1).cumsum(-1)[:1]


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


def signed(seed: int) -> int:
    """A seed of 64 bits as the int64 of the same bits."""
    return (seed + 2**63) % 2**64 - 2**63
