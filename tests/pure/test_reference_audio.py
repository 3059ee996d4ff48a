"""Reference audio: what is taken, what it becomes, and everything that is refused with the reason."""

from __future__ import annotations

import io
import time
import tracemalloc
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import pytest
import soundfile as sf

from api.reference_audio import SAMPLE_RATE, ingest
from api.true_length import SeveralRecordings, counted
from farm.errors import BadInput, TooLarge
from tests.patience import patient


def _voice(seconds: float = 3, rate: int = SAMPLE_RATE) -> npt.NDArray[np.int16]:
    moment = np.arange(round(seconds * rate)) / rate
    wave = np.sin(2 * np.pi * 150 * moment) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * moment))
    return np.asarray(12000 * wave, np.int16)


def _file(
    samples: npt.NDArray[np.generic], rate: int = SAMPLE_RATE, format: str = "WAV", subtype: str | None = None
) -> bytes:
    buffer = io.BytesIO()
    sf.write(buffer, samples, rate, format=format, subtype=subtype)
    return buffer.getvalue()


def _patched(data: bytes, offset: int, value: int, size: int) -> bytes:
    return data[:offset] + value.to_bytes(size, "little") + data[offset + size :]


@pytest.mark.parametrize(
    ("format", "subtype"), [("WAV", None), ("FLAC", None), ("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS")]
)
def test_common_formats_are_taken(format: str, subtype: str | None) -> None:
    reference = ingest(_file(_voice(), format=format, subtype=subtype), "me")
    samples, rate = sf.read(io.BytesIO(reference.flac))
    assert (rate, samples.ndim) == (SAMPLE_RATE, 1) == (reference.sample_rate, 1)
    assert reference.seconds == pytest.approx(3, abs=0.1) == pytest.approx(len(samples) / rate)
    assert reference.notes == ()


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 96_000, 192_000])
@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610"]
)
def test_every_coding_and_rate_of_a_wav_file_is_read_whole(subtype: str, rate: int) -> None:
    samples = _voice(rate=rate) / np.float32(32768) if subtype in ("FLOAT", "DOUBLE") else _voice(rate=rate)
    # Three codings come in blocks, of which the last one is padded.
    padding = 0.1 if subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610") else 0.001
    assert ingest(_file(samples, rate, subtype=subtype), "me").seconds == pytest.approx(3, abs=padding)


def test_the_same_recording_in_another_container_is_the_same_voice() -> None:
    wav, flac = (ingest(_file(_voice(), format=format), "me") for format in ("WAV", "FLAC"))
    assert wav == flac
    assert wav.digest != ingest(_file(_voice(), rate=16000), "me").digest
    assert ingest(wav.flac, "again").digest == wav.digest


def test_stereo_at_a_high_rate_is_mixed_down_and_resampled_and_says_so() -> None:
    voice = _voice(rate=48000)
    reference = ingest(_file(np.stack([voice, voice], axis=1), rate=48000), "me")
    assert reference.notes == ("2 channels were mixed down to one", "resampled from 48000 to 24000 Hz")
    samples, rate = sf.read(io.BytesIO(reference.flac), dtype="int16")
    assert rate == SAMPLE_RATE
    assert np.abs(samples.astype(int) - _voice()).max() < 40


def test_a_low_rate_is_kept() -> None:
    assert ingest(_file(_voice(rate=16000), rate=16000), "me").sample_rate == 16000


def test_samples_beyond_full_scale_are_turned_down() -> None:
    reference = ingest(_file(_voice() / np.float32(4000), subtype="FLOAT"), "me")
    assert "full scale" in reference.notes[0]
    assert np.abs(sf.read(io.BytesIO(reference.flac))[0]).max() == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize(("seconds", "taken"), [(0.99, False), (1, True), (60, True), (60.01, False)])
def test_one_to_sixty_seconds(seconds: float, taken: bool) -> None:
    data = _file(_voice(seconds))
    if taken:
        assert ingest(data, "me").seconds == seconds
    else:
        with pytest.raises(BadInput, match=r"me\.wav (has 1\.0 s|is longer)"):
            ingest(data, "me.wav")


def _after_silence(samples: npt.NDArray[np.int16], seconds: float = 20) -> npt.NDArray[np.int16]:
    return np.concatenate([np.zeros(round(seconds * SAMPLE_RATE), np.int16), samples])


def _tag(size: int) -> bytes:
    """An ID3 tag, as one with a cover."""
    return b"ID3\x03\0\0" + bytes(size >> bits & 0x7F for bits in (21, 14, 7, 0)) + bytes(size)


