"""The layout of a batch of different lengths in memory: end to end, without padding.

    rows    prompt A | speech A | prompt B | speech B | ...                    L = P + Y frames of each item
    line    ~ end of prompt A | speech A ~ ~ end of prompt B | speech B ~      the input of the convolutions

Most layers treat every row alike; only attention and convolution must know the ends of items. Attention gets the spans.
For convolution, the line has room at both ends of an item (~), in which the item's own frames are mirrored. Of a prompt
it has only the frames that reach the speech through all convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Rows:
    """Indices on the device, for R rows and F frames of speech in all, and N places in the line."""

    spans: list[tuple[int, int]]  # of each item: its first row, and the row after its last
    positions: torch.Tensor  # (R,) of a row within its item
    speech: torch.Tensor  # (R,) the frame of speech of a row; F for a row of a prompt
    line: torch.Tensor  # (N,) the row that a place shows
    ends: torch.Tensor  # (E,) places that mirror others
    mirrored: torch.Tensor  # (E,) those others
    heard: torch.Tensor  # (F,) the place that shows a frame of speech


def lay_out(prompts: Sequence[int], frames: Sequence[int], margin: int, reach: int, device: torch.device) -> Rows:
    """For items of `prompts` P and `frames` Y. `margin`: mirrored places at each end; `reach`: frames of a prompt that
    reach the speech. Raises ValueError for an item that is too short to be mirrored."""
    spans, indices = [], []
    row = place = frame = 0
    for prompt, count in zip(prompts, frames, strict=True):
        length = prompt + count
        shown = min(length, reach + count)
        if shown <= margin:
            raise ValueError(f"{length} frames, the reference's with them, are too few: it takes more than {margin}")
        offsets = torch.arange(-margin, shown + margin)
        inside = shown - 1 - (shown - 1 - offsets.abs()).abs()  # 2 1 | 0 1 2 ... n-2 n-1 | n-2 n-3
        ends = torch.cat([torch.arange(margin), torch.arange(margin + shown, len(offsets))])
        indices.append(
            (
                torch.arange(length),
                torch.cat([torch.full((prompt,), sum(frames)), torch.arange(frame, frame + count)]),
                row + length - shown + inside,
                place + ends,
                place + margin + inside[ends],
                torch.arange(place + margin + shown - count, place + margin + shown),
            )
        )
        spans.append((row, row + length))
        row, place, frame = row + length, place + len(offsets), frame + count
    return Rows(spans, *(torch.cat(parts).to(device) for parts in zip(*indices, strict=True)))
