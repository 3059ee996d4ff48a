"""eSpeak beyond the suite: determinism across processes, languages, speed and pitch, crashes of the library."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from farm.errors import Misconfigured
from tests.engine.feeds import clip, render, utterance
from worker.engine import Clip, Failure
from worker.engines.espeak import speaker
from worker.engines.espeak.engine import Espeak
from worker.render.sound_checks import checked

PLAIN = "A long, even line of plain words about nothing at all."
GREETINGS = {
    "en": "It was a bright morning, and the whole village had come down to the harbour.",
    "de": "Es war ein heller Morgen, und das ganze Dorf war zum Hafen gekommen.",
    "es": "Era una mañana clara, y todo el pueblo había bajado al puerto.",
    "fr": "C'était un matin clair, et tout le village était descendu au port.",
    "zh": "那是一个晴朗的早晨，全村的人都来到港口。",
    "ja": "あかるいあさでした。むらのひとびとはみな、みなとにきました。",
    "ar": "كان صباحا مشرقا، وقد نزلت القرية كلها إلى الميناء.",
}
INTERLUDES = [
    {"text": "Guten Tag, wie geht es Ihnen?", "language": "de", "speed": 1.7, "pitch": 7.0},
    {"text": "你好, hello, 世界", "language": "cmn", "speed": 0.5},
    {"text": "Ssssss! CH, ch, f f f.", "voice": "en-gb", "pitch": -9.0},
]


def _fundamental(samples: npt.NDArray[np.float32], rate: int) -> float:
    """Median pitch in Hz, by autocorrelation of voiced frames of 46 ms."""
    found = []
    low, high = rate // 400, rate // 45
    for start in range(0, len(samples) - 1024, 512):
        frame = samples[start : start + 1024] - samples[start : start + 1024].mean()
        correlation = np.correlate(frame, frame, "full")[1023:]
        lag = low + int(np.argmax(correlation[low:high]))
        if np.sqrt(np.mean(frame**2)) > 0.03 and correlation[lag] > 0.5 * correlation[0]:
            found.append(rate / lag)
    return float(np.median(found))


@pytest.mark.parametrize("interlude", INTERLUDES, ids=lambda interlude: interlude.get("language", "en-gb"))
def test_an_earlier_utterance_does_not_change_a_clip(espeak: Espeak, interlude: dict[str, str]) -> None:
    alone = clip(espeak, PLAIN).samples
    clip(espeak, **interlude)
    assert np.array_equal(clip(espeak, PLAIN).samples, alone)
    clip(espeak, PLAIN, speed=2.0)
    assert np.array_equal(clip(espeak, PLAIN).samples, alone)


def test_another_process_makes_the_same_samples(espeak: Espeak) -> None:
    program = (
        "import sys, hashlib\n"
        "from tests.engine.feeds import clip\n"
        "from worker.engines.espeak.engine import Espeak\n"
        "espeak = Espeak()\n"
        "clip(espeak, 'Something else first.', language='fr')\n"
        "print(hashlib.sha256(clip(espeak, sys.argv[1]).samples.tobytes()).hexdigest())\n"
        "espeak.close()\n"
    )
    there = subprocess.run(
        [sys.executable, "-c", program, PLAIN], check=True, capture_output=True, text=True, env=_environment()
    ).stdout.strip()
    assert there == hashlib.sha256(clip(espeak, PLAIN).samples.tobytes()).hexdigest()


@pytest.mark.parametrize("language", GREETINGS)
def test_each_language_is_spoken_at_a_plausible_length_and_loudness(espeak: Espeak, language: str) -> None:
    samples = clip(espeak, GREETINGS[language], language=language).samples
    assert 2 < len(samples) / espeak.card.sample_rate < 8
    assert -30 < 20 * np.log10(np.sqrt(np.mean(samples**2))) < -12


def test_voices_keep_their_names_and_plain_languages_have_a_voice(espeak: Espeak) -> None:
    assert {"en-us", "en-gb", "de", "es", "fr-fr", "cmn", "ja", "ar"} <= set(espeak.card.voices)
    expected = {"en": "en-us", "en-gb": "en-gb", "fr": "fr-fr", "zh": "cmn", "pt": "pt-br", "de": "de"}
    assert {language: espeak.card.languages[language].voice for language in expected} == expected
    assert espeak.card.languages["zh"].max_characters < espeak.card.languages["en"].max_characters


def test_every_voice_speaks(espeak: Espeak) -> None:
    voices = espeak.card.voices.items()
    results = render(espeak, [utterance(espeak, "mama", key=v, voice=v, language=lang) for v, lang in voices])
    assert len(results) > 130
    assert [name for name, result in results.items() if isinstance(result, Failure) or result.warnings] == []


def test_speed_is_a_factor(espeak: Espeak) -> None:
    normal, fast, slow = (len(clip(espeak, PLAIN, speed=speed).samples) for speed in (1.0, 2.0, 0.5))
    assert normal / fast == pytest.approx(2, rel=0.1)
    assert slow / normal == pytest.approx(2, rel=0.1)


def test_pitch_moves_by_semitones_and_warns_beyond_its_limit(espeak: Espeak) -> None:
    rate = espeak.card.sample_rate
    neutral = _fundamental(clip(espeak, PLAIN).samples, rate)
    for semitones in (-6.0, -3.0, 3.0, 6.0):
        moved = 12 * np.log2(_fundamental(clip(espeak, PLAIN, pitch=semitones).samples, rate) / neutral)
        assert moved == pytest.approx(semitones, abs=1)
    assert str(clip(espeak, PLAIN, pitch=12.0).warnings[0]).startswith("pitch_limit: pitch 12 is beyond")


@pytest.mark.parametrize("text", [PLAIN, GREETINGS["de"], " ".join([GREETINGS["en"]] * 4)])
@pytest.mark.parametrize("factor", [0.55, 0.8, 1.0, 1.3, 1.9])
def test_a_clip_has_its_target_length(espeak: Espeak, text: str, factor: float) -> None:
    language = "de" if text == GREETINGS["de"] else "en"
    target_ms = round(1000 * factor * len(clip(espeak, text, language=language).samples) / espeak.card.sample_rate)
    found = clip(espeak, text, language=language, target_duration_ms=target_ms)
    assert 1000 * len(found.samples) / espeak.card.sample_rate == pytest.approx(target_ms, rel=0.03)
    assert found.warnings == ()


def test_padding_to_the_target_length_is_a_short_silence_at_the_end(espeak: Espeak) -> None:
    rate = espeak.card.sample_rate
    natural = clip(espeak, PLAIN).samples
    found = clip(espeak, PLAIN, target_duration_ms=round(1000 * len(natural) / rate) + 15).samples
    assert np.array_equal(found[: len(natural)], natural)
    assert not found[len(natural) :].any()
    assert len(found) == round((round(1000 * len(natural) / rate) + 15) * rate / 1000)


@pytest.mark.parametrize(("target_ms", "factor"), [(300, 0.5), (20_000, 2.0)])
def test_a_target_out_of_reach_gets_the_nearest_length_and_a_warning(
    espeak: Espeak, target_ms: int, factor: float
) -> None:
    rate = espeak.card.sample_rate
    found = clip(espeak, PLAIN, target_duration_ms=target_ms)
    assert len(found.samples) / len(clip(espeak, PLAIN).samples) == pytest.approx(factor, rel=0.1)
    reached_ms = round(1000 * len(found.samples) / rate)
    assert [*map(str, found.warnings)] == [f"duration_limit: target {target_ms} ms, result {reached_ms} ms"]


def test_unspeakable_text_is_silence_of_its_target_length(espeak: Espeak) -> None:
    silence = clip(espeak, "🫠", target_duration_ms=1200)
    assert not silence.samples.any()
    assert len(silence.samples) == round(1.2 * espeak.card.sample_rate)


def test_a_target_length_takes_three_renders_at_most(espeak: Espeak, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds: list[int] = []
    speak = espeak._speaker.speak

    def listening(request: dict[str, int]) -> npt.NDArray[np.float32]:
        speeds.append(request["words_per_minute"])
        return speak(request)

    monkeypatch.setattr(espeak._speaker, "speak", listening)
    for target_ms in (300, 2000, 2500, 3100, 4321, 20_000):
        speeds.clear()
        clip(espeak, PLAIN, target_duration_ms=target_ms)
        assert 2 <= len(speeds) <= 3
        assert len(set(speeds)) == len(speeds)
        assert all(88 <= speed <= 350 for speed in speeds)


def test_ssml_in_the_text_is_only_text(espeak: Espeak) -> None:
    samples = clip(espeak, "One word. <break time='9s'/> Another.").samples
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    assert np.diff(loud).max() < 2 * espeak.card.sample_rate
    assert len(samples) > len(clip(espeak, "One word. Another.").samples) + espeak.card.sample_rate


def test_phonemes_in_the_text_are_only_text(espeak: Espeak) -> None:
    spelled = len(clip(espeak, f"[[h@'loU]] {PLAIN}").samples)
    assert spelled > len(clip(espeak, f"hello {PLAIN}").samples) + espeak.card.sample_rate / 2


@pytest.mark.parametrize("command", ["\x01", "\x00", "\ue001"])
def test_an_embedded_command_in_the_text_is_not_obeyed(espeak: Espeak, command: str) -> None:
    """Ctrl-A and 90P: speak higher from here on."""
    spoken = clip(espeak, f"One {command}90P {PLAIN}").samples
    assert np.array_equal(spoken, clip(espeak, f"One 90P {PLAIN}").samples)


def test_unspeakable_text_is_a_short_silence_with_a_warning(espeak: Espeak) -> None:
    silence = clip(espeak, "🫠")
    assert not silence.samples.any()
    assert len(silence.samples) == round(0.1 * espeak.card.sample_rate)
    assert str(silence.warnings[0]).startswith("unspeakable: nothing in this text")


def test_a_clip_has_no_pause_at_its_ends(espeak: Espeak) -> None:
    for text in ("Yes.", PLAIN, "Is it you?", "Papa", "Table"):
        loud = np.flatnonzero(np.abs(clip(espeak, text).samples) >= 0.001)
        edge = round(0.011 * espeak.card.sample_rate)
        assert loud[0] < edge
        assert len(clip(espeak, text).samples) - loud[-1] <= edge


@pytest.fixture
def own_espeak() -> Iterator[Espeak]:
    made = Espeak()
    yield made
    made.close()


CRASHING = """
import os, signal
from worker.engines.espeak import speaker
speak = speaker._speak
def crash(library, request):
    for name in ("SIGSEGV", "SIGALRM"):
        if request["text"] in name:  # and each part of it
            os.kill(os.getpid(), signal.Signals[name])
    return speak(library, request)
