"""Which IndexTTS is installed, and what is said where it is not the one that a model needs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from farm.errors import Misconfigured
from worker.engines.indextts.load import package


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> None:
    specs = {name: SimpleNamespace(submodule_search_locations=[str(folder)]) for name in names}
    monkeypatch.setattr(package, "find_spec", specs.get)


def test_the_indexed_package_lacks_version_25_and_the_error_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, tmp_path, "torch", "indextts")
    package.check_installed("2")
    with pytest.raises(Misconfigured, match=rf"indexed package, which has version 2 alone; .*{package.COMMIT}.*nemo"):
        package.check_installed("2.5")


def test_the_official_repository_has_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, "torch", "indextts")
    (tmp_path / "infer_v2_5.py").touch()
    package.check_installed("2")
    package.check_installed("2.5")


@pytest.mark.parametrize(
    ("there", "version", "says"),
    [
        ((), "2", r"needs torch and indextts, not installed here: pip install 'tts-farm\[indextts\]'"),
        (("torch",), "2", r"FARM_MODEL=indextts-2 needs indextts, .*pip install 'tts-farm\[indextts\]'"),
        (("torch",), "2.5", "FARM_MODEL=indextts-2.5 needs indextts, not installed here: install the official"),
        (("indextts",), "2.5", "needs torch, "),
    ],
)
def test_a_missing_package_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: tuple[str, ...], version: str, says: str
) -> None:
    install(monkeypatch, tmp_path, *there)
    with pytest.raises(Misconfigured, match=says):
        package.check_installed(version)


def test_another_commit_of_the_official_repository_is_another_edition(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, tmp_path, "torch", "indextts")
    indexed = package.edition()
    (tmp_path / "infer_v2_5.py").write_text("one = 1")
    official = package.edition()
    assert "sources" not in indexed
    assert package.edition() == official
    (tmp_path / "infer_v2_5.py").write_text("one = 2")
    assert package.edition() != official
