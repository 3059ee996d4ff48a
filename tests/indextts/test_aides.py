"""Processes beside the worker: the same answers to the bit, a deadline for every question, and a way on after each."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch

from farm.errors import BadInput, Misconfigured, Unavailable
from tests.indextts.offspring import children
from worker.engines.indextts.aide import Aide, Ended, Late
from worker.engines.indextts.shapes import Network
from worker.engines.indextts.voice import emotion_model, spectra
from worker.engines.indextts.voice.emotion_model import EmotionModelHere, EmotionProcess
from worker.engines.indextts.voice.spectra import AnalystHere, AnalystProcess

ANSWERING = "tests.indextts.answering"


pytestmark = pytest.mark.usefixtures("offspring_before")


@pytest.fixture
def aide() -> Iterator[Aide]:
    made = Aide(ANSWERING, 7, start_s=120)
    yield made
    made.close()
    assert not children(ANSWERING)


def test_a_process_answers_out_of_what_it_was_told_first(aide: Aide) -> None:
    assert aide.ask("how", 60) == (7, "how")


def test_an_error_of_an_answer_is_raised_here_and_the_process_goes_on(aide: Aide) -> None:
    with pytest.raises(BadInput, match="not that"):
        aide.ask("fail", 60)
    process = children(ANSWERING)
    assert aide.ask("how", 60) == (7, "how")
    assert children(ANSWERING) == process


def test_a_process_that_hangs_is_killed_at_its_deadline_and_replaced(aide: Aide) -> None:
    aide.ask("how", 60)
    (process,) = children(ANSWERING)
    with pytest.raises(Late):
        aide.ask("hang", 0.2)
    assert not process.is_running()
    assert aide.ask("how", 60) == (7, "how")


def test_a_process_that_was_stopped_is_killed_also_while_it_does_not_read(aide: Aide) -> None:
    aide.ask("how", 60)
    children(ANSWERING)[0].send_signal(signal.SIGSTOP)
    with pytest.raises(Late):
        aide.ask("x" * (4 << 20), 0.5)


def test_a_process_that_ends_says_so_and_is_replaced(aide: Aide) -> None:
    for _ in range(2):
        with pytest.raises(Ended):
            aide.ask("end", 60)
    assert aide.ask("how", 60) == (7, "how")


def test_a_start_has_a_deadline_too() -> None:
    slow = Aide(ANSWERING, "never", start_s=0.01)
    with pytest.raises(Late):
        slow.ask("how", 60)
    assert not children(ANSWERING)


def test_what_a_process_prints_is_seen_nowhere(aide: Aide, capfd: pytest.CaptureFixture[str]) -> None:
    aide.ask("shout", 60)
    assert "customer" not in "".join(capfd.readouterr())


# --- references -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    moment = np.arange(round(0.9 * 24_000)) / 24_000
    file = tmp_path_factory.mktemp("audio") / "voice.flac"
    sf.write(file, 0.4 * np.sin(2 * np.pi * (150 + 40 * moment) * moment), 24_000)
    return file


@pytest.fixture(scope="module")
def analyst(network: Network) -> Iterator[AnalystProcess]:
    made = AnalystProcess(network.features)
    yield made
    made.close()


def test_a_reference_is_analysed_beside_as_here_to_the_bit(
    network: Network, analyst: AnalystProcess, audio: Path
) -> None:
    here = AnalystHere(network.features)
    mine, theirs = here.spectra(str(audio), "voice"), analyst.spectra(str(audio), "voice")
    assert mine.features is not None
    assert theirs.features is not None
    pairs = [
        (mine.wide, theirs.wide), (mine.bands, theirs.bands), (mine.features.rows, theirs.features.rows),
        (mine.features.mask, theirs.features.mask), (mine.own_features.rows, theirs.own_features.rows),
    ]  # fmt: skip
    assert all(one is not None and other is not None and torch.equal(one, other) for one, other in pairs)
    clip = analyst.spectra(str(audio), "emotion")
    assert clip.wide is None
    assert torch.equal(clip.own_features.rows, mine.own_features.rows)


def test_a_reference_that_can_not_be_used_is_refused_beside_as_here(analyst: AnalystProcess, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(BadInput, match="can't be decoded"):
        analyst.spectra(str(tmp_path / "text.wav"), "voice")
    with pytest.raises(FileNotFoundError):
        analyst.spectra(str(tmp_path / "gone.wav"), "emotion")


def test_a_reference_at_which_the_process_is_killed_is_tried_once_more(
    analyst: AnalystProcess, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyst.spectra(str(audio), "emotion")
    children(spectra.__name__)[0].kill()
    assert analyst.spectra(str(audio), "emotion")
    monkeypatch.setattr(spectra, "_TRIES", 1)
    children(spectra.__name__)[0].send_signal(signal.SIGSTOP)
    monkeypatch.setattr(spectra, "DEADLINE_S", 0.5)
    with pytest.raises(Unavailable, match="upload it again"):
        analyst.spectra(str(audio), "emotion")


# --- emotions ---------------------------------------------------------------------------------------------------------

MOODS = ["glad", "so sad that nobody dares to speak to her, and the evening is long and grey " * 3, "mad", "gloomy"]


def random_weights(model: Any) -> None:
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))


def test_texts_read_together_get_the_answer_of_each_alone(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is random, so its answers are compared as token ids, before the package finds no weights in them."""
    monkeypatch.setattr(emotion_model, "_ANSWER_TOKENS", 12)
    said: dict[int, list[list[int]]] = {}
    for together in (1, 4):
        here = EmotionModelHere(network.emotion_model_dir, together=together)
        here._model = emotion_model.load(Path(network.emotion_model_dir))
        random_weights(here._model.model)
        here._model.model.float()
        said[together] = seen = []

        def decode(ids: Sequence[int], seen: list[list[int]] = seen, **_: Any) -> str:
            seen.append(list(ids))
            return ""

        monkeypatch.setattr(here._model.tokenizer, "decode", decode)
        assert len(here.answers(MOODS)) == len(MOODS)
    end = {here._model.tokenizer.eos_token_id}
    trimmed = {
        together: sorted([code for code in row if code not in end] for row in rows) for together, rows in said.items()
    }
    assert trimmed[4] == trimmed[1]
    assert len({tuple(row) for row in trimmed[1]}) == len(MOODS)


