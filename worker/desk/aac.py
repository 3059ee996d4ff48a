"""AAC as passages hold it: packets of 1,024 samples that follow the packets of another encoder without a seam.

An encoder begins with 1,024 samples of nothing, its priming. A passage that another follows is encoded one frame of its
silence shorter, so that the priming of the next one takes the place of that frame: the packets of all passages, one
after another, decode to every sample in its place. FFmpeg does the work, by the package av (the extra `audiobook`).

The coder is FFmpeg's `fast`: 241 times real time on one core of the machine of docs/benchmarks.md, where its default
takes twice as long (120 to 127 times) for the same bit rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from farm.sound.flac import Samples

FRAME = 1024  # samples of a packet, and of the priming
_GLOBAL_HEADER = 1 << 22  # FFmpeg's flag: the configuration stands in the container and not in the packets


@dataclass(frozen=True, slots=True)
class Packets:
    """`bodies` one after another, and the bytes of each."""

    sizes: npt.NDArray[np.uint32]
    bodies: bytes


def encoder_version() -> str:
    """Another one may give other bytes."""
    import av

    return ".".join(map(str, av.library_versions["libavcodec"]))


def open_encoder(context: Any, sample_rate: int) -> None:
    """Sets an encoder up: about 64 kbit/s at 24 kHz, which is mono speech."""
    context.sample_rate, context.layout, context.format = sample_rate, "mono", "fltp"
    context.bit_rate = 64_000 if sample_rate <= 24_000 else 96_000
    context.options = {"aac_coder": "fast"}
    context.flags |= _GLOBAL_HEADER
    context.open()


def missing_silence(samples: int, silent: int) -> int:
    """How many samples more make the frames whole and the last of them silent; the last `silent` samples are so."""
    return -(-(samples + max(0, FRAME - silent)) // FRAME) * FRAME - samples


def encode_packets(
    blocks: Iterable[Samples], frames: int, sample_rate: int, check: Callable[[], None], *, is_last: bool
) -> Packets:
    """`frames` samples in blocks of any length. They are whole frames with a silent one at their end, unless no passage
    follows. `check` is called for each block."""
    import av

    context: Any = av.CodecContext.create("aac", "w")
    open_encoder(context, sample_rate)
    packets: list[bytes] = []
    end = frames - (0 if is_last else FRAME)
    for start, samples in zip(range(0, end, FRAME), _framed(blocks, check), strict=False):
        frame: Any = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = sample_rate, start
        packets += map(bytes, context.encode(frame))
    packets += map(bytes, context.encode(None))
    return Packets(np.array([len(packet) for packet in packets], np.uint32), b"".join(packets))


def _framed(blocks: Iterable[Samples], check: Callable[[], None]) -> Iterator[Samples]:
    """In frames; the last may be shorter."""
    rest = np.empty(0, np.float32)
    for block in blocks:
        check()
        samples = np.concatenate((rest, block))
        whole = len(samples) // FRAME * FRAME
        yield from samples[:whole].reshape(-1, FRAME)
        rest = samples[whole:]
    if len(rest):
        yield rest
