"""Voices, prompts and contents of version 2: batch == one by one == what the package's infer() works with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import soundfile as sf
import torch

from farm.errors import BadInput
from tests.indextts.oracle import speak
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.shapes import Adapter, Network, Voice
from worker.engines.indextts.v2 import V2
from worker.engines.indextts.voice import reference_encoder
from worker.engines.indextts.voice.emotion import Emotions, parse

TEXTS = ["HELLO WORLD.", "THE QUICK BROWN FOX JUMPS OVER A LAZY DOG WHILE WE SPEAK.", "ONE, TWO, THREE!"]
EMOTIONS = [None, [0.1, 0, 0.3, 0, 0, 0.1, 0, 0.2], None]


@pytest.fixture(scope="module")
def adapter(network: Network) -> Adapter:
    return V2(network, Gpt(network.gpt).latents)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two voices, one of them with an odd count of feature frames, and one of noise; all of different lengths."""
    folder = tmp_path_factory.mktemp("voices")
    time = np.arange(2 * 24000) / 24000
    sounds = {
        "low.flac": 0.4 * np.sin(2 * np.pi * (110 + 40 * time) * time)[: round(0.8 * 24000)],
        "odd.flac": 0.4 * np.sin(2 * np.pi * (260 - 30 * time) * time)[: round(1.21 * 24000)],
        "noise.flac": np.random.default_rng(0).uniform(-0.5, 0.5, round(0.6 * 24000)),
    }
    for name, samples in sounds.items():
        sf.write(folder / name, samples, 24000)
    return [str(folder / name) for name in sounds]


@pytest.fixture(scope="module")
def batch(adapter: Adapter, files: list[str]) -> list[Voice]:
    return voices(adapter, files)


def voices(adapter: Adapter, files: Sequence[str]) -> list[Voice]:
    made = adapter.voices(files)
    assert [type(voice) for voice in made] == [Voice] * len(files)
    return [voice for voice in made if isinstance(voice, Voice)]


def of_the_package(package: Any, path: str) -> Voice:
    with torch.inference_mode():
        if hasattr(package, "_get_speaker_conditioning"):
            speaker, style, condition, mel = package._get_speaker_conditioning(path)
            clip = package._get_emotion_conditioning(path)
        else:  # the official repository keeps what infer() heard last
            speak(package, path, TEXTS[0])
            speaker, style, condition = package.cache_spk_cond, package.cache_s2mel_style, package.cache_s2mel_prompt
            mel, clip = package.cache_mel, package.cache_emo_cond
        width = torch.tensor([1024])  # what infer() gives for their length
        return Voice(
            style=style[0],
            mel=mel[0],
            condition=condition[0],
            latent=package.gpt.get_conditioning(speaker.transpose(1, 2), width)[0],
            emotion=package.gpt.get_emovec(speaker, width)[0],
            own_emotion=package.gpt.get_emovec(clip, width)[0],
        )


def differences(mine: Voice, theirs: Voice) -> dict[str, float]:
    names = [field.name for field in fields(Voice)]
    pairs = [(getattr(mine, name), getattr(theirs, name)) for name in names]
    assert [a.shape for a, _ in pairs] == [b.shape for _, b in pairs]
    return {name: (a - b).abs().max().item() for name, (a, b) in zip(names, pairs, strict=True)}


def test_voices_made_together_equal_the_packages(package: Any, files: list[str], batch: list[Voice]):
    for path, voice in zip(files, batch, strict=True):
        assert max(differences(voice, of_the_package(package, path)).values()) < 1e-5


def test_a_voice_made_alone_is_the_same(adapter: Adapter, files: list[str], batch: list[Voice]):
    for path, voice in zip(files, batch, strict=True):
        assert max(differences(voice, voices(adapter, [path])[0]).values()) < 1e-5


def test_emotion_clips_heard_together_are_the_packages_vectors(
    adapter: Adapter, package: Any, files: list[str], batch: list[Voice]
):
    for path, vector, voice in zip(files, adapter.emotions(files), batch, strict=True):
        assert isinstance(vector, torch.Tensor)
        assert (vector - of_the_package(package, path).own_emotion).abs().max() < 1e-5
        assert (vector - voice.own_emotion).abs().max() < 1e-5


