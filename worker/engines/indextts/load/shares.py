"""The shares of a GPU's memory, once the weights are there: how many rows are decoded at once, and with how much room.

    free ── what comes later ── margin ── sound: the mel frames of one acoustic batch ── pages: K and V of the rows
            └─ the way back to fp32 among it                                             └─ slots: usual rows that
                                                                                            have room in these

A row that grows beyond the usual takes pages from the common pool, and the youngest row starts again later when these
run out. So slots follow from the length of a usual row, and only one row must fit at its longest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farm.errors import Misconfigured
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.shapes import DTYPES, HALF, Network, Precision
from worker.engines.indextts.sound.batches import rows_of

log = logging.getLogger(__name__)

MOST_SLOTS = 64  # more gain nothing: the flow is the bottleneck long before
CPU_SLOTS = 16
_LEAST_FRAMES = 4_096  # a clip of 25 s behind a reference of 15 s has 3,450
_MARGIN = 0.08  # of the free memory, for what no share counts: workspaces of libraries, fragments
_SOUND = 0.4  # of the rest for the acoustic stages, at most; K and V get what these leave
_LATER = 512 << 20  # bytes, for conditioning new voices (w2v-BERT over 15 s), and graphs
_FRAME = 150_000  # in fp32: half of a frame of the vocoder, whose batches have half as many (calculated)
_PROMPT = 256  # positions: up to 32 latents, 120 tokens, and room to spare
_SENTENCE = 400  # codes of a usual row: 8 s in version 2, which has 50 a second
_CPU_PAGES = 4 << 30

GIB = 1 << 30

_NO_EMOTIONS = (
    "the GPU has no {gib:.1f} GiB to keep free for the model that reads emotions in words: such texts may fail here"
)
_NO_WAY_BACK = (
    "the GPU has no {gib:.1f} GiB to keep free for flow and vocoder in fp32: a text whose sound is not finite in half "
    "precision fails here"
)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a network takes: bytes, unless it says otherwise."""

    position: int  # K and V of one position, over all layers
    usual: int  # positions of a usual row: a prompt, and the codes of a sentence
    longest: int  # positions of a row that reaches the limit of codes
    frame: int  # of the acoustic stages for one mel frame
    frames: int  # mel frames of an acoustic batch that are worth having
    reserved: int  # for what comes later
    back: int = 0  # weights of flow and vocoder in fp32, with which a piece is made again whose sound is not finite


@dataclass(frozen=True, slots=True)
class Shares:
    slots: int
    pages: int  # bytes of K and V
    frames: int  # of an acoustic batch, those of the references among them


def needs(network: Network, gpt: Gpt, limit: int) -> Needs:
    """Of rows with at most `limit` codes. The copies of flow and vocoder in their precision are still to be made."""
    codes = _SENTENCE // 2 if network.version == "2.5" else _SENTENCE
    precisions = network.precisions
    half = {precisions.s2mel, precisions.vocoder}.issubset(HALF)
    copies = _copy(network.estimator, network.device, precisions.s2mel)
    copies += _copy(network.vocoder, network.device, precisions.vocoder)
    back = 0
    if precisions.s2mel in HALF or precisions.vocoder in HALF:  # a flow of its own, and the vocoder where it is rounded
        back = _bytes(network.estimator.parameters(), torch.float32)
        back += _copy(network.vocoder, network.device, precisions.full)
    return Needs(
        position=2 * gpt.layers * gpt.width * gpt.dtype.itemsize,
        usual=_PROMPT + min(codes, limit),
        longest=2 * _PROMPT + limit,
        frame=_FRAME // 2 if half else _FRAME,
        frames=rows_of(gpt.device),
        reserved=_LATER + copies,
        back=back,
    )


def _copy(stage: torch.nn.Module, device: torch.device, precision: Precision) -> int:
    """Bytes of the weights that do not lie on the device in this precision already."""
    dtype = DTYPES[precision]
    return _bytes((one for one in stage.parameters() if (one.device, one.dtype) != (device, dtype)), dtype)


def _bytes(weights: Iterable[Tensor], dtype: torch.dtype) -> int:
    return sum(weight.numel() for weight in weights) * dtype.itemsize


def shares_on(device: torch.device, needed: Needs, slots: int | None, *, beside: int = 0) -> Shares:
    """By the memory that is free now, less the bytes that a process `beside` this one will want. On a CPU, rows cost no
    more than their work. Raises Misconfigured."""
    if device.type != "cuda":
        given = slots or CPU_SLOTS
        return Shares(given, min(given * needed.longest * needed.position, _CPU_PAGES), needed.frames)
    free, _ = torch.cuda.mem_get_info(device)
    return share_beside(free, needed, slots, beside)


def share_beside(free: int, needed: Needs, slots: int | None, beside: int) -> Shares:
    """Keeps `beside` bytes free. A small card that has no room for all speaks all the same. It gives up the process
    beside it first: emotions in words are refused where their model does not fit. Then it gives up the way back: a
    piece whose sound is not finite fails. Raises Misconfigured."""
    given_up = []
    while True:
        try:
            shares = share(free - beside, needed, slots)
        except Misconfigured:
            if beside:
                given_up.append(_NO_EMOTIONS.format(gib=beside / GIB))
                beside = 0
            elif needed.back:
                given_up.append(_NO_WAY_BACK.format(gib=needed.back / GIB))
                needed = replace(needed, back=0)
            else:
                raise
        else:
            for lost in given_up:
                log.warning("%s", lost)
            return shares


def share(free: int, needed: Needs, slots: int | None = None) -> Shares:
    """Shares out `free` bytes. `slots`: as many as were asked for, instead of as many as have room.

    Raises:
        Misconfigured: not even one row fits beside an acoustic batch; the message says how much is lacking.
    """
    reserved = needed.reserved + needed.back
    room = int((free - reserved) * (1 - _MARGIN))
    frames = max(_LEAST_FRAMES, min(needed.frames, int(_SOUND * room) // needed.frame))
    left = room - frames * needed.frame
    row = needed.longest * needed.position
    if left < row:
        least = int((_LEAST_FRAMES * needed.frame + row) / (1 - _MARGIN)) + reserved
        raise Misconfigured(
            f"the GPU has {free / GIB:.1f} GiB free beside the weights, and one sentence needs {least / GIB:.1f}: end "
            "what else runs on it (nvidia-smi names it), set FARM_INDEXTTS_GPT, FARM_INDEXTTS_S2MEL and "
            "FARM_INDEXTTS_VOCODER to fp16, or lower FARM_INDEXTTS_CODE_LIMIT"
        )
    given = slots or max(1, min(MOST_SLOTS, left // (needed.usual * needed.position)))
    return Shares(given, min(left, given * row), frames)
