"""A passage of a recording: made from its clips, and as it lies in storage until its job has ended. The register of the
result (register.py) keeps all of it but its sound, which lies in the recording.

    {"spans": …, "said": …, "bytes": …, …}      one line of JSON
    powers · tables · payload                   the blocks of its loudness, before mastering and after; the samples, the
                                                frames of FLAC, or the packets of AAC or MP3, with their sizes

Its name is a digest over all that decides its bytes, so every desk makes the same object under the same name, and one
that was begun twice, or is found by a retry, is the right one. Its checksum tells a damaged one.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np
import soundfile as sf

from farm.audio_formats import encodable_rate
from farm.encoders import holds_chapters
from farm.plan import Plan
from farm.planning import Pauses
from farm.presets import mp3_kbps
from farm.segment import Segment
from farm.silences import Silence, silences
from farm.sound.flac import Pcm, Samples, from_pcm, to_pcm
from farm.sound.flac_frames import Frames, bodies_at, encode_frames
from farm.sound.timeline import Piece, Span, Timeline, resampled
from farm.storage import Storage
from farm.wire import Output
from worker.desk.clips import Clips
from worker.desk.loudness import Levels, Meter
from worker.desk.manifest import Said
from worker.desk.mastering import gain_for, mastered, written
from worker.desk.packets import CODERS, Packets, encode_packets, encoder_version
from worker.desk.waveform import envelope

_FORMAT = 6  # of the object; another one is another name
_BLOCK = 256 * 1024  # samples that are mastered at once
_BEGINNING = 64 * 1024  # bytes of an object: its first line, most often, and the levels of ten minutes
_CHECKSUM = 9  # bytes of that of the first line, and a blank
_LEVELS = ("frames", "energy", "peak", "true_peak", "floor")
_TABLES: Mapping[type, Mapping[str, str]] = {
    Frames: {"sizes": "<u4", "checksums": "<u2", "samples": "<u2"},
    Packets: {"sizes": "<u4"},
}
Sound = Pcm | Frames | Packets  # of a wav or opus, a flac, an m4b or mp3
_KINDS: Mapping[str, type] = {"flac": Frames, "packets": Packets}


@dataclass(frozen=True, slots=True)
class Passage:
    sample_rate: int  # Hz
    frames: int
    spans: tuple[Span, ...]  # of its clips; in frames of the passage
    said: tuple[Said, ...]
    levels: Levels  # before its gain
    written: Levels | None  # as the listener gets it; None while its gain is not known
    sound: Sound
    gain: float | None = 1.0  # of the sound; None where it is not known yet, and the sound is samples without a gain
    chapter: int = 0  # not in the object
    envelope: Pcm = field(default_factory=lambda: np.empty(0, np.int16))  # before its gain: worker/desk/waveform.py


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a passage is made of: its segments, and the silence around each."""

    rows: Sequence[Segment]
    silences: Sequence[Silence]
    ends_job: bool
    is_chapter: bool  # and not a part of one

    @classmethod
    def of(
        cls, rows: Sequence[Segment], pauses: Pauses, *, ends_job: bool, begins_chapter: bool, ends_chapter: bool
    ) -> Pieces:
        around = silences(rows, pauses, begins_chapter=begins_chapter, ends_job=ends_job)
        return cls(rows, around, ends_job, begins_chapter and ends_chapter)

    @classmethod
    def in_plan(
        cls, heard: Sequence[Segment], first: int, count: int, plan: Plan, output: Output, *, ends_job: bool
    ) -> Pieces:
        """Of the passage that begins with segment `first`, by those of its segments that did not fail."""
        chapter = plan.chapters[heard[0].chapter]
        return cls.of(
            heard, output.pause_ms, ends_job=ends_job, begins_chapter=first == chapter.first,
            ends_chapter=first + count == chapter.first + chapter.count,
        )  # fmt: skip

    def knows_gain(self, output: Output) -> bool:
        """Whether the passage can be encoded before the others are there."""
        return not output.has_gain or (output.gain_per_chapter and self.is_chapter)

    def name(self, sample_rate: int, output: Output) -> str:
        known = self.knows_gain(output)
        encoder = encoder_version() if is_packed(output) else sf.__libsndfile_version__
        sound = [
            _FORMAT, encoder, output.format, sample_rate,
            encodable_rate(output.format, output.sample_rate or sample_rate), self.ends_job,
            known, [output.loudness_lufs, output.preset, output.room_tone_dbfs] if known else None, output.trim_dbfs,
            [[row.digest, each.before, each.after] for row, each in zip(self.rows, self.silences, strict=True)],
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(sound, separators=(",", ":")).encode()).hexdigest()