def test_a_reference_that_cannot_be_used_does_not_touch_its_neighbours(
    adapter: Adapter, files: list[str], batch: list[Voice], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reference_encoder, "_TOGETHER", 1)
    (tmp_path / "text.wav").write_text("no audio")
    mixed = [str(tmp_path / "text.wav"), files[1], str(tmp_path / "gone.wav"), files[0]]
    broken, second, gone, first = adapter.voices(mixed)
    assert isinstance(broken, BadInput)
    assert isinstance(gone, FileNotFoundError)
    assert isinstance(first, Voice)
    assert isinstance(second, Voice)
    assert max(differences(first, batch[0]).values()) < 1e-5
    assert max(differences(second, batch[1]).values()) < 1e-5
    assert [type(heard) for heard in adapter.emotions(mixed)] == [
        BadInput,
        torch.Tensor,
        FileNotFoundError,
        torch.Tensor,
    ]


def test_a_reference_that_the_model_cannot_hear_is_refused_instead_of_reaching_a_decode(
    network: Network, files: list[str]
):
    deaf = V2(replace(network, semantic_mean=torch.full((1024,), torch.nan)), Gpt(network.gpt).latents)
    for answer in (*deaf.voices(files[:1]), *deaf.emotions(files[:1])):
        assert isinstance(answer, BadInput)


def test_an_empty_list_of_references_gives_no_voices(adapter: Adapter):
    assert adapter.voices([]) == []
    assert adapter.emotions([]) == []


def test_a_voice_holds_no_more_memory_than_it_says(batch: list[Voice]):
    for voice in batch:
        held = sum(getattr(voice, field.name).untyped_storage().nbytes() for field in fields(Voice))
        assert held == voice.bytes


@pytest.fixture(scope="module")
def prompts(adapter: Adapter, network: Network, batch: list[Voice]) -> list[torch.Tensor]:
    ids = [adapter.segments(text, "en").ids[0] for text in TEXTS]
    emotions = Emotions(network)
    said = [parse(None if vector is None else f'{{"vector":{vector}}}') for vector in EMOTIONS]
    vectors = [emotions.vector(one, voice) for one, voice in zip(said, batch, strict=True)]
    return adapter.prompts(ids, batch, vectors, ["en"] * 3)


def test_prompts_equal_the_packages(package: Any, files: list[str], prompts: list[torch.Tensor]):
    for text, path, vector, mine in zip(TEXTS, files, EMOTIONS, prompts, strict=True):
        with patch.object(
            package.gpt.inference_model, "store_mel_emb", wraps=package.gpt.inference_model.store_mel_emb
        ):
            speak(package, path, text, greedy=True, emo_vector=vector)
            (theirs,) = package.gpt.inference_model.store_mel_emb.call_args.args
        assert mine.shape == theirs[0].shape
        assert (mine - theirs[0]).abs().max() < 1e-5


def test_contents_read_together_equal_the_packages(
    adapter: Adapter, package: Any, files: list[str], prompts: list[torch.Tensor]
):
    regulator = package.s2mel.models["length_regulator"]
    codes, theirs, frames = [], [], []
    for text, path, vector in zip(TEXTS, files, EMOTIONS, strict=True):
        with patch.object(regulator, "forward", wraps=regulator.forward) as forward:
            codes.append(speak(package, path, text, greedy=True, emo_vector=vector).codes[0])
        theirs.append(forward.call_args.args[0][0])
        frames.append(int(forward.call_args.kwargs["ylens"]))
    assert len({len(row) for row in codes}) > 1
    together = adapter.contents(prompts, codes)
    alone = [adapter.contents([prompt], [row])[0] for prompt, row in zip(prompts, codes, strict=True)]
    for mine, single, official in zip(together, alone, theirs, strict=True):
        assert mine.shape == official.shape
        assert (mine - official).abs().max() < 1e-5
        assert (mine - single).abs().max() < 1e-5
    assert [adapter.frames(len(row), 1.0) for row in codes] == frames


def test_frames_are_cut_as_the_package_cuts_them(adapter: Adapter):
    counts = torch.arange(1, 1816)
    assert [adapter.frames(count, 1.0) for count in counts.tolist()] == (counts * 1.72).long().tolist()


def test_speed_shortens_the_frames_of_codes(adapter: Adapter):
    assert adapter.frames(100, 2.0) == 86
