"""What only the real network can show: speech of a plausible length, the same bits in any company, every voice."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from farm.pronunciation import plain
from tests.engine.feeds import clip, render, utterance
from worker.engine import Clip, Engine
from worker.engines.kokoro.voices import VOICES

SHORT = ["The harbour was empty.", "Why should they?", "He paid $4.50."]
LONG = "He read the letter twice, folded it carefully, and put it back into his pocket without saying a word."


def seconds(clip: Clip) -> float:
    return len(clip.samples) / 24_000


def test_a_sentence_becomes_speech_of_a_plausible_length_and_level(engine: Engine) -> None:
    made = clip(engine, SHORT[0])
    assert 0.05 < seconds(made) / len(SHORT[0]) < 0.12
    assert 0.02 < np.sqrt(np.mean(made.samples**2)) < 0.3
    assert (made.warnings, made.spoken_characters) == ((), len(SHORT[0]))


def test_the_same_utterance_has_the_same_bits_in_any_order_and_company(engine: Engine) -> None:
    batch = [utterance(engine, text, key=text) for text in SHORT]
    first, second = render(engine, batch), render(engine, reversed(batch), 1)
    for text in SHORT:
        one, other = first[text], second[text]
        assert isinstance(one, Clip)
        assert isinstance(other, Clip)
        assert np.array_equal(one.samples, other.samples)


def test_another_process_makes_the_same_bits(engine: Engine) -> None:
    program = (
        "import hashlib; from farm.settings import Settings; from tests.engine.feeds import clip;"
        "from worker.engines import load; engine = load(Settings.read(model='kokoro'));"
        f"print(hashlib.sha256(clip(engine, {SHORT[1]!r}).samples.tobytes()).hexdigest()); engine.close()"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == hashlib.sha256(clip(engine, SHORT[1]).samples.tobytes()).hexdigest()


def test_a_length_that_comes_again_takes_no_more_memory(engine: Engine) -> None:
    program = (
        "import resource; from farm.settings import Settings; from tests.engine.feeds import clip;"
        "from worker.engines import load; engine = load(Settings.read(model='kokoro'));"
        f"made = [(clip(engine, {LONG!r}), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) for _ in range(3)];"
        "print(*(kilobytes for _, kilobytes in made)); engine.close()"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    first, *again = map(int, said.split())
    assert max(again) - first < 20_000


@pytest.mark.parametrize("voice", VOICES)
def test_every_voice_speaks(engine: Engine, voice: str) -> None:
    made = clip(engine, "Papa.", voice=voice, language=engine.card.voices[voice])
    assert 0.2 < seconds(made) < 2.5
    assert np.abs(made.samples).max() > 0.05


def test_no_silence_is_left_at_the_ends(engine: Engine) -> None:
    samples = np.abs(clip(engine, SHORT[0]).samples)
    assert samples[:1200].max() > 0.003
    assert samples[-1200:].max() > 0.003


def test_a_speed_changes_the_length(engine: Engine) -> None:
    usual, fast, slow = (seconds(clip(engine, SHORT[0], speed=speed)) for speed in (1.0, 1.5, 0.7))
    assert fast < 0.85 * usual < usual < 0.85 * slow


def test_a_target_length_is_met_within_a_twentieth(engine: Engine) -> None:
    target_ms = round(1.2 * 1000 * seconds(clip(engine, SHORT[0])))
    made = clip(engine, SHORT[0], target_duration_ms=target_ms)
    assert seconds(made) * 1000 == pytest.approx(target_ms, rel=0.05)


def test_a_mark_of_pronunciation_is_heard(engine: Engine) -> None:
    marked = "A <minute|M AY0 N UW1 T> crack."
    assert not np.array_equal(clip(engine, marked).samples, clip(engine, plain(marked)).samples)
