"""The engine as a whole, held against the package's own infer(): the same clip, whatever runs beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.speech import Manner
from tests.engine.feeds import ListFeed, render
from tests.indextts.oracle import speak
from tests.indextts.sketch import Answer, Sketch, Wave, recording
from worker.engine import Clip, Failure, Speech, Utterance
from worker.engines.indextts.engine import IndexTTS, part_seed
from worker.engines.indextts.examination.warmth import one_sentence
from worker.engines.indextts.load.factory import Options, assemble
from worker.engines.indextts.shapes import Network, Precisions, Sampling
from worker.engines.indextts.sound.flow import Flow

Assemble = Callable[..., IndexTTS]

FULL = os.environ.get("MODEL") == "full"
TEXTS = [
    "The tide went out, and nobody saw it go.",
    "Good morning.",
    "Why should they have waited for the ship that had left on Tuesday, when there was another one on Friday?",
    "He had 3 letters in his pocket.",
    "Rain fell on the roofs, on the boats, and on the one man who waited.",
    "At last!",
    "今天天气很好，我们去公园散步。",
    "Nothing else happened that year, except that the harbour froze, and that the lamps were lit at noon.",
]


@pytest.fixture(scope="module")
def built(network: Network) -> Assemble:
    def build(*, slots: int = 4, steps: int = 3, **sampling: Any) -> IndexTTS:
        """Of few steps, because the flow takes nine tenths of the time; where it is compared, with the package's 25."""
        return assemble(network, "tiny", Options(slots=slots, steps=steps, sampling=Sampling(**sampling)))

    return build


