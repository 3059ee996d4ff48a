"""What an utterance is to express, beside the vector that the package's own infer() arrives at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import soundfile as sf
import torch

from farm.errors import BadInput, Misconfigured
from farm.wire import Emotion as Wire
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.shapes import Network, Voice
from worker.engines.indextts.v2 import V2
from worker.engines.indextts.voice import emotion as emotions
from worker.engines.indextts.voice import emotion_model
from worker.engines.indextts.voice.emotion import Emotion, EmotionReader, Emotions, parse
from worker.engines.indextts.voice.emotion_model import EmotionModelHere

VECTOR = [0.1, 0.0, 0.35, 0.0, 0.0, 0.12345678, 0.0, 0.2]
QWEN = "qwen0.6bemo4-merge"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two voices and a clip to copy an emotion from."""
    folder = tmp_path_factory.mktemp("voices")
    time = np.arange(24000) / 24000
    for index, (pitch, seconds) in enumerate([(110, 0.8), (260, 1.0), (170, 0.6)]):
        sound = 0.4 * np.sin(2 * np.pi * (pitch + 40 * time) * time)
        sf.write(folder / f"{index}.flac", sound[: round(seconds * 24000)], 24000)
    return [str(path) for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def adapter(network: Network) -> V2:
    return V2(network, Gpt(network.gpt).latents)


@pytest.fixture(scope="module")
def voices(adapter: V2, files: list[str]) -> list[Voice]:
    return [voice for voice in adapter.voices(files[:2]) if isinstance(voice, Voice)]


def of_the_package(package: Any, reference: str, **options: Any) -> torch.Tensor:
    """(D,): what infer() hands to its GPT."""

    class Enough(Exception):
        pass

    def inference_speech(*_: Any, emo_vec: torch.Tensor, **__: Any) -> None:
        raise Enough(emo_vec)

    with patch.object(package.gpt, "inference_speech", inference_speech), pytest.raises(Enough) as seen:
        package.infer(reference, "GOOD", None, **options)
    vector: torch.Tensor = seen.value.args[0][0]
    return vector


def document(**said: Any) -> str:
    """As a job's emotion reaches the engine."""
    return json.dumps(Wire(**said).model_dump(exclude_none=True), sort_keys=True, separators=(",", ":"))


def agrees(mine: torch.Tensor, theirs: torch.Tensor) -> bool:
    return mine.shape == theirs.shape and bool((mine - theirs).abs().max() < 1e-5)


@pytest.mark.parametrize("voice", [0, 1])
def test_without_an_emotion_the_reference_is_its_own_clip(
    network: Network, package: Any, files: list[str], voices: list[Voice], voice: int
):
    mine = Emotions(network).vector(parse(None), voices[voice])
    assert agrees(mine, of_the_package(package, files[voice]))
    assert not agrees(mine, voices[voice].emotion)


@pytest.mark.parametrize("strength", [1.0, 0.6, 0.33333, 0.0])
@pytest.mark.parametrize("voice", [0, 1])
def test_a_vector_is_mixed_from_the_rows_of_the_speakers_most_like_the_voice(
    network: Network, package: Any, files: list[str], voices: list[Voice], voice: int, strength: float
):
    mine = Emotions(network).vector(parse(document(vector=VECTOR, strength=strength)), voices[voice])
    assert agrees(mine, of_the_package(package, files[voice], emo_vector=VECTOR, emo_alpha=strength))


def test_an_emotion_is_shown_as_by_the_speaker_most_like_the_voice(network: Network, voices: list[Voice]):
    for emotion in range(8):
        alone = parse(document(vector=[float(emotion == other) for other in range(8)]))
        for speaker, row in zip(network.speaker_rows[emotion], network.emotion_rows[emotion], strict=True):
            like_this_one = replace(voices[0], style=3 * speaker)
            assert agrees(Emotions(network).vector(alone, like_this_one), row)


@pytest.mark.parametrize("strength", [1.0, 0.6, 0.0])
def test_a_clip_moves_the_voice_towards_itself(
    network: Network, package: Any, adapter: V2, files: list[str], voices: list[Voice], strength: float
):
    (clip,) = adapter.emotions([files[2]])
    assert isinstance(clip, torch.Tensor)
    mine = Emotions(network).vector(parse(document(voice="some-voice", strength=strength)), voices[0], clip)
    theirs = of_the_package(package, files[0], emo_audio_prompt=files[2], emo_alpha=strength)
    assert agrees(mine, theirs)


@pytest.fixture
def answering(network: Network, package: Any) -> Iterator[Any]:
    """Both language models, made to answer what a test says."""
    with patch.object(type(package.qwen_emo.tokenizer), "decode") as decode:
        yield decode


ANSWERS = ['{"高兴": 0.7, "悲伤": 0.2}', '"高兴": 0.7, 自然: 1.9', "", "{}", "nothing at all"]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_a_text_is_the_vector_that_the_packages_language_model_reads_in_it(
    network: Network, package: Any, files: list[str], voices: list[Voice], answering: Any, answer: str,
    strength: float,
):  # fmt: skip
    answering.return_value = answer
    said = parse(document(text="so gloomy", strength=strength))
    options = {"use_emo_text": True, "emo_text": "so gloomy", "emo_alpha": strength}
    assert agrees(Emotions(network).vector(said, voices[0]), of_the_package(package, files[0], **options))


@pytest.mark.parametrize("answer", ["[1, 2]", '"calm"', '{"高兴": "very"}', '{"高兴": [1]}', "高兴: 1.2.3"])
def test_an_answer_without_an_emotion_is_the_texts_fault(network: Network, answering: Any, answer: str):
    answering.return_value = answer
    with pytest.raises(BadInput, match="say it in other words, or give a vector") as refusal:
        EmotionReader(EmotionModelHere(network.emotion_model_dir)).read("a gloomy secret")
    assert refusal.value.fields[0].pointer == "/emotion/text"
    assert "secret" not in refusal.value.message


def test_the_same_text_is_read_once(network: Network, answering: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(emotions, "_TEXTS_KEPT", 2)
    answering.return_value = '{"高兴": 0.5}'
    reader = EmotionReader(EmotionModelHere(network.emotion_model_dir))
    for text in ["glad", "sad", "glad", "mad", "glad", "sad"]:
        assert reader.read(text)[0] == 0.5
    assert answering.call_count == 4  # "sad" was asked for longest ago when "mad" came


def test_the_language_model_neither_draws_nor_rambles(checkpoint: Path, tmp_path: Path):
    folder = shutil.copytree(checkpoint / QWEN, tmp_path / QWEN)
    settings = json.loads((folder / "generation_config.json").read_text())
    drawing = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95}  # as the released model's
    (folder / "generation_config.json").write_text(json.dumps(settings | drawing))
    reader = EmotionModelHere(str(folder))
    torch.backends.cuda.enable_cudnn_sdp(True)  # as PyTorch comes: it would plan for each step of an answer
    reader._model = emotion_model.load(folder)
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    with torch.no_grad():
        for number, parameter in enumerate(reader._model.model.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
    with (
        patch.object(type(reader._model.tokenizer), "decode", return_value="") as decode,
        patch.object(torch, "multinomial", side_effect=AssertionError("drawn")),
    ):
        reader.answers(["glad"])
    assert len(decode.call_args.args[0]) == 256


def test_the_language_model_is_loaded_when_first_asked(network: Network, voices: list[Voice]):
    with patch.object(emotion_model, "load", wraps=emotion_model.load) as load:
        spoken = Emotions(network)
        spoken.vector(parse(document(vector=VECTOR)), voices[0])
        assert not load.called
        spoken.vector(parse(document(text="glad")), voices[0])
        spoken.vector(parse(document(text="sad")), voices[0])
        assert load.call_count == 1


def test_without_the_language_models_files_the_folder_and_the_remedy_are_named(tmp_path: Path):
    with pytest.raises(Misconfigured) as refusal:
        EmotionReader(EmotionModelHere(str(tmp_path / QWEN))).read("glad")
    assert str(tmp_path / QWEN) in refusal.value.message
    assert f"hf download IndexTeam/IndexTTS-2 --include '{QWEN}/*' --local-dir {tmp_path}" in refusal.value.message


def test_text_goes_before_vector_and_vector_before_clip():
    everything = document(text="glad", vector=VECTOR, voice="other", strength=0.5)
    assert parse(everything) == Emotion(text="glad", strength=0.5)
    assert parse(document(vector=VECTOR, voice="other")) == Emotion(vector=tuple(VECTOR))
    assert parse(document(voice="other")) == Emotion(voice="other")
    assert parse("{}") == parse(None) == Emotion()


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ('{"vector":[0,0,0,0,0,0,1]}', "/emotion/vector"),
        ('{"vector":[0,0,0,0,0,0,0,0,1]}', "/emotion/vector"),
        ('{"vector":"happy"}', "/emotion/vector"),
        ('{"vector":[0,0,NaN,0,0,0,0,0]}', "/emotion/vector/2"),
        ('{"vector":[0,0,0,0,0,0,0,Infinity]}', "/emotion/vector/7"),
        ('{"vector":[-0.1,0,0,0,0,0,0,0]}', "/emotion/vector/0"),
        ('{"vector":[true,0,0,0,0,0,0,0]}', "/emotion/vector/0"),
        ('{"vector":[0,0,0,0,0,0,0,1],"strength":1.5}', "/emotion/strength"),
        ('{"voice":"x","strength":NaN}', "/emotion/strength"),
        ('{"text":""}', "/emotion/text"),
        ('{"voice":7}', "/emotion/voice"),
        ('{"feeling":"glad"}', "/emotion"),
        ('["glad"]', "/emotion"),
        ("glad", "/emotion"),
    ],
)
def test_a_wrong_emotion_is_refused_at_its_field(said: str, pointer: str):
    with pytest.raises(BadInput) as refusal:
        parse(said)
    assert [field.pointer for field in refusal.value.fields] == [pointer]
