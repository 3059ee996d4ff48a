"""How long a recording truly is, where its header does not say it or says it wrongly.

libsndfile believes headers, and guesses where they are silent: of an MP3 with a variable bit rate and without a Xing
header it decodes as much as the size of its first frames suggests, and gives no sign of the rest. So the pieces of each
container are counted here.

    MP3    all frames; a right Xing header is put before them where there is none, or a wrong one
    FLAC   up to the last frame; the total in the header is put right
    Ogg    by the positions in its pages; several recordings in a row are refused
    WAV    the data chunk, and what follows it without being a chunk
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

ENOUGH_S = 120.0  # of an MP3; a reference may have half as much


class SeveralRecordings(ValueError):
    """Recordings in one file, one after another."""


@dataclass(frozen=True, slots=True)
class Counted:
    data: bytes  # the file, with a header that is right
    seconds: float | None  # at least so much is in it; None where that can't be counted


def counted(data: bytes) -> Counted:
    """Raises SeveralRecordings. A file of an unknown or broken form comes back as it is."""
    try:
        if data.startswith(b"RIFF") and data[8:12] == b"WAVE":
            return _wav(data)
        if data.startswith(b"OggS"):
            return _ogg(data)
        start = _after_tags(data)
        if data.startswith(b"fLaC", start):
            return _flac(data, start)
        return _mp3(data, start) if _frame(data, start) is not None else Counted(data, None)
    except (IndexError, struct.error):  # cut off within a header
        return Counted(data, None)


# --- MP3: ISO 11172-3, 2.4.1.3; its tags: id3.org, and the LAME tag's specification -----------------------------------

_BITRATES = {  # kbit/s by index, for (MPEG 1, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by the version's two bits
_CHAIN = 3  # headers in a row that tell frames from other bytes
_MOST_SKIPPED = 200_000  # bytes that could begin a frame and do not
_XING_FRAMES = 1  # the flag of a Xing header that states the number of frames and nothing else


@dataclass(frozen=True, slots=True)
class _Frame:
    begin: int
    bytes: int
    samples: int
    rate: int
    layer: int
    side_info: int  # bytes between the header and what a Xing header would be

    @property
    def end(self) -> int:
        return self.begin + self.bytes


def _mp3(data: bytes, start: int) -> Counted:
    frames = list(_frames(data, start))
    if not frames:
        return Counted(data, None)
    tag, stated = _xing(data, frames[0])
    audio = frames[1:] if tag else frames
    seconds = sum(frame.samples / frame.rate for frame in audio)
    unbroken = all(one.end == next_.begin for one, next_ in pairwise(frames))  # decoders stumble over much junk
    right = unbroken and stated is not None and abs(stated - len(audio)) <= 1
    if right or not audio or frames[0].layer != 3:
        return Counted(data, seconds)
    return Counted(_xing_frame(data, audio) + b"".join(data[frame.begin : frame.end] for frame in audio), seconds)


def _frames(data: bytes, at: int) -> Iterator[_Frame]:
    """All whole frames, at most ENOUGH_S of them. What lies between them is skipped, as decoders do, as long as it is
    not more than a large tag."""
    seconds, in_chain, skipped = 0.0, False, 0
    while seconds < ENOUGH_S and skipped < _MOST_SKIPPED:
        frame = _frame(data, at)
        if frame is not None and frame.end <= len(data) and (in_chain or _begins_chain(data, at)):
            yield frame
            seconds += frame.samples / frame.rate
            at, in_chain = frame.end, True
            continue
        in_chain, skipped = False, skipped + 1
        at = _after_tags(data, at) if data.startswith(b"ID3", at) else data.find(b"\xff", at + 1)
        if at < 0:
            return


def _begins_chain(data: bytes, at: int) -> bool:
    for _ in range(_CHAIN):
        frame = _frame(data, at)
        if frame is None:
            return False
        if frame.end >= len(data):
            return True
        at = frame.end
    return True


def _frame(data: bytes, at: int) -> _Frame | None:
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] < 0xE0:
        return None
    version, layer = data[at + 1] >> 3 & 3, 4 - (data[at + 1] >> 1 & 3)
    bits, rate_index, padded = data[at + 2] >> 4, data[at + 2] >> 2 & 3, data[at + 2] >> 1 & 1
    if version == 1 or layer == 4 or bits in (0, 15) or rate_index == 3:
        return None
    mpeg1, mono = version == 3, data[at + 3] >> 6 == 3
    rate, bitrate = _RATES[version][rate_index], 1000 * _BITRATES[mpeg1, layer][bits]
    samples = 384 if layer == 1 else 576 if layer == 3 and not mpeg1 else 1152
    size = 4 * (12 * bitrate // rate + padded) if layer == 1 else samples // 8 * bitrate // rate + padded
    side_info = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    return _Frame(at, size, samples, rate, layer, side_info)


def _xing(data: bytes, frame: _Frame) -> tuple[bool, int | None]:
    """Whether the frame is a Xing header, and the number of frames that it states."""
    at = frame.begin + 4 + frame.side_info
    if data[at : at + 4] not in (b"Xing", b"Info"):
        return False, None
    (flags,) = struct.unpack_from(">I", data, at + 4)
    return True, struct.unpack_from(">I", data, at + 8)[0] if flags & _XING_FRAMES else None


def _xing_frame(data: bytes, audio: list[_Frame]) -> bytes:
    """A frame of the same kind as the first, in which a Xing header says how many follow. It has no check sum, and
    enough bits for the header."""
    first = audio[0]
    head = bytearray(data[first.begin : first.begin + 4])
    head[1] |= 1
    for index in range(1, 15):
        head[2] = index << 4 | head[2] & 0x0C
        sized = _frame(bytes(head), 0)
        if sized is not None and sized.bytes >= 4 + first.side_info + 12:
            break
    assert sized is not None
    body = bytes(first.side_info) + b"Xing" + struct.pack(">II", _XING_FRAMES, len(audio))
    return (bytes(head) + body).ljust(sized.bytes, b"\0")


def _after_tags(data: bytes, at: int = 0) -> int:
    """Behind the ID3v2 tags that begin at `at`."""
    while data.startswith(b"ID3", at) and at + 10 <= len(data):
        a, b, c, d = data[at + 6 : at + 10]
        footer = 10 if data[at + 5] & 0x10 else 0
        at += 10 + (a << 21 | b << 14 | c << 7 | d) + footer
    return at


# --- FLAC: RFC 9639, 8.2 and 9.1 --------------------------------------------------------------------------------------

_LAST_FRAMES = 1 << 20  # bytes at the end of a file in which its last frame begins
_TOTAL_BITS = 36


def _flac(data: bytes, start: int) -> Counted:
    info = start + 8  # behind the marker and the head of the first block
    audio = start + 4
    while True:
        last, size = data[audio] & 0x80, int.from_bytes(data[audio + 1 : audio + 4], "big")
        audio += 4 + size
        if last:
            break
    if data.find(b"fLaC\0\0\0\x22", audio) >= 0:
        raise SeveralRecordings
    fields = int.from_bytes(data[info + 10 : info + 18], "big")
    rate, stated = fields >> 44, fields & (1 << _TOTAL_BITS) - 1
    total = _last_sample(data, audio, int.from_bytes(data[info : info + 2], "big"))
    if not rate or total is None:
        return Counted(data, None)
    if total != stated and total >> _TOTAL_BITS == 0:
        right = (fields >> _TOTAL_BITS << _TOTAL_BITS | total).to_bytes(8, "big")
        data = data[: info + 10] + right + data[info + 18 :]
    return Counted(data, total / rate)


def _last_sample(data: bytes, audio: int, block: int) -> int | None:
    """Where the last frame ends, in samples. `block`: samples of every other frame, where all have the same."""
    sync, kind = data[audio : audio + 2], data[audio + 3]
    at = len(data)
    while (at := data.rfind(sync, max(audio, len(data) - _LAST_FRAMES), at)) >= 0:
        if data[at + 3 : at + 4] == bytes([kind]) and (end := _frame_end(data[at : at + 16], block)) is not None:
            return end
    return None


def _frame_end(head: bytes, block: int) -> int | None:
    """None for bytes that only look like the head of a frame; its check sum tells."""
    try:
        ones = 8 - (head[4] ^ 0xFF).bit_length()  # as in UTF-8: 0, or the bytes that the number takes
        number = head[4] & (0x7F >> ones)
        at = 4 + max(1, ones)
        for byte in head[5:at]:
            number = number << 6 | byte & 0x3F
        size = head[2] >> 4
        if size in (6, 7):
            samples = int.from_bytes(head[at : at + size - 5], "big") + 1
            at += size - 5
        else:
            samples = {1: 192}.get(size) or (144 << size if size < 6 else 1 << size)
        at += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
        if size == 0 or ones == 1 or _crc8(head[:at]) != head[at]:
            return None
    except IndexError:
        return None
    return (number if head[1] & 1 else number * block) + samples


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
    return crc


# --- Ogg: RFC 3533, 6; its positions: RFC 7845, 4, and the Vorbis I specification, A.2 --------------------------------

_BEGINS, _NO_POSITION = 2, (1 << 64) - 1
_OPUS_RATE = 48_000


def _ogg(data: bytes) -> Counted:
    """The positions may begin anywhere, so what ends on the first page of audio is not counted. Streams that are played
    together begin together."""
    positions: list[int] = []
    begun, at = False, 0
    while (at := data.find(b"OggS", at)) >= 0 and at + 27 <= len(data):
        flags, position, lacing = data[at + 5], int.from_bytes(data[at + 6 : at + 14], "little"), data[at + 26]
        if flags & _BEGINS and begun:
            raise SeveralRecordings
        begun = begun or not flags & _BEGINS
        if position not in (0, _NO_POSITION):
            positions.append(position)
        at += 27 + lacing + sum(data[at + 27 : at + 27 + lacing])
    first = 28 + data[26]  # the packet that names the codec, behind the only page with one segment
    if data[first - 1 : first + 7] == b"OpusHead":
        rate = _OPUS_RATE
    elif data[first - 1 : first + 6] == b"\x01vorbis":
        (rate,) = struct.unpack_from("<I", data, first + 11)
    else:
        rate = 0
    if not rate or not positions:
        return Counted(data, None)
    return Counted(data, (max(positions) - positions[0]) / rate)


# --- WAV --------------------------------------------------------------------------------------------------------------

_MP3_IN_WAV = 0x55
_CHUNK_NAME = re.compile(rb"[ -~]{4}")


def _wav(data: bytes) -> Counted:
    at, tag, bytes_per_second = 12, 0, 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = at + 8
        if name == b"fmt ":
            tag, bytes_per_second = struct.unpack_from("<H6xI", data, body)
        if name == b"data":
            ends = (body + size, body + size + 1)  # some writers leave out the byte that makes a size even
            audio = data[body : body + size] if any(_are_chunks(data, end) for end in ends) else data[body:]
            if tag == _MP3_IN_WAV:
                return _mp3(audio, 0)
            return Counted(data, len(audio) / bytes_per_second if bytes_per_second else None)
        at = body + size + size % 2
    return Counted(data, None)


def _are_chunks(data: bytes, at: int) -> bool:
    """Whether chunks reach from here to the end, or zeros do. Audio that a header leaves out looks different."""
    if not data[at:].strip(b"\0"):
        return True
    while at + 8 <= len(data):
        if not _CHUNK_NAME.fullmatch(data, at, at + 4):
            return False
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return True