def _big_endian() -> bytes:
    buffer = io.BytesIO()
    with sf.SoundFile(buffer, "w", SAMPLE_RATE, 1, "PCM_16", "BIG", "WAV") as file:
        file.write(_voice())
    return buffer.getvalue()


_WAV, _FLAC, _OGG, _MP3 = (_file(_voice(), format=format) for format in ("WAV", "FLAC", "OGG", "MP3"))
_NAN = np.where(np.arange(72000) == 70000, np.float32(np.nan), _voice() / np.float32(32768))

WRAPPED = {
    "RIFX": _big_endian(),
    "RF64": _file(_voice(), format="RF64"),
    "an extensible header": _file(_voice(), format="WAVEX"),
    "a size of the data that nobody knew": _patched(_WAV, 40, 0xFFFFFFFF, 4),
    "a size of the data of two gigabytes": _patched(_WAV, 40, 0x7FFFFFFF, 4),
    "a size of the file of 0": _patched(_WAV, 4, 0, 4),
    "a chunk before the format": _WAV[:12] + b"JUNK" + (28).to_bytes(4, "little") + bytes(28) + _WAV[12:],
    "a chunk after the data": _WAV + b"LIST" + (100).to_bytes(4, "little") + bytes(100),
    "a cover of 5 MB": _tag(5_000_000) + _MP3,
    "two tags": _tag(1_000) + _tag(2_000) + _MP3,
    "a tag of the first kind": _MP3 + b"TAG" + bytes(125),
    "a tag before a FLAC": _tag(500) + _FLAC,
}


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_what_stands_around_the_sound_costs_none_of_it(wrapped: str) -> None:
    assert ingest(WRAPPED[wrapped], "me").seconds == pytest.approx(3, abs=0.001)