def names_in_result(every: Sequence[Pieces], sample_rate: int, output: Output) -> list[str]:
    """Of all passages of a job, as they are in its recording: with their gain. One that shares its gain with others is
    another passage where one of these is."""
    names = [pieces.name(sample_rate, output) for pieces in every]
    groups: dict[int, list[str]] = {}
    keys = [pieces.rows[0].chapter if output.gain_per_chapter else 0 for pieces in every]
    for key, name in zip(keys, names, strict=True):
        groups.setdefault(key, []).append(name)
    gains = {
        key: hashlib.sha256(json.dumps([output.loudness_lufs, output.preset, output.room_tone_dbfs, group]).encode())
        for key, group in groups.items()
    }
    return [
        name if pieces.knows_gain(output) else f"{name}.{gains[key].hexdigest()}"
        for pieces, key, name in zip(every, keys, names, strict=True)
    ]


def gain_of(name: str) -> str:
    """Of a name in the result: what passages that share a gain have in common; nothing of one that has its own."""
    return name.partition(".")[2]


def is_packed(output: Output) -> bool:
    """Whether a passage that is made here holds packets, which follow those of the one before."""
    return holds_chapters(output.format) and CODERS[output.format].silence > 0


def is_encoded(output: Output) -> bool:
    """Whether a passage that knows its gain is less than its samples."""
    return is_packed(output) or output.format == "flac"


def gained(passage: Passage, gain: float, output: Output, check: Callable[[], None]) -> Passage:
    """A passage of samples, under its gain and in the format of the recording."""
    assert isinstance(passage.sound, np.ndarray)
    sound, written = finished(passage.sound, passage.levels, passage.sample_rate, output, check, gain=gain)
    return replace(passage, gain=gain, sound=sound, written=written)


def finished(
    pcm: Pcm, levels: Levels, sample_rate: int, output: Output, check: Callable[[], None], *, gain: float
) -> tuple[Sound, Levels]:
    """Samples and their levels, mastered, and the samples in the format of the recording."""
    known, meter = written(levels, output, gain), Meter(sample_rate)
    blocks = mastered(_blocks(pcm), sample_rate, output, gain)
    if known is None:
        blocks = meter.measured(blocks)
    sound: Sound
    if is_packed(output):
        kbps = mp3_kbps(output)
        coder = CODERS[output.format]
        sound = encode_packets(coder, blocks, sample_rate, check, bit_rate=kbps and 1000 * kbps)
    else:
        changed = known is not levels
        sound = np.concatenate([pcm[:0], *map(to_pcm, blocks)]) if changed else pcm
        if output.format == "flac":
            sound = encode_frames(sound, sample_rate)
    return sound, known or meter.levels()


def _blocks(pcm: Pcm) -> Iterator[Samples]:
    for start in range(0, len(pcm), _BLOCK):
        yield from_pcm(pcm[start : start + _BLOCK])


