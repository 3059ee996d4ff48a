"""How long the parts of an utterance are to be, where the clip has a length to keep."""

from __future__ import annotations

from collections.abc import Sequence

from worker.engine import Notice, NoticeCode
from worker.engines.indextts.shapes import HOP, SAMPLE_RATE, Adapter

_SLOWEST, _FASTEST = 0.5, 2.0  # speeds that a version with a duration factor was made for


def shares(target_ms: int, tokens: Sequence[int], gap: int) -> list[int]:
    """Mel frames for each part, in proportion to its tokens; with `gap` samples between two of them they are as long as
    the target, to half a frame. Of a target that the gaps use up, nothing or less is left."""
    frames = round((samples(target_ms) - gap * (len(tokens) - 1)) / HOP)
    ends = [round(frames * sum(tokens[: part + 1]) / sum(tokens)) for part in range(len(tokens))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def held(target: int, adapter: Adapter, codes: int) -> int:
    """The frames nearest to the target that so many codes may become."""
    return min(max(target, adapter.frames(codes, _FASTEST)), adapter.frames(codes, _SLOWEST))


def missed(target_ms: int, reached: int) -> Notice | None:
    """What a clip of so many samples says of its target; nothing if it is as near as whole frames can be."""
    if abs(reached - samples(target_ms)) <= HOP:
        return None
    result_ms = round(reached / SAMPLE_RATE * 1000)
    return Notice(NoticeCode.DURATION_LIMIT, f"target {target_ms} ms, result {result_ms} ms")


def samples(target_ms: int) -> int:
    return round(target_ms * SAMPLE_RATE / 1000)
