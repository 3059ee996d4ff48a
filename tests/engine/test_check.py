"""FARM_CHECK at a worker's start: whatever the ear lacks is told in one line."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from farm.errors import Misconfigured, Unavailable
from farm.settings import Settings
from farm.wire import Language, Model
from worker.ear.ear import Deaf, Ear
from worker.ear.files import FILES
from worker.render import check
from worker.render.check import opened

CARD = Model(
    name="tones", revision="1", sample_rate=24_000, languages={"en": Language(max_characters=300)}, voices={"a": "en"},
    uploaded_voices=False, parameters=["seed"],
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As if all packages were there."""
    monkeypatch.setattr(check, "find_spec", lambda name: ModuleSpec(name, None))
    return Settings.read(check="rerender", ear_dir=tmp_path)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for file in FILES:
        (tmp_path / file.name).write_bytes(b"x")
    return tmp_path


def test_off_asks_for_nothing(tmp_path: Path) -> None:
    assert opened(Settings.read(check="off", ear_dir=tmp_path), CARD) is None


def test_a_missing_package_is_named_with_the_way_to_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "find_spec", lambda name: None)
    with pytest.raises(Misconfigured, match=r"FARM_CHECK=rerender needs ctranslate2: pip install 'tts-farm\[check\]'"):
        opened(settings, CARD)


def test_weights_that_can_not_be_fetched_are_named_with_the_way_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(folder: Path) -> None:
        raise Unavailable("model.bin can't be fetched")

    monkeypatch.setattr(check, "fetch", unreachable)
    with pytest.raises(Unavailable, match="can't be fetched"):
        opened(settings, CARD)


def test_weights_of_another_release_are_refused(settings: Settings, weights: Path) -> None:
    with pytest.raises(Misconfigured, match=r"model\.bin is cut short.* run: python -m worker fetch ear"):
        opened(settings, CARD)


def test_an_ear_that_can_not_start_is_told_with_a_way_to_go_on(
    settings: Settings, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(self: Ear) -> str:
        raise Deaf("the ear did not start: RuntimeError: unsupported")

    monkeypatch.setattr(check, "FILES", ())
    monkeypatch.setattr(Ear, "start", deaf)
    with pytest.raises(Misconfigured, match=r"FARM_CHECK=rerender: the ear did not start.*; or set FARM_CHECK=off"):
        opened(settings, CARD)
