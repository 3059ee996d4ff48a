"""The MP3 file of a book: its tag, a frame that says where the sound begins and ends, and packets of constant size.

The frame is that of Xing with LAME's ending, which players decode as silence or skip: the number of frames and bytes,
and the samples before the first and after the last one. See https://gabriel.mp3-tech.org/mp3infotag.html.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from farm.sound.timeline import Span
from worker.desk.book import Book, Held
from worker.desk.id3 import id3_tag
from worker.desk.packets import CODERS, Packets

_DECODER_DELAY = 529  # samples, which are not part of the delay that the frame tells
_KBITS = {  # by the number in a frame's header; MPEG-1, and MPEG-2 with 2.5
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_INFO = struct.Struct(">4s I I I 100s I")  # "Info", flags, frames, bytes, places for seeking, quality
_LAME = struct.Struct(">9s B B f H H B B 3s B B H I H")  # up to the checksum of the sound; docs at the address above
_ALL = 0xF  # flags: each of the four is there
_CONSTANT = 1  # bit rate
_EVEN = bytes(place * 256 // 100 for place in range(100))  # frames are alike, so places are even


class Mp3File:
    """Takes packets in their order; `finish` with the places of all clips writes the tag and the frame before them."""

    def __init__(self, target: Path, sample_rate: int, book: Book) -> None:
        self._book, self._rate = book, sample_rate
        self._file = target.open("w+b")
        nowhere = [Span(0, 0)] * (1 + max((first for _, first in book.chapters), default=0))
        self._sound = self._file.write(self._tag(nowhere, 0))
        self._header = b""  # of the first packet
        self._first = 0  # byte of the first packet
        self._packets = self._bytes = 0

    def write(self, packets: Packets) -> None:
        if not self._header and len(packets.sizes):
            self._header = packets.bodies[:4]
            self._first = self._sound + self._file.write(info_frame(self._header, self._rate, 0, 0, 0))
        self._file.write(packets.bodies)
        self._packets += len(packets.sizes)
        self._bytes += len(packets.bodies)

    def finish(self, spans: Sequence[Span], frames: int) -> Held:
        self._file.seek(0)
        self._file.write(self._tag(spans, frames))
        self._file.write(info_frame(self._header, self._rate, self._packets, self._bytes, frames))
        return Held(len(self._book.chapters), self._book.picture is not None)

    def close(self) -> None:
        """Also where it was not finished."""
        self._file.close()

    def first_byte(self) -> int:
        """Of the first packet."""
        return self._first

    def _tag(self, spans: Sequence[Span], frames: int) -> bytes:
        return id3_tag(self._book.tags, self._book.placed(spans, frames, self._rate), self._book.picture)


def info_frame(header: bytes, sample_rate: int, packets: int, size: int, frames: int) -> bytes:
    """`header`: the four bytes with which a packet of the sound begins. `size` in bytes and `frames` in samples are
    those of the sound."""
    coder = CODERS["mp3"]
    delay = coder.priming(sample_rate) - _DECODER_DELAY
    padding = max(0, packets * coder.frame(sample_rate) - delay - frames)
    is_mpeg1 = header[1] & 0x18 == 0x18
    kbits = _KBITS[is_mpeg1]
    side = 17 if is_mpeg1 else 9  # bytes of mono, which are zero here
    needed = 4 + side + _INFO.size + _LAME.size + 2
    samples = coder.frame(sample_rate)
    lengths = [samples // 8 * 1000 * each // sample_rate for each in kbits]
    number = next(each for each, length in enumerate(lengths) if length >= needed)
    total = lengths[number] + size
    start = bytes([header[0], header[1] | 1, number << 4 | header[2] & 0x0C, header[3]])
    told = start + bytes(side) + _INFO.pack(b"Info", _ALL, packets, total, _EVEN, 0)
    told += _LAME.pack(
        b"LAME3.100", _CONSTANT, 0, 0.0, 0, 0, 0, min(255, kbits[header[2] >> 4]),
        (delay << 12 | min(padding, 0xFFF)).to_bytes(3), 0, 0, 0, total & 0xFFFFFFFF, 0,
    )  # fmt: skip
    return (told + struct.pack(">H", _crc16(told))).ljust(lengths[number], b"\0")


def _crc16(data: bytes) -> int:
    """CRC-16/ARC, as LAME writes it."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
