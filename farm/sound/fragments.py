"""Fragmented MP4 with FLAC inside, as players of HLS read it: one init segment, then fragments.

    init segment   ftyp, moov    how the samples are coded; the same bytes for all recordings of a sample rate
    fragment       moof, mdat    some samples, and where in the recording they begin

Each fragment is made by itself. A frame of FLAC needs no other, so fragments in a row decode to the samples that were
encoded, without a gap. The boxes are those of ISO/IEC 14496-12; how FLAC lies in them is told by "Encapsulation of FLAC
in ISO Base Media File Format" of Xiph.Org.
"""

from __future__ import annotations

import struct

from farm.sound.flac import Pcm
from farm.sound.flac_frames import BLOCK, LEAST, encode_frames, frames_at, stream_head

MEDIA_TYPE = "audio/mp4"

_TRACK = 1
_STREAMINFO = slice(8, 42)  # in the head of a FLAC stream
_LAST_BLOCK = 0x80
_UNITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)  # of pictures, which there are none of
_NEEDS_NO_OTHER = 0x02000000  # the flags of every sample
_BASE_IS_MOOF = 0x020000
_HAS_OFFSET_DURATIONS_SIZES = 0x000301
_ENABLED_IN_MOVIE = 3


def init_segment(sample_rate: int) -> bytes:
    return _box("ftyp", b"iso6", _u32(0), b"iso6mp41") + _box(
        "moov", _movie_header(sample_rate), _track(sample_rate), _extends()
    )


def fragment(pcm: Pcm, sample_rate: int, at: int) -> bytes:
    """`pcm` has at least one sample; the first is sample `at` of the recording."""
    frames = encode_frames(pcm, sample_rate)
    parts = list(frames_at(0, frames))  # numbered from the fragment's own beginning: players go by its time
    flac = b"".join(parts)
    sizes = [len(head) + len(body) + len(tail) for head, body, tail in zip(*[iter(parts)] * 3, strict=True)]
    table = b"".join(map(struct.Struct(">II").pack, frames.samples.tolist(), sizes))
    length = len(_moof(at, table, 0))
    return _moof(at, table, length + 8) + _box("mdat", flac)


def _moof(at: int, table: bytes, data: int) -> bytes:
    """`data`: where the samples begin, from the first byte of this box on."""
    number = at % (1 << 32)  # numbers have to rise, and nobody knows how many fragments came before
    track = _box(
        "traf",
        _full("tfhd", 0, _BASE_IS_MOOF, _u32(_TRACK)),
        _full("tfdt", 1, 0, struct.pack(">Q", at)),
        _full("trun", 0, _HAS_OFFSET_DURATIONS_SIZES, _u32(len(table) // 8, data), table),
    )
    return _box("moof", _full("mfhd", 0, 0, _u32(number)), track)


# --- the init segment -------------------------------------------------------------------------------------------------


def _movie_header(sample_rate: int) -> bytes:
    times = _u32(0, 0, sample_rate, 0)  # made, changed, ticks a second, length: none of them known
    return _full("mvhd", 0, 0, times, _u32(1 << 16), b"\1\0", bytes(10), _UNITY, bytes(24), _u32(_TRACK + 1))


def _track(sample_rate: int) -> bytes:
    header = _full(
        "tkhd", 0, _ENABLED_IN_MOVIE, _u32(0, 0, _TRACK, 0, 0), bytes(8), struct.pack(">hhH2x", 0, 0, 0x0100), _UNITY,
        bytes(8),
    )  # fmt: skip
    undetermined = struct.pack(">H2x", 0x55C4)  # "und" in five bits a letter: players do not ask for the language
    media = _box(
        "mdia",
        _full("mdhd", 0, 0, _u32(0, 0, sample_rate, 0), undetermined),
        _full("hdlr", 0, 0, _u32(0), b"soun", bytes(12), b"\0"),
        _box("minf", _full("smhd", 0, 0, bytes(4)), _data_information(), _sample_tables(sample_rate)),
    )
    return _box("trak", header, media)


def _data_information() -> bytes:
    return _box("dinf", _full("dref", 0, 0, _u32(1), _full("url ", 0, 1)))  # 1: in this file


def _sample_tables(sample_rate: int) -> bytes:
    """Empty: the samples are in the fragments."""
    empty = [_full(name, 0, 0, _u32(0)) for name in ("stts", "stsc", "stco")]
    return _box("stbl", _full("stsd", 0, 0, _u32(1), _flac(sample_rate)), *empty, _full("stsz", 0, 0, _u32(0, 0)))


def _flac(sample_rate: int) -> bytes:
    """Mono, 16 bit. A rate of 65,536 Hz and more stands in STREAMINFO alone."""
    entry = struct.pack(">6xH8xHH4xI", 1, 1, 16, (sample_rate if sample_rate < 1 << 16 else 0) << 16)
    info = stream_head(sample_rate, 0, LEAST, BLOCK)[_STREAMINFO]
    return _box("fLaC", entry, _full("dfLa", 0, 0, bytes([_LAST_BLOCK]) + len(info).to_bytes(3) + info))


def _extends() -> bytes:
    return _box("mvex", _full("trex", 0, 0, _u32(_TRACK, 1, 0, 0, _NEEDS_NO_OTHER)))


# --- boxes ------------------------------------------------------------------------------------------------------------


def _box(kind: str, *content: bytes) -> bytes:
    body = b"".join(content)
    return _u32(8 + len(body)) + kind.encode() + body


def _full(kind: str, version: int, flags: int, *content: bytes) -> bytes:
    return _box(kind, _u32(version << 24 | flags), *content)


def _u32(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)