REFUSED = {
    "empty": (b"", "can't be decoded"),
    "text": (b"This is not audio. " * 500, "can't be decoded"),
    "noise": (np.random.default_rng(1).bytes(50_000), "can't be decoded"),
    "half a flac": (_FLAC[: len(_FLAC) // 2], "can't be decoded"),
    "half an ogg": (_OGG[: len(_OGG) // 2], "cut off"),
    "a header alone": (_WAV[:44], "no audio"),
    "a bent flac": (_FLAC[:9000] + bytes(200) + _FLAC[9200:], "can't be decoded"),
    "silence": (_file(np.zeros(72000, np.int16)), "silent"),
    "a whisper below -60 dBFS": (_file(_voice() // 500), "silent"),
    "a constant": (_file(np.full(72000, 9000, np.int16)), "silent"),
    "silent channels": (_file(np.zeros((72000, 2), np.int16)), "silent"),
    "two oggs in a row": (_OGG + _OGG, "several recordings"),
    "two flacs in a row": (_FLAC + _FLAC, "several recordings"),
    "a wav with a third of its size": (_patched(_WAV, 40, 48_000, 4), r"only 1\.0 of the 3\.0 s"),
    "an mp3 that changes its rate": (_MP3 + _file(_voice(rate=16_000), 16_000, "MP3"), r"only 3\.\d of the 6\.\d s"),
    "an mp3 that changes its channels": (
        _MP3 + _file(np.stack([_voice(), _voice()], axis=1), format="MP3"),
        r"only 3\.\d of the 6\.\d s",
    ),
    "a click, then silence": (_file(_after_silence(np.full(500, 9000, np.int16))), r"0\.1 s of sound in the 15 s"),
    "a word, then silence": (
        _file(np.concatenate([_voice(0.3), np.zeros(16 * SAMPLE_RATE, np.int16), _voice()])),
        r"0\.3 s of sound in the 15 s",
    ),
    "0.2 s": (_file(_voice(0.2)), "0.2 s of audio"),
    "not a number": (_file(_NAN, subtype="FLOAT"), "not numbers"),
    "no channels": (_patched(_WAV, 22, 0, 2), "can't be decoded"),
    "1000 channels": (_patched(_WAV, 22, 1000, 2), "1000 channels"),
    "5 Hz": (_patched(_WAV, 24, 5, 4), "sample rate of 5 Hz"),
    **{
        name: (_file(_voice(), format=name), f"{name}; send WAV, FLAC, MP3 or Ogg")
        for name in ("AIFF", "W64", "CAF", "AU")
    },
    "an m4a": (b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42isom" + bytes(5000), "as WAV, FLAC, MP3 or Ogg; export it again"),
    "a webm": (b"\x1aE\xdf\xa3" + bytes(5000), "as WAV, FLAC, MP3 or Ogg; export it again"),
    "an amr": (b"#!AMR\n" + bytes(5000), "as WAV, FLAC, MP3 or Ogg; export it again"),
    "an mp3 behind other bytes": (b"junk" * 100 + _MP3, "as WAV, FLAC, MP3 or Ogg; export it again"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_unusable_reference_is_refused_with_the_reason(name: str) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(BadInput, match=reason) as refused:
        ingest(data, "me.wav")
    assert refused.value.fields[0].pointer == "/audio"
    assert refused.value.code == "bad_audio"
    assert "0x" not in refused.value.message


def test_more_than_twenty_megabytes_are_refused_unread() -> None:
    with pytest.raises(TooLarge, match="20,000,000") as refused:
        ingest(bytes(20_000_001), "me.wav")
    assert refused.value.fields[0].pointer == "/audio"


def test_two_hours_in_half_a_megabyte_are_not_unpacked() -> None:
    bomb = _file(np.zeros(2 * 3600 * SAMPLE_RATE, np.int16), format="FLAC")
    assert len(bomb) < 600_000
    tracemalloc.start()
    started = time.monotonic()
    with pytest.raises(BadInput, match="longer than 60 s"):
        ingest(bomb, "bomb.flac")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30_000_000
    assert time.monotonic() - started < patient(5)


def test_a_long_recording_is_accepted_with_the_seconds_that_count() -> None:
    assert ingest(_file(_voice(15)), "me").notes == ()
    assert "first 15 s" in ingest(_file(_voice(15.1)), "me").notes[0]


# --- lengths that a header hides --------------------------------------------------------------------------------------


def _mp3(seconds: float, mode: str = "VARIABLE", rate: int = 44_100, channels: int = 1) -> bytes:
    """Quiet at first, so that its first frames are small where their size may vary."""
    noise = np.random.default_rng(1).normal(0, 3000, (round(seconds * rate), channels)).astype(np.int16)
    noise[: rate // 2] = 5 * np.sign(noise[: rate // 2])
    buffer = io.BytesIO()
    kind = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": mode, "compression_level": 0.6}
    with sf.SoundFile(buffer, "w", rate, channels, **kind) as file:
        file.write(noise)
    return buffer.getvalue()


def _without_xing(mp3: bytes) -> bytes:
    """The frame with the header is the first; the second begins with the same two bytes."""
    assert {b"Xing", b"Info"} & {mp3[21:25], mp3[36:40], mp3[13:17]}
    return mp3[mp3.index(mp3[:2], 40) :]


def _with_xing_frames(mp3: bytes, frames: int) -> bytes:
    at = max(mp3.find(b"Xing"), mp3.find(b"Info"))
    return mp3[: at + 8] + frames.to_bytes(4, "big") + mp3[at + 12 :]


def _with_flac_total(flac: bytes, samples: int) -> bytes:
    fields = int.from_bytes(flac[18:26], "big") >> 36 << 36 | samples
    return flac[:18] + fields.to_bytes(8, "big") + flac[26:]


_VBR = _mp3(8)
_ID3 = b"ID3\x04\0\0\0\0\x10\0" + b"\xff\xfb\x90\x64" * 512
HIDDEN = {
    "mp3, variable, no Xing header": (_without_xing(_VBR), 8),
    "mp3, average, no Xing header": (_without_xing(_mp3(8, "AVERAGE")), 8),
    "mp3, constant, no Xing header": (_without_xing(_mp3(8, "CONSTANT")), 8),
    "mp3, stereo, no Xing header": (_without_xing(_mp3(8, channels=2)), 8),
    "mp3 of 16 kHz, no Xing header": (_without_xing(_mp3(8, rate=16_000)), 8),
    "mp3 of 8 kHz, no Xing header": (_without_xing(_mp3(8, rate=8_000)), 8),
    "mp3, no Xing header, behind tags": (_ID3 + _ID3 + _without_xing(_VBR), 8),
    "mp3, no Xing header, before a tag": (_without_xing(_VBR) + b"TAG".ljust(128, b"\xff"), 8),
    "mp3, no Xing header, junk in the middle": (
        _without_xing(_VBR)[:30_000] + b"\xff\xfb junk " * 50 + _without_xing(_VBR)[30_000:],
        8,
    ),
    "mp3, too few frames in its Xing header": (_with_xing_frames(_VBR, 60), 8),
    "mp3, too many frames in its Xing header": (_with_xing_frames(_VBR, 60_000), 8),
    "two mp3 in a row": (_VBR + _mp3(4), 12),
    "flac without a total": (_with_flac_total(_FLAC, 0), 3),
    "flac with a total that is too small": (_with_flac_total(_FLAC, 30_000), 3),
    "flac with a total that is too large": (_with_flac_total(_FLAC, 90_000), 3),
    "wav with the size of a stream": (_patched(_WAV, 40, 0xFFFFFFFF, 4), 3),
    "wav with a chunk behind its audio": (_WAV + b"LIST" + (50_000).to_bytes(4, "little") + bytes(50_000), 3),
    "wav with zeros behind its audio": (_WAV + bytes(70_000), 3),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_recording_is_as_long_as_it_truly_is(name: str) -> None:
    data, seconds = HIDDEN[name]
    assert ingest(data, "me").seconds == pytest.approx(seconds, abs=0.35)


def test_a_right_header_is_left_as_it_is() -> None:
    """A Xing header also says how much silence the encoder added; without it that would be heard."""
    for data in (_VBR, _FLAC, _WAV, _OGG):
        assert counted(data).data is data
    assert ingest(_VBR, "me").seconds == pytest.approx(8, abs=0.001)


@pytest.mark.parametrize("format", ["WAV", "FLAC", "MP3", "OGG"])
def test_a_file_that_is_cut_anywhere_is_taken_or_refused(format: str) -> None:
    data = _file(_voice(2), format=format)
    for length in (1, 3, 4, 11, 27, 28, 41, 43, 60, 200, len(data) // 3, len(data) - 1):
        with suppress(BadInput):
            assert ingest(data[:length], "me").seconds <= 2.1


FILLERS = {
    "ones": b"\xff",
    "heads of frames": b"\xff\xfb",
    "pages": b"OggS" + bytes(23),
    "markers": b"fLaC",
    "chunks": b"data\0\0\0\0",
    "tags": b"ID3" + bytes(7),
}
BEGINS = {"mp3": _VBR, "wav": _WAV[:36], "flac": _FLAC, "ogg": _OGG}


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("begin", BEGINS)
def test_a_file_of_twenty_megabytes_of_anything_is_counted_soon(begin: str, filler: str) -> None:
    piece = FILLERS[filler]
    began = time.monotonic()
    with suppress(SeveralRecordings):
        counted(BEGINS[begin] + piece * (19_000_000 // len(piece)))
    assert time.monotonic() - began < patient(8)


# --- what a model hears -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leak", [0.0, 0.1])
def test_channels_that_cancel_each_other_give_the_louder_one(leak: float) -> None:
    voice = _voice()
    reference = ingest(_file(np.stack([voice // 2, (leak - 0.5) * voice], axis=1).astype(np.int16)), "me")
    samples, _ = sf.read(io.BytesIO(reference.flac), dtype="int16")
    assert np.abs(samples).max() == pytest.approx(6000, rel=0.01)
    assert reference.notes == ("channel 1 of 2 was taken, because together they cancel each other",)


def test_one_voice_in_one_of_many_channels_is_mixed() -> None:
    samples = np.zeros((len(_voice()), 8), np.int16)
    samples[:, 3] = _voice()
    assert ingest(_file(samples), "me").notes == ("8 channels were mixed down to one",)


def test_a_long_silence_before_the_speech_is_left_out() -> None:
    reference = ingest(_file(_after_silence(_voice())), "me")
    assert reference.seconds == pytest.approx(3.25, abs=0.1)
    assert reference.notes == ("the first 19.8 s are silence and were left out",)
    samples, rate = sf.read(io.BytesIO(reference.flac), dtype="int16")
    assert np.abs(samples[: rate // 2]).max() > 3000


def test_noise_before_the_speech_is_silence_too() -> None:
    noise = np.random.default_rng(1).normal(0, 40, 20 * SAMPLE_RATE).astype(np.int16)
    assert "silence" in ingest(_file(np.concatenate([noise, _voice()])), "me").notes[0]


def test_a_short_pause_before_the_speech_is_kept() -> None:
    assert ingest(_file(_after_silence(_voice(), 0.9)), "me").seconds == pytest.approx(3.9)


def test_a_minute_of_eight_channels_at_192_khz_takes_little_memory() -> None:
    tone = np.repeat(_voice(1, 192_000)[:, None], 8, axis=1)
    buffer = io.BytesIO()
    with sf.SoundFile(buffer, "w", 192_000, 8, format="FLAC") as file:
        for _ in range(59):
            file.write(tone)
    tracemalloc.start()
    reference = ingest(buffer.getvalue(), "me")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (round(reference.seconds), reference.sample_rate) == (59, SAMPLE_RATE)
    assert peak < 60_000_000
