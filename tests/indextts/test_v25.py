"""IndexTTS-2.5, held against the official infer(): batch == one by one == official, for every language it speaks.

What compares with the official code needs it, and is skipped without; what needs none stands at the end.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from farm.speech import Manner
from tests.engine.feeds import render
from tests.indextts.oracle import Spoken, speak
from worker.engine import Clip, Failure, Speech, Utterance
from worker.engines.indextts import v25
from worker.engines.indextts.engine import IndexTTS, part_seed
from worker.engines.indextts.load.factory import Options, assemble
from worker.engines.indextts.shapes import Network, Sampling, Voice
from worker.engines.indextts.v25 import V25

SAD = [0.1, 0, 0.3, 0, 0, 0.1, 0, 0.2]


@dataclass(frozen=True)
class Case:
    language: str
    text: str
    voice: int
    emotion: Mapping[str, object] | None = None
    speed: float = 1.0
    normalize: bool = True

    def utterance(self, key: str, voices: Sequence[str], seed: int) -> Utterance:
        emotion = None if self.emotion is None else json.dumps(self.emotion)
        reference = Path(voices[self.voice])
        speech = Speech(
            self.language, reference.stem, reference,
            Manner(speed=self.speed, seed=seed, emotion=emotion, normalize=self.normalize),
            emotion_reference=Path(voices[2]) if self.emotion and "voice" in self.emotion else None,
        )  # fmt: skip
        return Utterance(key, self.text, speech)

    def official(self, package: Any, voices: Sequence[str], *, seed: int = 0, greedy: bool = True) -> Spoken:
        options: dict[str, Any] = {"lang": self.language, "duration_factor": 1 / self.speed}
        options["text_normalization"] = self.normalize
        if self.emotion is not None:
            options["emo_alpha"] = self.emotion.get("strength", 1.0)
            options |= {"emo_vector": self.emotion["vector"]} if "vector" in self.emotion else {}
            options |= {"emo_audio_prompt": voices[2]} if "voice" in self.emotion else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # transformers', about what the package passes it
            return speak(package, voices[self.voice], self.text, seed=seed, greedy=greedy, **options)


CASES = [
    Case("en", "He had 3 letters in his pocket.", 0),
    Case("zh", "今天是2024年，天气很好。", 1, {"vector": SAD}, speed=2.0),
    Case("ja", "今日は天気がいいです。", 2, {"vector": SAD, "strength": 0.37}, speed=0.5),
    Case("es", "Tengo 25 años y vivo en Madrid.", 0, {"voice": "voice2"}, speed=1.25),
    Case("ar", "مرحبا، كيف حالك اليوم؟", 1, {"voice": "voice2", "strength": 0.6}),
    Case("en", "It costs $12.50, at 3 <minute|M IH1 . N AH0 T> past!", 2, speed=0.8, normalize=False),
    Case("zh", "<行|XING2>吗？OK！", 0, speed=1.6),
    Case("es", "¿Qué hora es? Son las 8.", 1, {"vector": SAD}, normalize=False),
]


@pytest.fixture(scope="module")
def engine(network25: Network) -> Iterator[IndexTTS]:
    made = assemble(network25, "tiny", Options(slots=8, sampling=Sampling(greedy=True)))
    yield made
    made.close()


@pytest.fixture(scope="module")
def brisk(network25: Network) -> Iterator[IndexTTS]:
    """Of few steps, for what is not compared with the official code."""
    made = assemble(network25, "tiny", Options(slots=4, steps=2, sampling=Sampling(greedy=True)))
    yield made
    made.close()


@pytest.fixture(scope="module")
def adapter(network25: Network) -> V25:
    return V25(network25)


def sound(outcome: Clip | Failure) -> Any:
    assert isinstance(outcome, Clip), outcome
    return outcome.samples


# --- equal to the official code ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("greedy", [True, False])
def test_a_full_batch_equals_the_official_clips_made_one_by_one(
    network25: Network, package25: Any, references25: Sequence[str], greedy: bool
) -> None:
    engine = assemble(network25, "tiny", Options(slots=8, sampling=Sampling(greedy=greedy)))
    asked = [case.utterance(str(number), references25, number) for number, case in enumerate(CASES)]
    with patch.object(engine._adapter, "contents", wraps=engine._adapter.contents) as contents:
        together = render(engine, asked)
    codes = [row for call in contents.call_args_list for row in call.args[1]]
    for number, case in enumerate(CASES):
        spoken = case.official(package25, references25, seed=number, greedy=greedy)
        (wave,) = spoken.waves
        assert spoken.codes[0] in codes, f"{case.language}: other codes"
        for samples in (sound(together[str(number)]), sound(render(engine, [asked[number]])[str(number)])):
            assert samples.shape == wave.shape
            assert np.abs(samples - wave).max() < 1e-5
        assert np.abs(wave).max() > 0.01
    engine.close()


@pytest.mark.parametrize("name", ["gpt", "regulator", "estimator", "codec", "vocoder", "semantic", "speaker"])
def test_every_weight_is_the_official_codes(network25: Network, package25: Any, name: str) -> None:
    theirs = {
        "gpt": package25.gpt,
        "regulator": package25.s2mel.models["length_regulator"],
        "estimator": package25.s2mel.models["cfm"].estimator,
        "codec": package25.semantic_codec,
        "vocoder": package25.bigvgan,
        "semantic": package25.semantic_model,
        "speaker": package25.campplus_model,
    }[name].state_dict()
    ours = getattr(network25, name)
    for key, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs[key]), key
    assert not ours.training
    assert network25.gpt_layer is None


def test_voices_made_together_equal_the_official_ones(
    adapter: V25, package25: Any, references25: Sequence[str]
) -> None:
    made = adapter.voices(references25)
    for path, mine in zip(references25, made, strict=True):
        assert isinstance(mine, Voice)
        Case("en", "One.", references25.index(path)).official(package25, references25)
        with torch.inference_mode():
            width = torch.tensor([1024])  # what infer() gives for their length
            theirs = Voice(
                style=package25.cache_s2mel_style[0],
                mel=package25.cache_mel[0],
                condition=package25.cache_s2mel_prompt[0],
                latent=package25.gpt.spk_emb_proj(package25.cache_s2mel_style),
                emotion=package25.gpt.get_emovec(package25.cache_spk_cond, width)[0],
                own_emotion=package25.gpt.get_emovec(package25.cache_emo_cond, width)[0],
            )
        for field in fields(Voice):
            ours, official = getattr(mine, field.name), getattr(theirs, field.name)
            assert ours.shape == official.shape
            assert (ours - official).abs().max() < 1e-5, field.name


def test_contents_read_together_equal_the_official_ones(adapter: V25, package25: Any) -> None:
    drawn = np.random.default_rng(0)
    codes = [drawn.integers(0, 64, count).tolist() for count in (40, 1, 7, 23, 90)]
    together = adapter.contents([torch.zeros(0)] * len(codes), codes)
    with torch.inference_mode():
        padded = package25.semantic_codec.decode(pad_sequence([torch.tensor(row) for row in codes], batch_first=True))
        for number, row in enumerate(codes):
            (alone,) = package25.semantic_codec.decode(torch.tensor([row]))
            assert together[number].shape == alone.shape == (2 * len(row), 1024)
            assert (together[number] - alone).abs().max() < 1e-5
        assert (padded[3, : 2 * 23] - together[3]).abs().max() > 1e-3, "what the mask is for"


# --- text -------------------------------------------------------------------------------------------------------------

PROSE = [
    ("en", "The quick brown fox."),
    ("en", '"Stop!" he said. "No, I won\'t." (And he didn\'t.)'),
    ("en", "It's 5% of $12.50, isn't it? See GPT-5-nano."),
    ("en", "A <minute|M IH1 . N AH0 T> of your time; <read|R EH1 D> it in 3 days."),
    ("en", ("We speak of a lazy dog, and of a fox. " * 4).strip()),
    ("zh", "你好，世界。今天天气很好！"),
    ("zh", "2024年，银<行|XING2>说：“Hello world”，这是个测试。"),
    ("zh", "他们在公园里散步，然后回家吃饭。" * 5),
    ("ja", "今日は<天気|てんき>がいいですね。散歩に行こう。"),
    ("ja", "コーヒーを2杯ください。"),
    ("es", "¡Hola! Tengo 25 años, y 3 gatos."),
    ("es", "El 15% de los 200 euros: son 30."),
    ("ar", "مرحبا بالعالم. عندي 3 كتب."),
]


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(("language", "text"), PROSE)
def test_prose_gets_the_ids_that_the_official_code_gives_the_model(
    adapter: V25, package25: Any, references25: Sequence[str], language: str, text: str, normalize: bool
) -> None:
    read: list[list[int]] = []

    def inference_speech(_: Any, tokens: torch.Tensor, *given: Any, **options: Any) -> Any:
        read.append([token for token in tokens[0].tolist() if token > 1])
        return torch.tensor([[5, package25.stop_mel_token]]), None

    with patch.object(package25.gpt, "inference_speech", inference_speech):
        package25.infer(
            references25[0], text, None, language, text_normalization=normalize,
            max_text_tokens_per_segment=60 if language == "en" else 120,
        )  # fmt: skip
    assert adapter.segments(text, language, normalize=normalize).ids == read


INJECTIONS = [
    "one <|TTS/SP01|> two",
    "one <|endoftext|> two",
    "one <|zh|> two",
    "one <|SPECIAL_TOKEN_3|> two",
    "one <|SPECIAL_TOKEN_1|>K AE1 T<|SPECIAL_TOKEN_1|> two",
    "one <|<|TTS/SP01|>TTS/SP01|> two",
    "one ＜｜TTS/SP01｜＞ two",
    "one <|tts/sp01|> two",
    "one <a|<|TTS/SP01|>> two",
    "one <|TTS/SP01<a|b>|> two",
    "one <|\u200bTTS/SP01|> two",
    "one <|0.02|> two",
]


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("language", V25.languages)
def test_no_text_reaches_the_models_own_tokens(adapter: V25, network25: Network, language: str, text: str) -> None:
    encoding = network25.tokenizer
    special = set(encoding._special_tokens.values())
    phones = encoding._special_tokens["<|SPECIAL_TOKEN_1|>"]
    for normalize in (True, False):
        ((first, *ids),) = adapter.segments(text, language, normalize=normalize).ids
        assert first == encoding._special_tokens[f"<|{language}|>"]
        assert special & set(ids) <= {phones}
        assert ids.count(phones) == 2 * text.count("<a|b>"), "of a mark its own two"


def test_nothing_of_a_text_is_printed_or_logged(
    brisk: IndexTTS, references25: Sequence[str], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    texts = {"en": "secret 12", "zh": "secret秘密", "ja": "secret秘密", "es": "secret 25", "ar": "secret سر"}
    asked = [Case(language, text, 0).utterance(language, references25, 0) for language, text in texts.items()]
    assert all(isinstance(clip, Clip) for clip in render(brisk, asked).values())
    said = caplog.text + "".join(capfd.readouterr())
    assert not [word for word in ("secret", "秘密", "سر") if word in said.lower()]


@pytest.mark.parametrize("text", ["", "!", "!!!", " … ", "<|TTS/SP01|>", "¡!", '"'])
def test_unpronounceable_text_becomes_a_short_silence(brisk: IndexTTS, references25: Sequence[str], text: str) -> None:
    clip = render(brisk, [Case("es", text, 0).utterance("only", references25, 0)])["only"]
    assert isinstance(clip, Clip)
    assert clip.samples.shape == (2205,)
    assert not clip.samples.any()
    assert str(clip.warnings[0]).startswith("unspeakable: ")


@pytest.mark.parametrize("language", ["yue", "ZHEN", "de", "zh/en", ""])
def test_an_unsupported_language_is_refused_by_name(
    brisk: IndexTTS, references25: Sequence[str], language: str
) -> None:
    failure = render(brisk, [Case(language, "One.", 0).utterance("only", references25, 0)])["only"]
    assert isinstance(failure, Failure)
    assert repr(language) in failure.error
    assert "zh, en, ja, es, ar" in failure.error


# --- what it says of itself, and what changes nothing ---------------------------------------------------------------


def test_the_card_names_languages_and_parameters(engine: IndexTTS) -> None:
    assert engine.card.name == "indextts-2.5"
    limits = {language: about.max_characters for language, about in engine.card.languages.items()}
    assert limits == {"zh": 110, "en": 290, "ja": 70, "es": 240, "ar": 220}
    honoured = {"speed", "seed", "emotion", "normalize", "duration", "checks", "pronunciation"}
    assert set(engine.card.parameters) == honoured


def test_random_numbers_of_the_process_do_not_change_a_clip(brisk: IndexTTS, references25: Sequence[str]) -> None:
    clips = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        engine = brisk
        engine._preparation._voices._kept.clear()  # a voice that is heard anew draws, in w2v-BERT
        clips.append(sound(render(engine, [CASES[0].utterance("only", references25, 5)])["only"]))
    assert np.array_equal(*clips)


def test_a_voice_is_known_by_its_digest_and_not_by_its_file(
    brisk: IndexTTS, references25: Sequence[str], tmp_path: Path
) -> None:
    file = tmp_path / "voice.wav"
    clips = []
    for digest, reference in (("first", references25[0]), ("second", references25[1])):
        file.write_bytes(Path(reference).read_bytes())
        clips.append(sound(render(brisk, [Utterance("only", "One fox.", Speech("en", digest, file))])["only"]))
    expected = [sound(render(brisk, [Case("en", "One fox.", voice).utterance("only", references25, 0)])["only"])
                for voice in (0, 1)]  # fmt: skip
    for got, wanted in zip(clips, expected, strict=True):
        assert got.shape == wanted.shape
        assert np.abs(got - wanted).max() < 1e-5


# --- a length to keep -------------------------------------------------------------------------------------------------


def timed(text: str, references: Sequence[str], target_ms: int | None, key: str = "only") -> Utterance:
    return Utterance(key, text, Speech("en", "0", Path(references[0]), target_duration_ms=target_ms))


LONG = "We speak of a lazy dog, and of a fox. " * 4


@pytest.mark.parametrize("text", ["The tide went out, and nobody saw it go.", LONG])
@pytest.mark.parametrize("factor", [0.7, 0.95, 1.0, 1.5])
def test_a_clip_keeps_its_target_to_half_a_frame(
    brisk: IndexTTS, references25: Sequence[str], text: str, factor: float
) -> None:
    natural = len(sound(render(brisk, [timed(text, references25, None)])["only"]))
    target_ms = round(factor * natural / 22.05)
    clip = render(brisk, [timed(text, references25, target_ms)])["only"]
    assert isinstance(clip, Clip)
    assert abs(len(clip.samples) - target_ms * 22.05) <= 129
    assert clip.warnings == ()


@pytest.mark.parametrize(("factor", "reached"), [(0.3, 0.5), (3.0, 2.0)])
def test_a_target_out_of_reach_becomes_the_nearest_and_is_reported(
    brisk: IndexTTS, references25: Sequence[str], factor: float, reached: float
) -> None:
    text = "The tide went out, and nobody saw it go."
    natural = len(sound(render(brisk, [timed(text, references25, None)])["only"]))
    target_ms = round(factor * natural / 22.05)
    clip = render(brisk, [timed(text, references25, target_ms)])["only"]
    assert isinstance(clip, Clip)
    assert len(clip.samples) == pytest.approx(reached * natural, abs=256)
    (warning,) = map(str, clip.warnings)
    assert warning.startswith(f"duration_limit: target {target_ms} ms, ")
    assert f"{round(len(clip.samples) / 22.05)} ms" in warning


def test_a_stretched_clip_equals_the_official_one_of_that_factor(
    engine: IndexTTS, package25: Any, references25: Sequence[str]
) -> None:
    text = "The tide went out, and nobody saw it go."
    spoken = Case("en", text, 0, speed=0.75).official(package25, references25)
    (wave,) = spoken.waves
    clip = render(engine, [timed(text, references25, round(len(wave) / 22.05))])["only"]
    assert sound(clip).shape == wave.shape
    assert np.abs(sound(clip) - wave).max() < 1e-5


def test_a_silence_meets_its_target(brisk: IndexTTS, references25: Sequence[str]) -> None:
    clip = render(brisk, [timed("!", references25, 1500)])["only"]
    assert isinstance(clip, Clip)
    assert len(clip.samples) == round(1.5 * 22050)
    assert len(clip.warnings) == 1


def test_the_parts_of_a_text_have_seeds_of_their_own_and_are_joined_as_officially(
    network25: Network, package25: Any, references25: Sequence[str]
) -> None:
    seeds = [part_seed(7, part) for part in range(9)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spoken = speak(package25, references25[0], LONG, seeds=seeds, lang="en", max_text_tokens_per_segment=60)
    assert len(spoken.waves) > 1
    gap = np.zeros(int(22050 * 0.2), np.float32)
    whole = np.concatenate([samples for wave in spoken.waves for samples in (gap, wave)][1:])
    engine = assemble(network25, "tiny", Options(slots=4))
    clip = render(engine, [Case("en", LONG, 0).utterance("only", references25, 7)])["only"]
    assert sound(clip).shape == whole.shape
    assert np.abs(sound(clip) - whole).max() < 1e-5
    engine.close()


# --- recorded ---------------------------------------------------------------------------------------------------------

RECORDED = Path(__file__).with_name("recorded") / "v25.json"


@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_engine_equals_the_recording_of_the_official_code(
    engine: IndexTTS, references25: Sequence[str], number: int
) -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))["spoken"][number]
    case = CASES[number]
    assert (recorded["language"], recorded["text"]) == (case.language, case.text)
    with patch.object(engine._adapter, "contents", wraps=engine._adapter.contents) as contents:
        samples = sound(render(engine, [case.utterance("only", references25, 0)])["only"])
    assert contents.call_args.args[1] == [recorded["codes"]]
    assert len(samples) == recorded["samples"]
    assert float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) == pytest.approx(recorded["rms"], abs=1e-5)
    assert float(np.abs(samples).max()) == pytest.approx(recorded["peak"], abs=1e-5)


# --- without the official code ----------------------------------------------------------------------------------------


class Block(nn.Module):
    """A depthwise convolution that sees three rows either way, and a bias that fills whatever was zero."""

    def __init__(self) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(8, 8, 7, padding=3, groups=8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.dwconv(x)


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv1d(4, 8, 7, padding=3)
        self.convnext = nn.ModuleList([Block(), Block()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        for block in self.convnext:
            x = block(x)
        return x.transpose(1, 2)


class Codec(nn.Module):
    """In the shape of the official one, of which it shares no line."""

    def __init__(self) -> None:
        super().__init__()
        self.codes = nn.Embedding(16, 4)
        self.decoder = nn.Sequential(Backbone())
        self.up = nn.Conv1d(8, 8, 3, padding=1)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = self.decoder(self.codes(codes).transpose(1, 2))
        return self.up(rows.repeat_interleave(2, 1).transpose(1, 2)).transpose(1, 2)


@torch.inference_mode()
def test_a_masked_decode_of_a_batch_equals_each_row_alone() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        codec = Codec().eval()
    codes = [torch.arange(count) % 16 for count in (30, 1, 5, 17)]
    padded = pad_sequence(codes, batch_first=True)
    with v25._unpadded(codec, torch.tensor([len(row) for row in codes])):
        together = codec.decode(padded)
    bare = codec.decode(padded)
    for row, masked, unmasked in zip(codes, together, bare, strict=True):
        (alone,) = codec.decode(row[None])
        assert (masked[: 2 * len(row)] - alone).abs().max() < 1e-6
        if len(row) < 30:
            assert (unmasked[: 2 * len(row)] - alone).abs().max() > 1e-3
    assert torch.equal(codec.decode(padded), bare), "the hooks are gone"


@pytest.mark.parametrize(
    ("codes", "speed", "frames"),
    [(1, 1.0, 3), (100, 1.0, 344), (100, 2.0, 172), (100, 0.5, 688), (37, 0.8, 159), (1, 2.0, 1), (25, 1.0, 86)],
)
def test_frames_are_cut_in_double_precision(codes: int, speed: float, frames: int) -> None:
    assert V25.frames(V25.__new__(V25), codes, speed) == frames == int(2 * codes * 1.72 * (1 / speed))