def make_passage(
    pieces: Pieces, storage: Storage, sample_rate: int, output: Output, check: Callable[[], None]
) -> Passage:
    """Raises ObjectMissing, or ClipCorrupt, at the first bad clip. `check` is called after each block of audio."""
    said: list[Said] = []

    def clips() -> Iterator[Piece]:
        around = iter(pieces.silences)
        for _, clip in Clips(storage, sample_rate).fetched(pieces.rows):
            said.append(Said(clip.warnings, clip.spoken_characters))
            silence = next(around)
            yield Piece(clip.pcm, silence.after, silence.before)

    rate = encodable_rate(output.format, output.sample_rate or sample_rate)
    timeline, meter, samples = Timeline(sample_rate, output.trim_dbfs), Meter(rate), bytearray()
    for block in resampled(timeline.blocks(clips()), sample_rate, rate):
        meter.feed(block)
        samples += to_pcm(block).tobytes()
        check()
    if is_packed(output) and not pieces.ends_job:
        silent = pieces.silences[-1].after * rate // 1000
        samples += bytes(2 * CODERS[output.format].missing_silence(len(samples) // 2, silent, rate))
    pcm = np.frombuffer(samples, np.int16)
    levels, gain, as_written = meter.levels(), None, None
    sound: Sound = pcm
    if pieces.knows_gain(output):
        gain = gain_for(levels, output)
        sound, as_written = finished(pcm, levels, rate, output, check, gain=gain)
    return Passage(
        rate, len(pcm), tuple(timeline.spans(rate)), tuple(said), levels, as_written, sound, gain,
        pieces.rows[0].chapter, envelope(pcm, rate),
    )  # fmt: skip


# --- the object in storage --------------------------------------------------------------------------------------------


def write_passage(passage: Passage) -> bytes:
    sound, levels, as_written = passage.sound, passage.levels, passage.written
    head: dict[str, Any] = {
        "sample_rate": passage.sample_rate, "frames": passage.frames,
        "spans": [[span.start, span.frames] for span in passage.spans],
        "said": [[said.warnings, said.spoken_characters] for said in passage.said],
        "levels": _head_of(levels), "written": None if as_written is None else _head_of(as_written),
        "gain": passage.gain, "envelope": len(passage.envelope),
    }  # fmt: skip
    if isinstance(sound, Frames | Packets):
        names = _TABLES[type(sound)]
        tables = [getattr(sound, name).astype(kind) for name, kind in names.items()]
        head |= {"kind": "packets" if isinstance(sound, Packets) else "flac", "count": len(sound.sizes)}
        if isinstance(sound, Frames):
            head["head"] = [sound.kind.hex(), sound.rate_bytes.hex()]
        payload: bytes | memoryview = sound.bodies
    else:
        tables, payload = [], sound.astype("<i2", copy=False).view(np.uint8).data
    tables = [passage.envelope.astype("<i2"), *tables]
    powers = [each.powers.astype("<f8").tobytes() for each in (levels, as_written) if each is not None]
    head["powers_crc32"] = zlib.crc32(powers[0])
    body = [*powers, *(table.tobytes() for table in tables), payload]
    head |= {"bytes": sum(map(len, body)), "crc32": reduce(lambda crc, part: zlib.crc32(part, crc), body, 0)}
    line = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
    return b"".join([b"%08x " % zlib.crc32(line), line, b"\n", *body])


def read_passage(data: bytes, chapter: int) -> Passage | None:
    """None for an object that is damaged, which is as good as missing. `chapter` is that of its segments: chapters that
    say the same have one object."""
    opened = _opened(data)
    return _read(*opened, chapter) if opened is not None else None


def read_levels(storage: Storage, key: str) -> Levels | None:
    """The levels of a passage before its gain, by the beginning of its object. None where that is damaged. Raises
    ObjectMissing."""
    data = storage.get(key, 0, _BEGINNING)
    while (opened := _opened(data)) is None or len(opened[1]) < 8 * opened[0]["levels"]["powers"]:
        more = storage.get(key, len(data), len(data))
        if not more:
            return None
        data += more
    head, body = opened
    levels, end = _levels(head["levels"], body, 0)
    return levels if zlib.crc32(body[:end]) == head["powers_crc32"] else None


def _opened(data: bytes) -> tuple[dict[str, Any], memoryview] | None:
    """The first line of an object, and what follows."""
    end = data.find(b"\n")
    line = data[_CHECKSUM:end]
    if end < 0 or data[:_CHECKSUM] != b"%08x " % zlib.crc32(line):
        return None
    return json.loads(line), memoryview(data)[end + 1 :]


def _read(head: Mapping[str, Any], body: bytes | memoryview, chapter: int) -> Passage | None:
    """The samples are those of `body`; all else is a copy, because it may be kept longer."""
    if (head["bytes"], head["crc32"]) != (len(body), zlib.crc32(body)):
        return None
    levels, place = _levels(head["levels"], body, 0)
    as_written = None
    if head["written"] is not None:
        as_written, place = _levels(head["written"], body, place)
    pairs = np.frombuffer(body, "<i2", head["envelope"], place).copy()
    place += pairs.nbytes
    return Passage(
        head["sample_rate"], head["frames"], tuple(Span(*span) for span in head["spans"]),
        tuple(Said(tuple(warnings), spoken) for warnings, spoken in head["said"]), levels,
        as_written, _sound(head, body, place), head["gain"], chapter, pairs,
    )  # fmt: skip


def without_sound(passage: Passage, output: Output) -> bytes:
    """The object but for what a recording has of its sound: of packets, the tail stays."""
    sound, data = passage.sound, write_passage(passage)
    length = len(sound.bodies) if isinstance(sound, Frames | Packets) else 2 * len(sound)
    kept = 0
    if isinstance(sound, Packets):
        _, tail = sound.split(passage.frames // CODERS[output.format].frame(passage.sample_rate))
        kept = len(tail.bodies)
    return data[: len(data) - length] + data[len(data) - kept :]


def with_sound(data: bytes, chapter: int, position: int, stored: bytes) -> Passage | None:
    """What read_passage gives, of an object without_sound and the sound as it lies in a recording, there from sample
    `position` on."""
    if (opened := _opened(data)) is None:
        return None
    head, body = opened
    place = 8 * (head["levels"]["powers"] + (head["written"] or {"powers": 0})["powers"]) + 2 * head["envelope"]
    tables = _TABLES[_KINDS[head["kind"]]] if "kind" in head else {}
    end = place + head.get("count", 0) * sum(np.dtype(kind).itemsize for kind in tables.values())
    if head.get("kind") == "flac":
        frames = _sound(head, body, place)
        assert isinstance(frames, Frames)
        stored = bodies_at(position, frames, stored)
    return _read(head, b"".join([body[:end], stored, body[end:]]), chapter)


def _head_of(levels: Levels) -> dict[str, float]:
    return {name: getattr(levels, name) for name in _LEVELS} | {"powers": len(levels.powers)}


def _levels(head: Mapping[str, Any], body: bytes | memoryview, place: int) -> tuple[Levels, int]:
    """And the place after them."""
    powers = np.frombuffer(body, "<f8", head["powers"], place).copy()
    return Levels(**{**head, "powers": powers}), place + powers.nbytes


def _sound(head: Mapping[str, Any], body: bytes | memoryview, place: int) -> Sound:
    if "kind" not in head:
        return np.frombuffer(body, "<i2", offset=place).astype(np.int16, copy=False)
    tables: dict[str, Any] = {}
    for name, type_ in _TABLES[_KINDS[head["kind"]]].items():
        tables[name] = np.frombuffer(body, type_, head["count"], place).copy()
        place += tables[name].nbytes
    bodies = bytes(body[place:])
    if head["kind"] == "packets":
        return Packets(**tables, bodies=bodies)
    kind, rate_bytes = map(bytes.fromhex, head["head"])
    return Frames(kind=kind, rate_bytes=rate_bytes, **tables, bodies=bodies)