@pytest.fixture(scope="module")
def brief(references: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The beginnings of the references, for tests that do not ask the package: an engine takes five times as long to
    hear a voice of 3 s, and three times as long to speak in it."""
    folder = tmp_path_factory.mktemp("brief")
    for reference, seconds in zip(references, (0.6, 0.8, 0.7), strict=True):
        samples, rate = sf.read(reference)
        sf.write(folder / Path(reference).name, samples[: round(seconds * rate)], rate)
    return [str(folder / Path(reference).name) for reference in references]


@pytest.fixture(scope="module")
def engine(built: Assemble) -> Iterator[IndexTTS]:
    made = built(limit=SHORT.limit)
    yield made
    made.close()


def utterance(
    text: str, reference: str, *, key: str = "only", seed: int = 0, emotion: dict[str, object] | None = None,
    copied: str | None = None,
) -> Utterance:  # fmt: skip
    document = json.dumps(emotion) if emotion is not None else None
    language = "zh" if text[0] > "\u3000" else "en"
    speech = Speech(
        language, Path(reference).stem, Path(reference), Manner(seed=seed, emotion=document),
        emotion_reference=Path(copied) if copied else None,
    )  # fmt: skip
    return Utterance(key, text, speech)


def sound(outcome: Clip | Failure) -> Any:
    assert isinstance(outcome, Clip), outcome
    return outcome.samples


# --- equal to the package -------------------------------------------------------------------------------------------

SAD = [0.1, 0, 0.3, 0, 0, 0.1, 0, 0.2]


@dataclass(frozen=True)
class Case:
    text: str
    voice: int = 0
    seed: int = 0
    greedy: bool = False
    emotion: dict[str, object] | None = None  # as a job asks for it
    options: Mapping[str, object] = field(default_factory=dict)  # as the package is told the same

    def utterance(self, key: str, references: Sequence[str]) -> Utterance:
        copied = references[2] if self.emotion and "voice" in self.emotion else None
        return utterance(
            self.text, references[self.voice], key=key, seed=self.seed, emotion=self.emotion, copied=copied
        )

    def of_the_package(self, package: Any, references: Sequence[str]) -> Wave:
        options = dict(self.options)
        if "emo_audio_prompt" in options:
            options["emo_audio_prompt"] = references[2]
        seeds = [part_seed(self.seed, part) for part in range(40)]
        spoken = speak(package, references[self.voice], self.text, seeds=seeds, greedy=self.greedy, **options)
        return Wave(len(spoken.waves), spoken.whole)


EMOTIONS: list[tuple[dict[str, object] | None, dict[str, object]]] = [
    (None, {}),
    ({"vector": SAD}, {"emo_vector": SAD}),
    ({"vector": SAD, "strength": 0.37}, {"emo_vector": SAD, "emo_alpha": 0.37}),
    ({"voice": "voice2"}, {"emo_audio_prompt": "voice2"}),
    ({"voice": "voice2", "strength": 0.6}, {"emo_audio_prompt": "voice2", "emo_alpha": 0.6}),
    ({"text": "with great joy"}, {"use_emo_text": True, "emo_text": "with great joy"}),
]
PARTS = "of several parts"
CASES = {
    f"{'greedy' if greedy else 'sampled'} {number}": Case(
        text, number % 3, number, greedy, *EMOTIONS[number % len(EMOTIONS)]
    )
    for greedy in (True, False)
    for number, text in enumerate(TEXTS)
}
CASES[PARTS] = Case(" ".join(TEXTS[:5] * 3), seed=7)


@pytest.fixture(scope="module")
def answers(request: pytest.FixtureRequest, checkpoint: Path, references: Sequence[str]) -> Callable[[str], Answer]:
    """The package's answer to the case of a name, as it was recorded. With MODEL=full, and for an edition that was not
    recorded, the package itself answers; then a recording must still say the same."""
    file = recording(checkpoint)
    recorded = json.loads(file.read_text(encoding="utf-8"))["spoken"] if file.exists() else None
    if recorded and not FULL:
        return lambda name: Sketch.from_json(recorded[name])
    package = request.getfixturevalue("package")

    def ask(name: str) -> Wave:
        answer = CASES[name].of_the_package(package, references)
        if recorded:
            assert Sketch.from_json(recorded[name]).difference(answer.samples) < 1e-5, f"record {file} again"
        return answer

    return ask


@pytest.mark.parametrize("greedy", [True, False])
def test_a_full_batch_equals_the_packages_clips_made_one_by_one(
    built: Assemble, answers: Callable[[str], Answer], references: Sequence[str], greedy: bool
) -> None:
    engine = built(slots=8, steps=25, greedy=greedy)
    batch = {name: case for name, case in CASES.items() if name != PARTS and case.greedy is greedy}
    if not FULL:  # every text and every emotion all the same, but once
        batch = {name: case for name, case in batch.items() if case.seed % 2 == greedy}
    got = render(engine, [case.utterance(name, references) for name, case in batch.items()])
    assert got.keys() == batch.keys()
    for name, outcome in got.items():
        answer = answers(name)
        assert answer.parts == 1
        assert answer.difference(sound(outcome)) < 1e-5
        assert np.abs(sound(outcome)).max() > 0.01


def test_a_text_of_several_parts_is_joined_as_the_package_joins_it(
    built: Assemble, answers: Callable[[str], Answer], references: Sequence[str]
) -> None:
    got = render(built(steps=25), [CASES[PARTS].utterance(PARTS, references)])[PARTS]
    answer = answers(PARTS)
    assert answer.parts > 1
    assert answer.difference(sound(got)) < 1e-5


# --- whatever runs beside it ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone(engine: IndexTTS, brief: Sequence[str]) -> dict[str, Any]:
    """Each of some utterances, rendered by itself."""
    return {str(number): sound(render(engine, [_mixed(number, brief)])[str(number)]) for number in MIXED}


MIXED = range(6)
SHORT = Sampling(limit=12)  # most of a test's time is decode, and what is cut off is decoded twice


def _mixed(number: int, brief: Sequence[str]) -> Utterance:
    emotion = {"vector": SAD} if number % 3 == 1 else None
    return utterance(TEXTS[number], brief[number % 3], key=str(number), seed=number * 1000, emotion=emotion)


@given(
    order=st.permutations(MIXED), slots=st.integers(1, 6), step=st.integers(1, 6),
    pages=st.sampled_from([None, 1, 3]),
)  # fmt: skip
@settings(max_examples=20 if FULL else 3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_neighbours_and_room_do_not_change_a_clip(
    network: Network, brief: Sequence[str], alone: dict[str, Any], order: list[int], slots: int, step: int,
    pages: int | None,
) -> None:  # fmt: skip
    engine = assemble(network, "tiny", Options(slots=slots, steps=3, pages=pages and 12 * pages, sampling=SHORT))
    got = render(engine, [_mixed(number, brief) for number in order], step)
    for key, samples in alone.items():
        assert sound(got[key]).shape == samples.shape
        assert np.abs(sound(got[key]) - samples).max() < 1e-5


class _Later:
    """Gives the second utterance only when the first is being decoded."""

    def __init__(self, engine: IndexTTS, first: Utterance, second: Utterance) -> None:
        self._decoder, self._waiting = engine._decoder, [first, second]

    def take(self, count: int, *, wait: bool) -> list[Utterance]:
        if len(self._waiting) == 1 and not self._decoder.running:
            return []
        return [self._waiting.pop(0)] if self._waiting else []


def test_an_utterance_joins_a_running_decode(
    built: Assemble, brief: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = built(slots=2)
    step, together = engine._decoder.step, []

    def watched() -> Any:
        ended = step()
        together.append(engine._decoder.running)
        return ended

    monkeypatch.setattr(engine._decoder, "step", watched)
    lines = [utterance(TEXTS[number], brief[0], key=str(number), seed=number) for number in (0, 1)]
    outcomes = list(engine.render(_Later(engine, *lines)))
    assert {outcome.key for outcome in outcomes} == {"0", "1"}
    assert together[0] == 1
    assert max(together) == 2


# --- cut off --------------------------------------------------------------------------------------------------------


def test_a_clip_that_is_cut_off_is_tried_under_another_seed_and_named_if_cut_again(
    built: Assemble, brief: Sequence[str]
) -> None:
    def codes(limit: int, seed: int) -> tuple[int, tuple[str, ...]]:
        outcome = render(built(limit=limit), [utterance(TEXTS[1], brief[0], seed=seed)])["only"]
        assert isinstance(outcome, Clip)
        return len(outcome.samples), tuple(map(str, outcome.warnings))

    pairs = [(first, part_seed(first, 0, another=True)) for first in range(6)]
    seeds = [seed for pair in pairs for seed in pair]
    got = render(built(slots=12), [utterance(TEXTS[1], brief[0], key=str(seed), seed=seed) for seed in seeds])
    whole = {seed: len(sound(got[str(seed)])) for seed in seeds}
    first, second = next(pair for pair in pairs if whole[pair[0]] > whole[pair[1]])
    limit = round(whole[second] / 256 / 1.72) + 1
    assert codes(limit, first) == (whole[second], ())
    length, (warning,) = codes(5, first)
    assert length == int(5 * 1.72) * 256
    assert warning.startswith("code_limit: ")


# --- bad input ------------------------------------------------------------------------------------------------------


def _audio(path: Path, samples: Any) -> str:
    sf.write(path, np.asarray(samples, np.float32), 24_000)
    return str(path)


@pytest.mark.parametrize(
    ("emotion", "says"),
    [
        ({"vector": [0.1] * 7}, "7 values"),
        ({"vector": [float("nan")] * 8}, "finite"),
        ({"vector": [-1.0] * 8}, "from 0 up"),
        ({"voice": "nobody"}, "nobody"),
        ({"strength": 2}, "strength"),
        ({"mood": "sour"}, "object"),
    ],
)
def test_an_invalid_emotion_fails_its_utterance_alone(
    engine: IndexTTS, brief: Sequence[str], emotion: dict[str, object], says: str
) -> None:
    bad = utterance(TEXTS[0], brief[0], key="bad", emotion=emotion)
    got = render(engine, [bad, utterance(TEXTS[1], brief[0], key="good")])
    assert isinstance(got["good"], Clip)
    assert isinstance(got["bad"], Failure)
    assert says in got["bad"].error


def test_a_silent_reference_is_refused_and_a_noisy_one_spares_its_neighbours(
    engine: IndexTTS, brief: Sequence[str], tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 72_000)
    broken = tmp_path / "broken.flac"
    broken.write_bytes(b"fLaC and nothing else")
    got = render(
        engine,
        [
            utterance(TEXTS[0], _audio(tmp_path / "silence.wav", np.zeros(72_000)), key="silence"),
            utterance(TEXTS[0], _audio(tmp_path / "noise.wav", noise), key="noise"),
            utterance(TEXTS[0], _audio(tmp_path / "short.wav", noise[:100]), key="short"),
            utterance(TEXTS[0], str(broken), key="broken"),
            utterance(TEXTS[0], str(tmp_path / "absent.wav"), key="absent"),
            utterance(TEXTS[0], brief[0], key="good"),
        ],
    )
    assert isinstance(got["good"], Clip)
    assert isinstance(got["noise"], Clip)
    for key, says in {"silence": "silent", "short": "s; send", "broken": "decoded", "absent": "No such file"}.items():
        failure = got[key]
        assert isinstance(failure, Failure)
        assert says in failure.error


def test_a_text_without_words_becomes_a_short_silence_and_is_named(engine: IndexTTS, brief: Sequence[str]) -> None:
    silent = render(engine, [utterance(" … ", brief[0])])["only"]
    assert isinstance(silent, Clip)
    assert len(silent.samples) == 2205
    assert not silent.samples.any()
    assert str(silent.warnings[0]).startswith("unspeakable: ")


# --- trouble on the device ------------------------------------------------------------------------------------------


def test_out_of_memory_while_prompts_are_made_costs_no_utterance(
    built: Assemble, brief: Sequence[str], alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = built(limit=SHORT.limit)
    adapter: Any = engine._adapter
    made = adapter.prompts
    refused = []

    def prompts(ids: Any, *given: Any) -> Any:
        if not refused:
            refused.append(len(ids))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return made(ids, *given)

    monkeypatch.setattr(adapter, "prompts", prompts)
    got = render(engine, [_mixed(number, brief) for number in MIXED])
    assert refused
    assert all(np.abs(sound(got[key]) - samples).max() < 1e-5 for key, samples in alone.items())


def test_a_poisoned_gpu_ends_the_engine_and_blames_no_text(
    built: Assemble, brief: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("prompts", "contents"):
        engine = built(limit=SHORT.limit)

        def poisoned(*given: Any) -> Any:
            raise RuntimeError("CUDA error: device-side assert triggered")

        monkeypatch.setattr(engine._adapter, stage, poisoned)
        with pytest.raises(RuntimeError, match="device-side assert"):
            render(engine, [utterance(TEXTS[0], brief[0])])


def test_an_utterance_that_fails_spares_the_others(
    built: Assemble, brief: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = built(limit=SHORT.limit)
    adapter: Any = engine._adapter
    read = adapter.contents

    def contents(prompts: Any, codes: Any) -> Any:
        if any(len(prompt) == longest for prompt in prompts):
            raise ValueError("what is this?")
        return read(prompts, codes)

    longest = max(len(adapter.segments(TEXTS[number], "en").ids[0]) for number in MIXED) + 36
    monkeypatch.setattr(adapter, "contents", contents)
    got = render(engine, [_mixed(number, brief) for number in MIXED])
    failed = [key for key, outcome in got.items() if isinstance(outcome, Failure)]
    assert len(failed) == 1
    assert "what is this?" in got[failed[0]].error  # type: ignore[union-attr]


def test_an_engine_renders_again_after_an_abandoned_feed(engine: IndexTTS, brief: Sequence[str]) -> None:
    for outcome in engine.render(ListFeed([_mixed(number, brief) for number in MIXED])):
        assert isinstance(outcome, Clip)
        break
    assert isinstance(render(engine, [_mixed(0, brief)])["0"], Clip)


def test_a_gpu_that_is_lost_is_a_fact_and_no_end_of_the_heartbeat(
    engine: IndexTTS, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(device: torch.device) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported elsewhere")

    monkeypatch.setattr(engine, "_torch_device", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lost)
    assert engine.facts()["memory"] == "the GPU does not answer: CUDA error: unspecified launch failure"


def test_an_engine_leaves_out_the_attention_that_plans_for_each_shape(built: Assemble) -> None:
    torch.backends.cuda.enable_cudnn_sdp(True)  # as PyTorch comes
    built().close()
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_an_engine_warms_up_and_states_its_facts(built: Assemble) -> None:
    engine = built(limit=SHORT.limit)
    one_sentence(engine)
    assert engine.device == "cpu"
    assert engine.facts()["precision"] == "gpt fp32, s2mel fp32, vocoder fp32"
    assert engine.facts()["attention"] == "sdpa"
    assert engine.facts()["flow attention"] == "per item"
    assert "made again" not in engine.facts()


def test_a_sound_that_half_precision_spoils_is_made_again_and_counted(
    network: Network, brief: Sequence[str], alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mels = Flow.mels

    def overflowed(flow: Flow, *given: Any) -> list[torch.Tensor]:
        made = mels(flow, *given)
        return made if flow.dtype == torch.float32 else [mel * torch.nan for mel in made]

    monkeypatch.setattr(Flow, "mels", overflowed)
    half = replace(network, precisions=Precisions(s2mel="fp16", vocoder="fp16"))
    engine = assemble(half, "tiny", Options(slots=2, steps=3, sampling=SHORT))
    got = render(engine, [_mixed(number, brief) for number in (0, 1)])
    engine.close()
    assert all(np.abs(sound(got[key]) - alone[key]).max() < 1e-5 for key in ("0", "1"))
    assert engine.facts()["made again"] == "2 of 2 pieces, in fp32"
    assert engine.facts()["precision"] == "gpt fp32, s2mel fp16, vocoder fp16"


def test_texts_are_read_in_other_processes_to_the_same_clip(
    network: Network, brief: Sequence[str], alone: dict[str, Any]
) -> None:
    engine = assemble(network, "tiny", Options(slots=4, steps=3, readers=1, sampling=SHORT))
    got = render(engine, [_mixed(number, brief) for number in MIXED])
    assert all(np.abs(sound(got[key]) - samples).max() < 1e-5 for key, samples in alone.items())
    engine.close()
