"""Reference audio: what is taken, what it becomes, and everything that is refused with the reason."""

from __future__ import annotations

import io
import time
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
import soundfile as sf

from api.reference_audio import SAMPLE_RATE, ingest
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


_WAV, _FLAC, _OGG = (_file(_voice(), format=format) for format in ("WAV", "FLAC", "OGG"))
_NAN = np.where(np.arange(72000) == 70000, np.float32(np.nan), _voice() / np.float32(32768))

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
    "opposite channels": (_file(np.stack([_voice(), -_voice()], axis=1)), "silent"),
    "0.2 s": (_file(_voice(0.2)), "0.2 s of audio"),
    "not a number": (_file(_NAN, subtype="FLOAT"), "not numbers"),
    "no channels": (_patched(_WAV, 22, 0, 2), "can't be decoded"),
    "1000 channels": (_patched(_WAV, 22, 1000, 2), "1000 channels"),
    "5 Hz": (_patched(_WAV, 24, 5, 4), "sample rate of 5 Hz"),
    "another container": (_file(_voice(), format="AIFF"), "AIFF"),
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
