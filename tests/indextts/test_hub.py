"""Fetching a checkpoint by the hub's real client, from a hub on the loopback."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.utils import _http

from farm.errors import Misconfigured, Unavailable
from tests.indextts.checkpoint25 import stand_ins
from tests.indextts.hub_server import Hub, Shelf
from worker.engines.indextts.load.checkpoint import (
    CODEC,
    MAIN,
    MAIN_25,
    REPOSITORIES,
    SEMANTIC,
    VOCODER,
    find_checkpoint,
)
from worker.engines.indextts.load.hub import _PAUSES_S, fetch

EMPTY_SAFETENSORS = (2).to_bytes(8, "little") + b"{}"


@pytest.fixture
def hub(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """It has the tiny checkpoint, and a README that nobody needs."""
    shelves = {}
    for repository in REPOSITORIES["2"]:
        root = checkpoint if repository is MAIN else repository.snapshot(checkpoint / "hf_cache")
        files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        shelves[repository.name] = Shelf(repository.revision, {**files, "README.md": b"Hello."})
    shelves[SEMANTIC.name] = Shelf(
        SEMANTIC.revision, {**shelves[SEMANTIC.name].files, "model.safetensors": EMPTY_SAFETENSORS}
    )
    with Hub(shelves).open() as hub:
        _point_client_at(hub.url, monkeypatch)
        yield hub


def test_missing_files_are_fetched_at_their_revision_and_found(hub: Hub, tmp_path: Path) -> None:
    fetch("2", cache=tmp_path)

    found = find_checkpoint(cache=tmp_path)
    assert found.gpt.read_bytes() == hub.shelves[MAIN.name].files["gpt.pth"]
    assert found.codec == CODEC.snapshot(tmp_path) / "semantic_codec" / "model.safetensors"
    assert (found.emotion_model / "tokenizer.json").is_file()
    assert not list(tmp_path.rglob("README.md"))


def test_version_25_is_fetched_at_its_own_revisions_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = {one.name: Shelf(one.revision, stand_ins(one)) for one in REPOSITORIES["2.5"]}
    with Hub(shelves).open() as hub:
        _point_client_at(hub.url, monkeypatch)

        fetch("2.5", cache=tmp_path)

        found = find_checkpoint(cache=tmp_path, version="2.5")
        assert found.version == "2.5"
        assert found.codec == MAIN_25.snapshot(tmp_path) / "codec.pth"
        assert found.tokenizer.suffix == ".tiktoken"
        assert not any(CODEC.name in path for _, path, _ in hub.requests)
        hub.requests.clear()
        fetch("2.5", cache=tmp_path)
        assert hub.requests == []


def test_files_that_are_there_are_not_requested(hub: Hub, tmp_path: Path) -> None:
    fetch("2", cache=tmp_path)
    hub.requests.clear()

    fetch("2", cache=tmp_path)

    assert hub.requests == []


def test_a_folder_of_the_user_gets_its_missing_files(hub: Hub, tmp_path: Path) -> None:
    vocoder = tmp_path / "hf_cache" / "bigvgan"
    vocoder.mkdir(parents=True)
    for name in VOCODER.files:
        (vocoder / name).write_bytes(hub.shelves[VOCODER.name].files[name])

    fetch("2", tmp_path)

    found = find_checkpoint(tmp_path)
    assert found.gpt == tmp_path / "gpt.pth"
    assert found.semantic == SEMANTIC.snapshot(tmp_path / "hf_cache")
    assert found.vocoder == vocoder
    assert not any(VOCODER.name in path for _, path, _ in hub.requests)


def test_a_connection_cut_in_the_middle_is_taken_up_where_it_broke_off(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1_000_000)  # what arrives is written in such pieces
    hub.cuts["gpt.pth"] = 3_500_000

    fetch("2", cache=tmp_path)

    assert hub.ranges("gpt.pth") == [None, "bytes=3000000-"]
    assert find_checkpoint(cache=tmp_path).gpt.read_bytes() == hub.shelves[MAIN.name].files["gpt.pth"]


def test_a_fetch_that_was_given_up_goes_on_with_the_files_it_lacks(hub: Hub, tmp_path: Path) -> None:
    whole = hub.shelves
    hub.shelves = {name: shelf for name, shelf in whole.items() if name != VOCODER.name}
    with pytest.raises(Misconfigured, match=VOCODER.name):
        fetch("2", cache=tmp_path)
    hub.shelves = whole

    fetch("2", cache=tmp_path)

    assert len(hub.ranges("gpt.pth")) == 1
    find_checkpoint(cache=tmp_path)


def test_a_hub_that_stumbles_is_asked_again(hub: Hub, tmp_path: Path) -> None:
    hub.stumbles = 1
    waits: list[float] = []

    fetch("2", cache=tmp_path, wait=waits.append)

    assert waits == [_PAUSES_S[0]]
    find_checkpoint(cache=tmp_path)


def test_a_hub_that_is_down_is_asked_for_two_minutes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _point_client_at("http://127.0.0.1:9", monkeypatch)
    waits: list[float] = []

    with pytest.raises(Unavailable, match=f"{MAIN.name} can't be fetched .* python -m worker fetch indextts-2"):
        fetch("2", cache=tmp_path, wait=waits.append)

    assert waits == list(_PAUSES_S)


@pytest.mark.parametrize("status", [401, 403])
def test_a_hub_that_refuses_wants_a_licence_accepted_and_a_token(hub: Hub, tmp_path: Path, status: int) -> None:
    hub.refusal = status
    with pytest.raises(Misconfigured, match=f"refuses {MAIN.name}; accept its licence .* HF_TOKEN"):
        fetch("2", cache=tmp_path, wait=_not_at_all)


def test_a_mirror_without_the_revision_is_named(hub: Hub, tmp_path: Path) -> None:
    hub.shelves = {**hub.shelves, CODEC.name: Shelf("0" * 40, hub.shelves[CODEC.name].files)}
    with pytest.raises(Misconfigured, match=f"has no {CODEC.name} at {CODEC.revision}; if HF_ENDPOINT names a mirror"):
        fetch("2", cache=tmp_path, wait=_not_at_all)


def test_an_offline_client_sends_no_request(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    renew = getattr(_http, "reset_sessions", lambda: None)  # clients before version 1 look when they open one
    renew()
    with pytest.raises(Misconfigured, match=f"{MAIN.name} is not here, and HF_HUB_OFFLINE forbids fetching it"):
        fetch("2", cache=tmp_path, wait=_not_at_all)
    assert hub.requests == []
    renew()


def test_a_full_disk_is_reported_with_its_free_space(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file_download, "http_get", fill)
    with pytest.raises(Misconfigured, match=rf"{tmp_path} is full: \d+\.\d GB are free, and IndexTTS-2 takes about 9"):
        fetch("2", cache=tmp_path, wait=_not_at_all)


def test_a_cache_that_can_not_be_written_to_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match=f"{tmp_path}/file/cache can't be written to .* set HF_HOME"):
        fetch("2", cache=tmp_path / "file" / "cache", wait=_not_at_all)


def _point_client_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As HF_ENDPOINT does, which the client reads when it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    for module in (constants, file_download):  # clients before version 1 have a name of their own for it
        if hasattr(module, "HUGGINGFACE_CO_URL_TEMPLATE"):
            template = url + "/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def _not_at_all(pause: float) -> NoReturn:
    raise AssertionError(f"asked again after {pause} s, where that can't help")
