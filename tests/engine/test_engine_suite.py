"""The promises of every engine. An engine of the table joins by itself, unless its files have to be fetched; such an
engine imports these tests beside fixtures `engine` and `habits` of its own (tests/indextts/test_suite.py)."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from farm.speech import Parameter
from tests.engine.feeds import Follower, Habits, ListFeed, clip, render, utterance
from worker.engine import Clip, Engine, Failure

SENTENCES = [
    "The harbour was empty.",
    "Nobody had seen the ship since Tuesday, and nobody spoke of it.",
    "Why should they?",
    "Rain fell on the roofs, on the boats, and on the one man who waited.",
    "He had 3 letters in his pocket.",
    "At last a light came round the point.",
]

ODD = [
    *("", " \n\t ", "...", "!?", "42", "a", "%s%n%p", "../../etc", "</speak>", "©®™", "Ω≈ç√∫", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "ﷺ"),
    *("😀🎉", "🫠", "👨\u200d👩\u200d👧", "a\u0301" * 50, "\u200d\u200e"),
    *("\x00", "\x1b[31m", "\ud800", "\ue001", "\ufffd", "\U0010ffff"),
]


def test_the_card_has_all_that_planning_and_admission_need(engine: Engine) -> None:
    card = engine.card
    assert card.name
    assert card.revision
    assert card.sample_rate >= 8000
    assert engine.capacity >= 1
    assert all(language.max_characters >= 20 for language in card.languages.values())
    assert all(language.voice is None or language.voice in card.voices for language in card.languages.values())
    assert set(card.voices.values()) <= set(card.languages)
    assert set(card.parameters) <= set(Parameter)


def test_a_sentence_becomes_sound_of_a_plausible_length(engine: Engine, habits: Habits) -> None:
    for text in SENTENCES:
        samples = clip(engine, text).samples
        assert samples.dtype == np.float32
        assert samples.ndim == 1
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1
        assert np.sqrt(np.mean(samples**2)) > 0.01
        shortest, longest = habits.pace
        assert shortest < len(samples) / engine.card.sample_rate / len(text) < longest


def test_every_utterance_taken_comes_back_once_with_its_key(engine: Engine) -> None:
    feed = ListFeed([utterance(engine, text, key=f"k{i}") for i, text in enumerate(SENTENCES * 4)])
    keys = [result.key for result in engine.render(feed)]
    assert sorted(keys) == sorted(feed.taken)
    assert len(keys) == 24


@pytest.mark.parametrize("step", [1, 2, 5, None])
def test_the_same_utterance_sounds_the_same_in_any_order_and_batch(
    engine: Engine, habits: Habits, step: int | None
) -> None:
    utterances = [utterance(engine, text, key=text) for text in SENTENCES]
    first = render(engine, utterances)
    random.Random(step).shuffle(utterances)
    second = render(engine, utterances, step)
    assert all(habits.same(first[text], second[text]) for text in SENTENCES)


def test_an_engine_renders_one_feed_after_another(engine: Engine, habits: Habits) -> None:
    assert habits.same(clip(engine, SENTENCES[0]), clip(engine, SENTENCES[0]))
    assert list(engine.render(ListFeed([]))) == []
    assert habits.same(clip(engine, SENTENCES[0]), clip(engine, SENTENCES[0]))


def test_an_engine_waits_for_more_when_it_has_handed_over_all_that_it_took(engine: Engine) -> None:
    feed = Follower([utterance(engine, text, key=text) for text in SENTENCES], step=2)
    for outcome in engine.render(feed):
        feed.gets(outcome)
    assert feed.taken == SENTENCES


@pytest.mark.parametrize("bad", [{"voice": "nobody"}, {"language": "xx", "voice": "nobody"}])
def test_an_unknown_voice_or_language_fails_alone_and_says_why(engine: Engine, bad: dict[str, str]) -> None:
    results = render(
        engine,
        [
            utterance(engine, SENTENCES[0], key="before"),
            utterance(engine, SENTENCES[1], key="bad", **bad),
            utterance(engine, SENTENCES[2], key="after"),
        ],
    )
    failure = results["bad"]
    assert isinstance(failure, Failure)
    assert "nobody" in failure.error
    assert isinstance(results["before"], Clip)
    assert isinstance(results["after"], Clip)


@pytest.fixture(scope="module")
def among_odd(engine: Engine) -> dict[str, Clip | Failure]:
    """All odd texts in one batch, rendered once. Each has a plain sentence as its neighbour."""
    batch = [
        one
        for text in ODD
        for one in (utterance(engine, text, key=text), utterance(engine, SENTENCES[0], key=f"plain {text}"))
    ]
    return render(engine, batch)


@pytest.fixture(scope="module")
def plain(engine: Engine) -> Clip:
    return clip(engine, SENTENCES[0])


def test_an_engine_says_how_much_of_a_text_it_spoke(engine: Engine) -> None:
    for text in SENTENCES:
        spoken = clip(engine, text)
        assert spoken.spoken_characters is not None, "Clip.spoken_characters in worker/engine.py says what it counts"
        assert spoken.spoken_characters == len(text) or spoken.warnings


@pytest.mark.parametrize("text", ODD)
def test_an_engine_never_says_that_it_spoke_more_than_the_text_and_warns_where_it_spoke_less(
    engine: Engine, among_odd: dict[str, Clip | Failure], text: str
) -> None:
    odd, length = among_odd[text], len(utterance(engine, text).text)
    if isinstance(odd, Clip):
        assert odd.spoken_characters is not None
        assert 0 <= odd.spoken_characters <= length
        assert odd.spoken_characters == length or odd.warnings


@pytest.mark.parametrize("text", ODD)
def test_odd_text_becomes_a_clip_or_a_failure_and_spares_its_neighbour(
    among_odd: dict[str, Clip | Failure], plain: Clip, habits: Habits, text: str
) -> None:
    odd = among_odd[text]
    assert isinstance(odd, Failure) or len(odd.samples) > 0
    if isinstance(odd, Clip):
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*: \S.*", str(warning)) for warning in odd.warnings)
    assert habits.same(among_odd[f"plain {text}"], plain)


def test_text_beyond_the_limit_is_still_spoken_whole(engine: Engine) -> None:
    limit = engine.card.languages["en"].max_characters
    sentence = "And then the rain came back again. "
    once, twice = (len(clip(engine, sentence * (limit * n // len(sentence))).samples) for n in (1, 2))
    assert twice > 1.8 * once


def test_text_without_any_break_is_spoken(engine: Engine) -> None:
    assert len(clip(engine, "la" * 500).samples) > engine.card.sample_rate
