"""The lengths of an utterance's parts, where its clip has a length to keep.

Both versions keep it in the same way: the length regulator stretches the content rows to the frames that are wanted,
before the flow makes sound of them, so that the pitch stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from worker.engine import Notice, NoticeCode
from worker.engines.indextts.shapes import HOP, SAMPLE_RATE, Adapter

_SLOWEST, _FASTEST = 0.5, 2.0  # speeds for which version 2.5 was made; version 2 has the same regulator


def shares(target_ms: int, tokens: Sequence[int], gap: int) -> list[int]:
    """Mel frames for each part, in proportion to its tokens. With `gap` samples between two parts they are as long as
    the target, to half a frame. Where the gaps use the target up, the frames are zero or negative."""
    frames = round((samples(target_ms) - gap * (len(tokens) - 1)) / HOP)
    ends = [round(frames * sum(tokens[: part + 1]) / sum(tokens)) for part in range(len(tokens))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def held(target: int, adapter: Adapter, codes: int) -> int:
    """The count of frames nearest to the target among those that so many codes may have."""
    return min(max(target, adapter.frames(codes, _FASTEST)), adapter.frames(codes, _SLOWEST))


def missed(target_ms: int, reached: int) -> Notice | None:
    """The warning of a clip with `reached` samples; None where it is as near to its target as whole frames can be."""
    if abs(reached - samples(target_ms)) <= HOP:
        return None
    result_ms = round(reached / SAMPLE_RATE * 1000)
    return Notice(NoticeCode.DURATION_LIMIT, f"target {target_ms} ms, result {result_ms} ms")


def samples(target_ms: int) -> int:
    return round(target_ms * SAMPLE_RATE / 1000)