speaker._speak = crash
speaker.main()
"""


def test_text_that_crashes_or_hangs_the_library_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No text is known to do it, so the real speaker is made to die of two. SIGALRM is how it ends one that hangs."""
    script = tmp_path / "speaker.py"
    script.write_text(CRASHING)
    monkeypatch.setattr(speaker, "__file__", str(script))
    engine = Espeak()
    try:
        results = render(engine, [utterance(engine, text, text) for text in (PLAIN, "SIGSEGV", "SIGALRM", "Next.")])
    finally:
        engine.close()
    crashed, hung = results["SIGSEGV"], results["SIGALRM"]
    assert isinstance(crashed, Failure)
    assert "crashed on this text (SIGSEGV)" in crashed.error
    assert isinstance(hung, Failure)
    assert "did not finish" in hung.error
    assert isinstance(results[PLAIN], Clip)
    assert isinstance(results["Next."], Clip)


def test_a_speaker_that_can_not_start_is_a_misconfiguration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaker, "__file__", str(tmp_path / "nothing.py"))
    with pytest.raises(Misconfigured, match="reinstall"):
        Espeak()


def test_a_killed_speaker_is_started_again(own_espeak: Espeak) -> None:
    before = clip(own_espeak, PLAIN).samples
    os.kill(own_espeak._speaker._child.pid, signal.SIGKILL)
    own_espeak._speaker._child._process.wait()
    results = render(own_espeak, [utterance(own_espeak, PLAIN, "lost"), utterance(own_espeak, PLAIN, "next")])
    assert isinstance(results["lost"], Failure)
    assert "started again" in results["lost"].error
    following = results["next"]
    assert isinstance(following, Clip)
    assert np.array_equal(following.samples, before)


def test_the_speaker_does_not_outlive_its_engine() -> None:
    """The parent is killed, so that it can't clean up; the pipe that both processes hold ends with the last."""
    program = (
        "import os, signal\nfrom worker.engines.espeak.engine import Espeak\n"
        "espeak = Espeak()\nos.kill(os.getpid(), 9)\n"
    )
    read, write = os.pipe()
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=write, env=_environment())
    os.close(write)
    parent.wait()
    with os.fdopen(read) as end:
        assert end.read() == ""


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("language", GREETINGS)
def test_the_checks_of_the_sound_find_nothing_in_it(espeak: Espeak, language: str, speed: float) -> None:
    asked = utterance(espeak, GREETINGS[language], language=language, speed=speed)
    spoken = render(espeak, [asked])["only"]
    assert isinstance(spoken, Clip)
    assert checked(spoken, asked, espeak.card.sample_rate) is spoken
