"""Joins FLAC files without decoding them.

    split   the frames of a file, without their headers and checksums
    write   the frames of many files as one stream, each under a new header
    read    the frames of a stretch of such a stream, without these headers

A frame says in its header where it lies, so that each gets a new header and a new checksum. The checksum of a frame is
linear: that of its body is kept, and that of the new header is shifted past the body. The files end with shorter
frames, so the stream is one of variable block size, and its headers count samples (RFC 9639, 9.1). It has no MD5 of the
samples, because that is known only to one who decodes all of them; 0 means so.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
import soundfile as sf

from farm.sound.flac import Pcm

# Samples of a stream. Headers can count on to 2^36, but FFmpeg, and so most players, reads 31 bits: 27 hours at
# 22,050 Hz, 12 at 48,000.
LONGEST = 2**31

LEAST = 16  # samples of a frame that is not the last of its stream (RFC 9639, 9.1.1)
BLOCK = 4096  # samples of libsndfile's frames
_VENDOR = b"TTS Farm"
_SHORT_CODES = {192: 1} | {576 << n: 2 + n for n in range(4)} | {256 << n: 8 + n for n in range(8)}


@dataclass(frozen=True, slots=True)
class Frames:
    """`bodies` one after another; of each its bytes, the checksum of its bytes alone, and its samples."""

    kind: bytes  # the second byte of each header without the block size, and the third: sample rate and sample size
    rate_bytes: bytes  # the sample rate, where it has no code
    sizes: npt.NDArray[np.uint32]
    checksums: npt.NDArray[np.uint16]
    samples: npt.NDArray[np.uint16]
    bodies: bytes


def encode_frames(pcm: Pcm, sample_rate: int) -> Frames:
    """A frame of less than 16 samples can only be the last of a stream. One within takes some from the one before."""
    rest = len(pcm) % BLOCK
    cut = len(pcm) - BLOCK // 2 if 0 < rest < LEAST and len(pcm) > BLOCK else len(pcm)
    every = [_split(_encoded(piece, sample_rate), len(piece)) for piece in (pcm[:cut], pcm[cut:]) if len(piece)]
    return Frames(
        every[0].kind, every[0].rate_bytes,
        np.concatenate([one.sizes for one in every]), np.concatenate([one.checksums for one in every]),
        np.concatenate([one.samples for one in every]), b"".join(one.bodies for one in every),
    )  # fmt: skip


def stream_head(sample_rate: int, samples: int, shortest: int, longest: int) -> bytes:
    """What stands before the first frame. `shortest` and `longest` are in samples, of all frames but the last."""
    info = struct.pack(">HH6x", shortest, longest) + (sample_rate << 44 | 15 << 36 | samples).to_bytes(8) + bytes(16)
    comment = struct.pack("<I", len(_VENDOR)) + _VENDOR + struct.pack("<I", 0)
    return b"fLaC" + _block(0, info) + _block(0x80 | 4, comment)


def frames_at(position: int, frames: Frames) -> Iterator[bytes | memoryview]:
    """The frames as they stand in a stream, the first of them at sample `position`."""
    starts = _starts(position, frames)
    bodies = memoryview(frames.bodies)
    end = done = 0
    for length, samples, count in _runs(starts, frames.samples):
        mine = slice(done, done + count)
        heads = _heads(starts[mine], length, samples, frames.kind, frames.rate_bytes)
        tails = frames.checksums[mine] ^ _shifted(_crc16(heads), frames.sizes[mine])
        width, every_head, every_tail = heads.shape[1], heads.tobytes(), tails.astype(">u2").tobytes()
        for n, size in enumerate(frames.sizes[mine].tolist()):
            start, end = end, end + size
            yield every_head[width * n : width * (n + 1)]
            yield bodies[start:end]
            yield every_tail[2 * n : 2 * n + 2]
        done += count


def bodies_at(position: int, frames: Frames, stream: bytes) -> bytes:
    """The bodies of `frames`, whose own are not asked for, out of what frames_at wrote of them for that position."""
    starts = _starts(position, frames)
    view, bodies, end, done = memoryview(stream), list[memoryview](), 0, 0
    for length, samples, count in _runs(starts, frames.samples):
        head = 4 + length + len(_block_size(samples)) + len(frames.rate_bytes) + 1
        for size in frames.sizes[done : done + count].tolist():
            start, end = end + head, end + head + size + 2
            bodies.append(view[start : end - 2])
        done += count
    return b"".join(bodies)


def _starts(position: int, frames: Frames) -> npt.NDArray[np.int64]:
    return position + np.concatenate(([0], np.cumsum(frames.samples[:-1], dtype=np.int64)))


# --- taking a file apart ----------------------------------------------------------------------------------------------


def _encoded(pcm: Pcm, sample_rate: int) -> bytes:
    buffer = io.BytesIO()
    with sf.SoundFile(buffer, "w", sample_rate, 1, format="FLAC", subtype="PCM_16") as file:
        file.write(pcm)
    return buffer.getvalue()


def _split(data: bytes, samples: int) -> Frames:
    """The header of every frame is known but for its place, so a search for its bytes finds it."""
    start = 4
    while not data[start] & 0x80:
        start += 4 + int.from_bytes(data[start + 1 : start + 4])
    start += 4 + int.from_bytes(data[start + 1 : start + 4])
    kind, rate_bytes = bytes([data[start + 2] & 15, data[start + 3]]), _rate_bytes(data, start)
    numbers = np.arange(-(-samples // BLOCK))
    blocks = np.full(len(numbers), BLOCK, np.uint16)
    blocks[-1] = samples - (len(numbers) - 1) * BLOCK
    places: list[tuple[int, int]] = []  # of each header
    sums = []
    for length, block, count in _runs(numbers, blocks):
        heads = _heads(numbers[len(places) : len(places) + count], length, block, kind, rate_bytes, fixed=True)
        width, every = heads.shape[1], heads.tobytes()
        for n in range(count):
            place = data.index(every[width * n : width * (n + 1)], start)
            start = place + width
            places.append((place, start))
        sums.append(_crc16(heads))
    ends = [place for place, _ in places[1:]] + [len(data)]
    bodies = [data[start : end - 2] for (_, start), end in zip(places, ends, strict=True)]
    sizes = np.array([len(body) for body in bodies], np.uint32)
    tails = np.frombuffer(b"".join(data[end - 2 : end] for end in ends), ">u2").astype(np.uint16)
    return Frames(kind, rate_bytes, sizes, tails ^ _shifted(np.concatenate(sums), sizes), blocks, b"".join(bodies))


def _runs(numbers: npt.NDArray[np.int64], samples: npt.NDArray[np.uint16]) -> Iterator[tuple[int, int, int]]:
    """Frames with headers of one shape: the bytes of their numbers, their samples, and how many they are."""
    for (length, block), run in groupby(zip(_coded_length(numbers).tolist(), samples.tolist(), strict=True)):
        yield length, block, sum(1 for _ in run)


def _rate_bytes(data: bytes, start: int) -> bytes:
    """Of the first frame, whose number is 0 and takes one byte."""
    size = {12: 1, 13: 2, 14: 2}.get(data[start + 2] & 15, 0)
    after = start + 5 + {6: 1, 7: 2}.get(data[start + 2] >> 4, 0)
    return data[after : after + size]


# --- headers ----------------------------------------------------------------------------------------------------------


def _heads(
    numbers: npt.NDArray[np.int64], length: int, samples: int, kind: bytes, rate_bytes: bytes, *, fixed: bool = False
) -> npt.NDArray[np.uint8]:
    """Headers, one a row. `numbers` are of frames where the block size is `fixed`, else of samples; each takes `length`
    bytes, as UTF-8 would write it."""
    code = _SHORT_CODES.get(samples) or (6 if samples <= 256 else 7)
    columns = [np.full(len(numbers), byte) for byte in (0xFF, 0xF8 if fixed else 0xF9, code << 4 | kind[0], kind[1])]
    if length == 1:
        columns.append(numbers)
    else:
        columns.append((0xFF00 >> length & 0xFF) | numbers >> 6 * (length - 1))
        columns += [0x80 | numbers >> 6 * place & 0x3F for place in range(length - 2, -1, -1)]
    columns += [np.full(len(numbers), byte) for byte in _block_size(samples) + rate_bytes]
    rows = np.stack(columns, axis=1).astype(np.uint8)
    return np.concatenate((rows, _crc8(rows)[:, None]), axis=1)


def _block_size(samples: int) -> bytes:
    """Of a frame, where it has no code."""
    return b"" if samples in _SHORT_CODES else (samples - 1).to_bytes(1 if samples <= 256 else 2)


def _coded_length(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    lengths = np.ones(len(numbers), np.int64)
    for bits in (7, 11, 16, 21, 26, 31):
        lengths += numbers >> bits > 0
    return lengths


def _block(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + len(content).to_bytes(3) + content


# --- checksums (RFC 9639, 9.1.8 and 9.3) ------------------------------------------------------------------------------


def _table(polynomial: int, bits: int) -> npt.NDArray[np.int64]:
    table = np.arange(256, dtype=np.int64) << bits - 8
    for _ in range(8):
        table = np.where(table >> bits - 1 & 1, table << 1 ^ polynomial, table << 1) & (1 << bits) - 1
    return table


_CRC8, _CRC16 = _table(0x07, 8), _table(0x8005, 16)


def _crc8(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    crc = np.zeros(len(rows), np.int64)
    for column in rows.T:
        crc = _CRC8[crc ^ column]
    return crc.astype(np.uint8)


def _crc16(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    crc = np.zeros(len(rows), np.int64)
    for column in rows.T:
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ column]
    return crc.astype(np.uint16)


def _shifts(count: int) -> npt.NDArray[np.int64]:
    """[n, byte, value]: what a byte of a checksum becomes after 2^n zero bytes; the high byte is 0, the low one 1."""
    values = np.arange(256, dtype=np.int64)
    first = np.stack((_CRC16, values << 8))  # after one zero byte
    shifts = [first]
    for _ in range(count - 1):
        last = shifts[-1]
        shifts.append(np.stack([last[0][each >> 8] ^ last[1][each & 0xFF] for each in last]))
    return np.stack(shifts)


_SHIFTS = _shifts(24)


def _shifted(crc: npt.NDArray[np.uint16], sizes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
    """Each checksum after so many zero bytes."""
    shifted = crc.astype(np.int64)
    for bit, (high, low) in enumerate(_SHIFTS):
        is_set = sizes >> np.uint32(bit) & np.uint32(1) == 1
        if is_set.any():
            shifted = np.where(is_set, high[shifted >> 8] ^ low[shifted & 0xFF], shifted)
    return shifted.astype(np.uint16)
