"""Reference audio, beside what the package makes of the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
import torchaudio

from farm.errors import BadInput
from worker.engines.indextts.voice.reference import Recording


def tone(seconds: float, sample_rate: int, channels: int = 1) -> Any:
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    sides = [0.4 * np.sin(2 * np.pi * (180 + 30 * side + 20 * time) * time) for side in range(channels)]
    return np.stack(sides, axis=1)


FILES = [
    ("a.wav", 22050, 1, "PCM_16"), ("b.wav", 44100, 2, "FLOAT"), ("c.flac", 24000, 1, "PCM_16"),
    ("d.flac", 48000, 2, "PCM_24"), ("e.mp3", 44100, 2, None), ("f.ogg", 16000, 1, None), ("g.wav", 8000, 1, "PCM_U8"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sample_rate", "channels", "subtype"), FILES)
@pytest.mark.parametrize("seconds", [1.3, 17.0])
def test_a_file_of_any_kind_is_heard_as_the_package_hears_it(
    package: Any, tmp_path: Path, name: str, sample_rate: int, channels: int, subtype: str | None, seconds: float
):
    path = tmp_path / name
    sf.write(path, tone(seconds, sample_rate, channels), sample_rate, subtype=subtype)
    recording = Recording.read(path)
    wide, narrow = recording.as_voice()
    audio, rate = package._load_and_cut_audio(str(path), 15)
    assert torch.equal(wide, torchaudio.transforms.Resample(rate, 22050)(audio)[0])
    assert torch.equal(narrow, torchaudio.transforms.Resample(rate, 16000)(audio)[0])
    assert torch.equal(recording.as_emotion(), package._load_and_cut_audio(str(path), 15, sr=16000)[0][0])
    assert len(wide) <= 15 * 22050


def refused(path: Path) -> str:
    with pytest.raises(BadInput) as refusal:
        Recording.read(path)
    return refusal.value.message


def test_a_file_without_audio_is_refused(tmp_path: Path):
    path = tmp_path / "voice.wav"
    path.write_bytes(b"RIFF of something else")
    assert "can't be decoded" in refused(path)
    path.write_bytes(b"")
    assert "can't be decoded" in refused(path)


def test_a_short_reference_is_refused_with_its_length(tmp_path: Path):
    path = tmp_path / "voice.flac"
    sf.write(path, tone(0.3, 24000), 24000)
    assert "0.30 s; send at least 0.5 s" in refused(path)
    path = tmp_path / "voice.wav"
    sf.write(path, np.zeros((0, 1)), 24000)
    assert "0.00 s" in refused(path)


@pytest.mark.parametrize("level", [0.0, 0.3, 1e-4])
def test_silence_is_refused_at_any_level_it_stands_at(tmp_path: Path, level: float):
    path = tmp_path / "voice.wav"
    sf.write(path, np.full(24000, level), 24000)
    assert "silent for its first 1 s" in refused(path)


def test_speech_after_the_used_seconds_is_refused_as_silence(tmp_path: Path):
    path = tmp_path / "voice.wav"
    sf.write(path, np.concatenate([np.zeros((16 * 8000, 1)), tone(5, 8000)]), 8000)
    assert "silent for its first 15 s" in refused(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_of_nan_or_infinity_are_refused(tmp_path: Path, value: float):
    path = tmp_path / "voice.wav"
    samples = tone(20, 22050)
    samples[-500] = value
    sf.write(path, samples, 22050, subtype="FLOAT")
    assert "not numbers" in refused(path)


def test_a_file_that_is_not_there_is_not_the_users_fault(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        Recording.read(tmp_path / "voice.wav")


def test_a_long_file_is_not_read_to_its_end_and_sounds_the_same(package: Any, tmp_path: Path):
    path = tmp_path / "voice.wav"
    sf.write(path, tone(100, 8000), 8000)
    recording = Recording.read(path)
    assert len(recording.samples) == 60 * 8000
    assert torch.equal(recording.as_voice()[0], package._load_and_cut_audio(str(path), 15)[0][0])
