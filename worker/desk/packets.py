"""Sound as packets of FFmpeg's encoders (the package av, the extra `audiobook`): how each is asked, and how the packets
of passages follow each other without a seam.

    m4b     aac, by its coder `fast`: 241 times real time on one core of the machine of docs/benchmarks.md, where its
            default takes twice as long (120 to 127 times) for the same bit rate
    mp3     libmp3lame without its reservoir, so that no frame borrows bits from another: 110 times real time
    opus    libopus: one encoder for the whole recording, because its packets lean on those before

A decoder gives some samples before the first, the priming of its encoder, and sounds into one frame after the last. A
passage that another follows ends with as much silence. Of its packets only those count that its samples fill: the
priming of the next one takes the place of that silence. So all packets, one after another, decode to every sample in
its place. The packets after these, the tail, end a file whose last passage it is: the whole's, or a chapter's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from farm.audio_formats import AudioFormat
from farm.sound.flac import Samples

_GLOBAL_HEADER = 1 << 22  # FFmpeg's flag: the configuration stands in the container and not in the packets
_FRAMES_BETWEEN_LOOKS = 256  # whether the work is still wanted; 50 ms of a core


@dataclass(frozen=True, slots=True)
class Packets:
    """`bodies` one after another, and the bytes of each."""

    sizes: npt.NDArray[np.uint32]
    bodies: bytes

    @classmethod
    def of(cls, packets: Iterable[bytes]) -> Packets:
        every = list(packets)
        return cls(np.array([len(packet) for packet in every], np.uint32), b"".join(every))

    def each(self) -> Iterator[memoryview]:
        bodies, end = memoryview(self.bodies), 0
        for size in self.sizes.tolist():
            start, end = end, end + size
            yield bodies[start:end]

    def split(self, count: int) -> tuple[Packets, Packets]:
        """The first `count` packets, and the others."""
        end = int(self.sizes[:count].sum())
        return Packets(self.sizes[:count], self.bodies[:end]), Packets(self.sizes[count:], self.bodies[end:])


@dataclass(frozen=True, slots=True)
class Coder:
    """One encoder for mono speech. `priming` and `silence` are samples; `silence` is what a passage ends with at least
    that another follows, and 0 where packets of passages can't follow each other."""

    name: str  # FFmpeg's
    sample_format: str
    options: Mapping[str, str]
    bit_rate: Callable[[int], int]  # bit/s at a sample rate in Hz
    frame: Callable[[int], int]  # samples of a packet at a sample rate in Hz
    priming: Callable[[int], int]
    silence: int = 0
    level: Callable[[int], float] = lambda bit_rate: 1.0  # of what it plays, to what it was given

    def open(self, context: Any, sample_rate: int, bit_rate: int | None = None) -> Any:
        """Sets an encoder up. `bit_rate`: bit/s, in place of the coder's own."""
        context.sample_rate, context.layout, context.format = sample_rate, "mono", self.sample_format
        context.bit_rate = bit_rate or self.bit_rate(sample_rate)
        context.options = dict(self.options)
        context.flags |= _GLOBAL_HEADER
        context.open()
        return context

    def missing_silence(self, samples: int, silent: int, sample_rate: int) -> int:
        """How many samples more make the frames whole and the end silent; the last `silent` samples are so."""
        frame = self.frame(sample_rate)
        return -(-(samples + max(0, self.silence - silent)) // frame) * frame - samples


CODERS: Mapping[AudioFormat, Coder] = MappingProxyType(
    {
        "m4b": Coder(
            "aac", "fltp", {"aac_coder": "fast"},
            bit_rate=lambda rate: 64_000 if rate <= 24_000 else 96_000,
            frame=lambda rate: 1024, priming=lambda rate: 1024, silence=1024,
        ),
        # 576 samples of its encoder and 529 of its decoder; frames overlap by 576, and its filters reach 512.
        "mp3": Coder(
            "libmp3lame", "fltp", {"reservoir": "0", "compression_level": "7"},
            bit_rate=lambda rate: 64_000 if rate <= 24_000 else 96_000,
            frame=lambda rate: 1152 if rate >= 32_000 else 576, priming=lambda rate: 1105, silence=1105 + 576 + 512,
            level=lambda bit_rate: 0.95 if bit_rate < 192_000 else 0.97,  # LAME's scale, up to 192 kbit/s
        ),
        # 20 ms; 6.5 ms of priming (312 samples at 48 kHz).
        "opus": Coder(
            "libopus", "flt", {},
            bit_rate=lambda rate: 36_000, frame=lambda rate: rate // 50, priming=lambda rate: rate * 312 // 48_000,
        ),
    }
)  # fmt: skip


def encoder_version() -> str:
    """Another one may give other bytes."""
    import av

    return ".".join(map(str, av.library_versions["libavcodec"]))


class PacketEncoder:
    """One encoder, and the packets that come out of it for the samples that go in."""

    def __init__(self, coder: Coder, sample_rate: int, bit_rate: int | None = None) -> None:
        """`bit_rate` in bit/s; None for the coder's own."""
        import av

        self._frame_type: Any = av.AudioFrame
        self._coder, self._rate = coder, sample_rate
        self._context: Any = coder.open(av.CodecContext.create(coder.name, "w"), sample_rate, bit_rate)
        self._frame = coder.frame(sample_rate)
        self._gain = np.float32(1 / coder.level(bit_rate or coder.bit_rate(sample_rate)))
        self._rest: Samples = np.empty(0, np.float32)
        self._position = 0

    def packets(self, samples: Samples, check: Callable[[], None], *, ends: bool = False) -> Iterator[bytes]:
        """Of these samples, of which less than a frame may wait for more. `check` is called now and then."""
        samples = np.concatenate((self._rest, samples * self._gain))
        whole = len(samples) if ends else len(samples) // self._frame * self._frame
        for number, start in enumerate(range(0, whole, self._frame)):
            if number % _FRAMES_BETWEEN_LOOKS == 0:
                check()
            block = samples[None, start : min(whole, start + self._frame)]
            frame: Any = self._frame_type.from_ndarray(block, format=self._coder.sample_format, layout="mono")
            frame.sample_rate, frame.pts = self._rate, self._position
            self._position += block.shape[1]
            yield from map(bytes, self._context.encode(frame))
        self._rest = samples[whole:]
        if ends:
            yield from map(bytes, self._context.encode(None))


def encode_packets(
    coder: Coder, blocks: Iterable[Samples], sample_rate: int, check: Callable[[], None], *, bit_rate: int | None = None
) -> Packets:
    """Of a passage, in blocks of any length, with its tail. `bit_rate` in bit/s; None for the coder's own."""
    encoder, packets = PacketEncoder(coder, sample_rate, bit_rate), list[bytes]()
    for block in blocks:
        packets += encoder.packets(block, check)
    packets += encoder.packets(np.empty(0, np.float32), check, ends=True)
    return Packets.of(packets)
