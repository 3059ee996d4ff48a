"""Finding a checkpoint: what is missing, cut short or wrong is named before anything is loaded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from farm.errors import Misconfigured
from tests.indextts.checkpoint25 import stand_ins
from worker.engines.indextts.load.checkpoint import (
    CODEC,
    MAIN,
    REPOSITORIES,
    SEMANTIC,
    SPEAKER,
    VOCODER,
    find_checkpoint,
)

NOWHERE = Path("/nonexistent/cache")
SNAPSHOTS = {repository: repository.snapshot(Path("hf_cache")) for repository in REPOSITORIES["2"]}
LOADED = [
    *("config.yaml", "bpe.model", "gpt.pth", "s2mel.pth", "wav2vec2bert_stats.pt", "feat1.pt", "feat2.pt"),
    str(SNAPSHOTS[SEMANTIC] / "config.json"),
    str(SNAPSHOTS[SEMANTIC] / "preprocessor_config.json"),
    str(SNAPSHOTS[CODEC] / "semantic_codec/model.safetensors"),
    str(SNAPSHOTS[SPEAKER] / "campplus_cn_common.bin"),
    str(SNAPSHOTS[VOCODER] / "config.json"),
    str(SNAPSHOTS[VOCODER] / "bigvgan_generator.pt"),
]


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return shutil.copytree(checkpoint, tmp_path / "model")


# --- where it is ------------------------------------------------------------------------------------------------------


def test_a_folder_brings_its_auxiliary_models_in_hf_cache(checkpoint: Path) -> None:
    found = find_checkpoint(checkpoint, NOWHERE)
    assert found.gpt == checkpoint / "gpt.pth"
    assert found.semantic == checkpoint / SNAPSHOTS[SEMANTIC]
    assert found.codec == checkpoint / SNAPSHOTS[CODEC] / "semantic_codec" / "model.safetensors"


def test_a_folder_as_the_official_repository_lays_it_out_is_found(folder: Path) -> None:
    cache = folder / "hf_cache"
    (folder / SNAPSHOTS[SEMANTIC]).rename(cache / "w2v-bert-2.0")
    (folder / SNAPSHOTS[CODEC] / "semantic_codec/model.safetensors").rename(cache / "semantic_codec_model.safetensors")
    (folder / SNAPSHOTS[SPEAKER] / "campplus_cn_common.bin").rename(cache / "campplus_cn_common.bin")
    (folder / SNAPSHOTS[VOCODER]).rename(cache / "bigvgan")

    found = find_checkpoint(folder, NOWHERE)

    assert (found.semantic, found.vocoder) == (cache / "w2v-bert-2.0", cache / "bigvgan")
    assert found.codec == cache / "semantic_codec_model.safetensors"
    assert found.speaker == cache / "campplus_cn_common.bin"


def test_files_missing_in_a_folder_are_taken_from_the_hubs_cache(folder: Path, tmp_path: Path) -> None:
    cache = (folder / "hf_cache").rename(tmp_path / "hub")
    assert find_checkpoint(folder, cache).vocoder == VOCODER.snapshot(cache)


def test_a_folder_may_hold_another_revision_than_the_pinned_one(folder: Path) -> None:
    kept = folder / SNAPSHOTS[VOCODER]
    other = kept.rename(kept.with_name("f" * 40))
    (kept.parent.parent / "refs" / "main").write_text("f" * 40 + "\n")
    assert find_checkpoint(folder, NOWHERE).vocoder == other


def test_without_a_folder_all_is_taken_from_the_hubs_cache(folder: Path) -> None:
    cache = folder / "hf_cache"
    snapshot = MAIN.snapshot(cache)
    snapshot.mkdir(parents=True)
    for path in folder.iterdir():
        if path != cache:
            path.rename(snapshot / path.name)

    found = find_checkpoint(cache=cache)

    assert found.gpt == snapshot / "gpt.pth"
    assert found.speaker == SPEAKER.snapshot(cache) / "campplus_cn_common.bin"


@pytest.fixture
def folder25(tmp_path: Path) -> Path:
    """As the official repository lays it out; with nothing in its files."""
    folder = tmp_path / "model25"
    for repository in REPOSITORIES["2.5"]:
        place = folder / "hf_cache" / repository.flat if repository.flat else folder
        for name, content in stand_ins(repository).items():
            path = place if len(repository.files) == 1 else place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder


def test_a_folder_is_of_the_version_that_its_config_says(folder25: Path, checkpoint: Path) -> None:
    found = find_checkpoint(folder25, NOWHERE)
    assert (found.version, find_checkpoint(checkpoint, NOWHERE).version) == ("2.5", "2")
    assert found.codec == folder25 / "codec.pth"
    assert found.speaker == folder25 / "hf_cache" / "campplus_cn_common.bin"
    assert set(found.required) >= {found.tokenizer, found.codec, found.gpt}


def test_a_folder_of_another_version_is_reported_with_both_remedies(folder25: Path) -> None:
    with pytest.raises(
        Misconfigured, match=r"is of IndexTTS 2\.5, and FARM_MODEL=indextts-2; set FARM_MODEL=indextts-2\.5"
    ):
        find_checkpoint(folder25, NOWHERE, version="2")


@pytest.mark.parametrize("name", ["gpt.pth", "codec.pth", "multilingual_zh_ja_yue_char_del.tiktoken"])
def test_a_missing_file_of_version_25_is_named_with_the_command_that_fetches_it(folder25: Path, name: str) -> None:
    (folder25 / name).unlink()
    with pytest.raises(Misconfigured, match=rf"2\.5 needs .*{name}, which is missing.* fetch indextts-2\.5"):
        find_checkpoint(folder25, NOWHERE)


def test_a_config_of_version_25_is_checked_by_name(folder25: Path) -> None:
    path = folder25 / "config.yaml"
    config = yaml.safe_load(path.read_text())
    del config["semantic_codec"]["vocos_dim"]
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(Misconfigured, match=rf"{path} lacks semantic_codec\.vocos_dim"):
        find_checkpoint(folder25, NOWHERE)


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(Misconfigured, match="no folder /nonexistent/model; FARM_INDEXTTS_DIR"):
        find_checkpoint(Path("/nonexistent/model"), NOWHERE)


def test_the_emotion_model_may_be_missing(folder: Path) -> None:
    shutil.rmtree(folder / "qwen0.6bemo4-merge")
    find_checkpoint(folder, NOWHERE)


def test_finding_needs_no_torch(checkpoint: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from worker.engines.indextts.load import checkpoint, hub;"
        f"checkpoint.find_checkpoint(Path({str(checkpoint)!r}));"
        "assert not {'torch', 'transformers', 'indextts'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# --- whether it is whole ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOADED)
def test_a_missing_file_is_named_with_the_command_that_fetches_it(folder: Path, name: str) -> None:
    (folder / name).unlink()
    expected = f"needs .*{Path(name).name}, which is missing; fetch it: python -m worker fetch indextts-2"
    with pytest.raises(Misconfigured, match=expected):
        find_checkpoint(folder, NOWHERE)


@pytest.mark.parametrize("name", [name for name in LOADED if name != "bpe.model"])
def test_a_file_cut_short_is_named(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(Misconfigured, match=f"{folder / name}(:| is| lacks)"):
        find_checkpoint(folder, NOWHERE)


@pytest.mark.parametrize("name", LOADED)
def test_an_empty_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    with pytest.raises(Misconfigured, match=f"{folder / name} is (empty|no mapping)"):
        find_checkpoint(folder, NOWHERE)


def test_a_pointer_of_git_lfs_is_told_from_a_damaged_file(folder: Path) -> None:
    (folder / "gpt.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    with pytest.raises(Misconfigured, match=r"gpt\.pth is only a pointer of Git LFS; .* git lfs pull"):
        find_checkpoint(folder, NOWHERE)


@pytest.mark.parametrize("header", [b"", b"\xff" * 8, b"\x09" + bytes(7) + b"not json.", b"\x02" + bytes(7) + b"[]"])
def test_a_damaged_header_of_safetensors_is_named(folder: Path, header: bytes) -> None:
    path = folder / SNAPSHOTS[CODEC] / "semantic_codec/model.safetensors"
    path.write_bytes(header + b"more")
    with pytest.raises(Misconfigured, match=r"model\.safetensors is cut short or damaged"):
        find_checkpoint(folder, NOWHERE)


# --- what its config.yaml says ----------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], None]


def _set(path: str, value: object) -> Change:
    def change(config: dict[str, Any]) -> None:
        *sections, key = path.split(".")
        for section in sections:
            config = config[section]
        config[key] = value

    return change


def _drop(path: str) -> Change:
    def change(config: dict[str, Any]) -> None:
        *sections, key = path.split(".")
        for section in sections:
            config = config[section]
        del config[key]

    return change


def _rename(path: str, name: str) -> Change:
    def change(config: dict[str, Any]) -> None:
        section = config[path.partition(".")[0]]
        section[name] = section.pop(path.partition(".")[2])

    return change


WRONG: Mapping[str, tuple[Change, str]] = {
    "a missing key": (_drop("s2mel.DiT.depth"), "lacks s2mel.DiT.depth"),
    "a missing section": (_drop("semantic_codec"), "lacks semantic_codec"),
    "a misspelt key": (_rename("gpt.layers", "layer"), "lacks gpt.layers, and has gpt.layer"),
    "a key that nobody knows": (_set("gpt.depth", 24), "has gpt.depth, which IndexTTS-2 doesn't know"),
    "a string for a number": (_set("gpt.heads", "20"), "gpt.heads is '20' and must be a whole number"),
    "true for a number": (_set("gpt.heads", True), "gpt.heads is True and must be a whole number"),
    "a number below zero": (_set("gpt.layers", -2), "gpt.layers is -2 and must be a whole number"),
    "a number for a section": (_set("s2mel.wavenet", 8), "s2mel.wavenet is 8 where keys below it belong"),
    "a number for a file": (_set("gpt_checkpoint", 3), "gpt_checkpoint is 3 and must be a string"),
    "seven emotions": (_set("emo_num", [3] * 7), "emo_num is .* and must be 8 whole numbers above 0"),
    "an emotion without rows": (_set("emo_num", [3] * 7 + [0]), "emo_num is .* must be 8 whole numbers above 0"),
    "a stop code beyond the codes": (_set("gpt.stop_mel_token", 66), "gpt.stop_mel_token is 66, beyond"),
    "another version": (_set("version", 1.5), "is of IndexTTS 1.5, and this engine renders 2 and 2.5"),
    "another vocoder": (_set("vocoder.name", "mine/vocoder"), "vocoder.name is 'mine/vocoder', .* hf_cache/bigvgan"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_config_is_reported_by_key_and_file(folder: Path, what: str) -> None:
    change, message = WRONG[what]
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(Misconfigured, match=f"{path}.*{message}"):
        find_checkpoint(folder, NOWHERE)


def test_a_config_in_broken_yaml_is_reported(folder: Path) -> None:
    (folder / "config.yaml").write_text("gpt: [")
    with pytest.raises(Misconfigured, match=r"config\.yaml is not YAML"):
        find_checkpoint(folder, NOWHERE)


# --- what names it ----------------------------------------------------------------------------------------------------


def test_the_same_files_have_the_same_revision_wherever_they_lie(checkpoint: Path, folder: Path) -> None:
    moved = folder / SNAPSHOTS[VOCODER]
    moved.rename(folder / "hf_cache" / "bigvgan")
    assert find_checkpoint(folder, NOWHERE).revision() == find_checkpoint(checkpoint, NOWHERE).revision()


@pytest.mark.parametrize("name", LOADED)
def test_another_content_is_another_revision(folder: Path, name: str) -> None:
    found = find_checkpoint(folder, NOWHERE)
    before = found.revision()
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    assert found.revision() != before


def test_one_changed_weight_is_another_revision(folder: Path) -> None:
    """Wherever it is: torch.save writes a checksum of each tensor at the end of the file."""
    import torch

    found = find_checkpoint(folder, NOWHERE)
    before = found.revision()
    state = torch.load(found.gpt, weights_only=True)
    state["mel_head.bias"][7] += 1
    torch.save(state, found.gpt)
    assert found.revision() != before


def test_a_glossary_belongs_to_the_revision(folder: Path) -> None:
    found = find_checkpoint(folder, NOWHERE)
    before = found.revision()
    (folder / "glossary.yaml").write_text("M.2: {en: M dot two}")
    assert found.revision() != before
