"""A clip beside what its voice took for other texts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import StorageUnavailable
from farm.storage.folder import LocalStorage
from worker.render.tempo import Fit, Tempo, Voice

JOB = Voice("ann", "model 1", "en", "anna", "job_1")
OWN = replace(JOB, job=None)  # in the voice's own manner
WORDS = [
    "the",
    "tide",
    "went",
    "out",
    "and",
    "nobody",
    "in",
    "that",
    "old",
    "harbour",
    "saw",
    "how",
    "far",
    "it",
    "had",
    "gone",
]


def text(number: int) -> str:
    return f"{' '.join(WORDS[: 4 + number % 11])}, {' '.join(WORDS[number % 7 :])}."


def seconds(said: str) -> float:
    return 0.2 + 0.06 * sum(sign.isalpha() for sign in said) + 0.2 * said.count(",")


@pytest.fixture(scope="module")
def storage() -> Iterator[LocalStorage]:
    with TemporaryDirectory() as folder:
        yield LocalStorage(Path(folder))


def taught(storage: LocalStorage, voice: Voice, spread: float = 0.03) -> Tempo:
    tempo, draw = Tempo(storage), random.Random(5)
    for number in range(60):
        tempo.remember(voice, text(number), seconds(text(number)) * draw.uniform(1 - spread, 1 + spread))
    return tempo


@pytest.fixture(params=[JOB, OWN], ids=["of a job", "of the voice"])
def voice(request: pytest.FixtureRequest) -> Voice:
    asked: Voice = request.param
    return asked


@pytest.mark.parametrize("share", [0.5, 0.75, 1.3, 2.0])
def test_a_clip_that_is_oddly_short_or_long_is_found_with_its_share(
    storage: LocalStorage, voice: Voice, share: float
) -> None:
    said = text(3)
    assert taught(storage, voice).odd(voice, said, share * seconds(said)) == pytest.approx(share, rel=0.1)


def test_ordinary_clips_are_not(storage: LocalStorage, voice: Voice) -> None:
    tempo = taught(storage, voice)
    assert all(tempo.odd(voice, text(number), seconds(text(number)) * 1.1) is None for number in range(60))


def test_a_voice_that_draws_its_speech_may_stray_further(storage: LocalStorage) -> None:
    assert taught(storage, JOB, spread=0.2).odd(JOB, text(3), 1.3 * seconds(text(3))) is None


def test_nothing_is_judged_before_there_is_enough_to_compare(storage: LocalStorage) -> None:
    tempo, new = Tempo(storage), replace(OWN, name="new")
    for number in range(19):
        tempo.remember(new, text(number), seconds(text(number)))
        assert tempo.odd(new, text(number), 9.0) is None


def test_a_text_with_numbers_is_not_judged(storage: LocalStorage, voice: Voice) -> None:
    assert taught(storage, voice).odd(voice, "In 1998 the tide went out.", 30.0) is None


def test_few_clips_that_were_odd_themselves_change_nothing(storage: LocalStorage) -> None:
    tempo = taught(storage, JOB)
    for number in range(3):
        tempo.remember(JOB, text(number), 3 * seconds(text(number)))
    assert tempo.odd(JOB, text(9), 1.4 * seconds(text(9))) is not None


def test_a_worker_that_starts_later_judges_by_the_fit_of_an_earlier_one_and_of_nothing_else(
    storage: LocalStorage,
) -> None:
    """Clips of other tenants, engines, languages and voices say nothing; a job with a manner of its own is alone."""
    taught(storage, OWN)
    fresh = Tempo(storage)
    assert fresh.odd(OWN, text(3), 1.5 * seconds(text(3))) == pytest.approx(1.5, rel=0.1)
    others = (
        replace(OWN, tenant="eve"), replace(OWN, revision="model 2"), replace(OWN, language="de"),
        replace(OWN, name="carl"), JOB,
    )  # fmt: skip
    assert [fresh.odd(other, text(3), 30.0) for other in others] == [None] * len(others)


def test_a_voice_is_fitted_once(storage: LocalStorage) -> None:
    said = storage.get(OWN.key) if taught(storage, OWN) else b""
    slower = Tempo(storage)
    for number in range(100):
        slower.remember(OWN, text(number), 1.15 * seconds(text(number)))
    assert storage.get(OWN.key) == said


def test_a_fit_of_another_worker_is_found_within_a_minute(storage: LocalStorage) -> None:
    now, late = 0.0, replace(OWN, name="late")
    waiting = Tempo(storage, clock=lambda: now)
    assert waiting.odd(late, text(3), 30.0) is None
    taught(storage, late)
    assert waiting.odd(late, text(3), 30.0) is None, "storage is not asked for every clip"
    now = 61.0
    assert waiting.odd(late, text(3), 30.0) is not None


def test_an_outage_and_a_damaged_fit_only_mean_that_there_is_none_yet(storage: LocalStorage) -> None:
    class Away(LocalStorage):
        def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
            raise StorageUnavailable("away")

        def put(self, *args: object, **options: object) -> None:
            raise StorageUnavailable("away")

    with TemporaryDirectory() as folder:
        tempo = taught(Away(Path(folder)), OWN)
        assert tempo.odd(OWN, text(3), 30.0) is not None, "it judges by the clips that it has"
    damaged = replace(OWN, name="damaged")
    storage.put(damaged.key, b"[1, 2]")
    assert Tempo(storage).odd(damaged, text(3), 30.0) is None
    taught(storage, damaged)
    assert Tempo(storage).odd(damaged, text(3), 30.0) is not None


@given(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 4))
def test_a_fit_is_read_as_it_was_written(figures: tuple[float, float, float, float]) -> None:
    assert Fit.read(Fit(*figures).written()) == Fit(*figures)


@given(st.binary(max_size=40))
def test_what_is_no_fit_is_none(said: bytes) -> None:
    Fit.read(said)