@pytest.fixture(scope="module")
def moods(network: Network) -> Iterator[EmotionProcess]:
    made = EmotionProcess(network.emotion_model_dir, network.version, torch.device("cpu"))
    yield made
    made.close()


def test_emotions_are_read_beside_as_here(network: Network, moods: EmotionProcess) -> None:
    assert not children(emotion_model.__name__), "it starts at the first text"
    assert moods.answers(MOODS[:2]) == EmotionModelHere(network.emotion_model_dir).answers(MOODS[:2])
    assert len(children(emotion_model.__name__)) == 1


def test_a_text_at_which_the_emotion_model_ends_is_tried_once_more_and_one_at_which_it_hangs_fails(
    moods: EmotionProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    moods.answers(["glad"])
    children(emotion_model.__name__)[0].kill()
    assert isinstance(moods.answers(["sad"])[0], tuple)
    children(emotion_model.__name__)[0].send_signal(signal.SIGSTOP)
    monkeypatch.setattr(emotion_model, "DEADLINE_CPU_S", 0.5)
    (answer,) = moods.answers(["mad"])
    assert isinstance(answer, Unavailable)
    assert "did not answer" in answer.message


class Moody:
    """In place of a process: it hangs at batches, and at texts that say so."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def ask(self, texts: list[str], deadline_s: float) -> list[Any]:
        self.asked.append(texts)
        if len(texts) > 1 or texts[0] == "hang":
            raise Late
        if texts[0] == "crash":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [(0.5,) * 8]

    def close(self) -> None: ...


def test_of_a_batch_that_hangs_each_text_is_asked_alone_until_two_in_a_row_hang(network: Network) -> None:
    process: Any = EmotionProcess(network.emotion_model_dir, network.version, torch.device("cpu"))
    process._aide, process.together = Moody(), 8
    answers = process.answers(["a", "hang", "b", "crash", "hang", "c", "d"])
    kinds = [type(answer).__name__ for answer in answers]
    assert kinds == ["tuple", "Unavailable", "tuple", "Unavailable", "Unavailable", "Unavailable", "Unavailable"]
    assert [texts for texts in process._aide.asked if len(texts) == 1][-1] == ["hang"]


def test_a_model_that_answered_nothing_of_a_batch_gets_one_question_for_the_next(network: Network) -> None:
    process: Any = EmotionProcess(network.emotion_model_dir, network.version, torch.device("cpu"))
    process._aide, process.together = Moody(), 8
    assert len(process.answers(["hang"] * 8)) == 8
    asked = len(process._aide.asked)
    assert [type(answer).__name__ for answer in process.answers(["hang"] * 8)] == ["Unavailable"] * 8
    assert len(process._aide.asked) == asked + 1
    assert isinstance(process.answers(["a"])[0], tuple)
    assert isinstance(process.answers(["a", "b"])[0], tuple), "it is asked as before"


def test_without_its_files_the_emotion_model_names_the_remedy_and_starts_nothing(tmp_path: Path) -> None:
    process = EmotionProcess(str(tmp_path / "qwen"), "2", torch.device("cpu"))
    (answer,) = process.answers(["glad"])
    assert isinstance(answer, Misconfigured)
    assert "hf download IndexTeam/IndexTTS-2" in answer.message
    assert process._aide._process is None


def test_memory_of_a_gpu_is_kept_free_where_the_emotion_model_is_there(network: Network, tmp_path: Path) -> None:
    gpu, cpu = torch.device("cuda", 0), torch.device("cpu")
    assert EmotionProcess(network.emotion_model_dir, "2", gpu).reserve == emotion_model.MEMORY
    assert EmotionProcess(network.emotion_model_dir, "2", cpu).reserve == 0
    assert EmotionProcess(str(tmp_path), "2", gpu).reserve == 0


@pytest.mark.parametrize(
    ("visible", "index", "seen"), [("", 1, "1"), ("GPU-a,GPU-b", 1, "GPU-b"), ("3,5", 0, "3"), ("MIG-x", 0, "MIG-x")]
)
def test_the_emotion_model_sees_the_workers_gpu_and_no_other(
    monkeypatch: pytest.MonkeyPatch, visible: str, index: int, seen: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert emotion_model._visible(torch.device("cuda", index)) == seen
    assert emotion_model._visible(torch.device("cpu")) == ""
