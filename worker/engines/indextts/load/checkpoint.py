"""The files of a checkpoint: their sources, their places, and a check that they are whole.

    repository            files                                     in a folder of the user's
    IndexTTS-2, or -2.5   config.yaml, gpt.pth, s2mel.pth, …        FOLDER/
    w2v-bert-2.0          config.json, model.safetensors, …         FOLDER/hf_cache/w2v-bert-2.0/
    MaskGCT (2 alone)     semantic_codec/model.safetensors          FOLDER/hf_cache/semantic_codec_model.safetensors
    campplus              campplus_cn_common.bin                    FOLDER/hf_cache/campplus_cn_common.bin
    bigvgan_v2_22khz_…    config.json, bigvgan_generator.pt         FOLDER/hf_cache/bigvgan/

Without a folder, all of them are taken from the cache of the Hugging Face hub, at the revisions named here. With a
folder, a file may also lie in its hf_cache/ or in the hub's cache, in the form in which the hub's client keeps it.
Nothing is loaded and torch is not imported, so a worker with wrong files says so within a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.errors import Misconfigured
from worker.engines.indextts.load import config, integrity

EMOTION_MODEL = "qwen0.6bemo4-merge"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of the Hugging Face hub, at the revision with which this engine was made."""

    name: str
    revision: str
    files: tuple[str, ...]  # needed for rendering
    more: tuple[str, ...] = ()  # patterns of further files that are fetched too
    flat: str = ""  # its folder, or its only file, in a checkpoint's hf_cache/, named as by the official repository

    def snapshot(self, cache: Path, revision: str = "") -> Path:
        """The folder in which the hub's client keeps the files."""
        return self._kept(cache) / "snapshots" / (revision or self.revision)

    def place(self, folder: Path | None, cache: Path) -> Path:
        """Its folder, or its file where only one is needed, for a checkpoint in `folder` or all in `cache`. Where there
        is none, the place that it would have in the cache."""
        inside = self.files[0] if len(self.files) == 1 else ""
        places = [self.snapshot(cache) / inside]
        if folder is not None and not self.flat:
            places = [folder]
        elif folder is not None:
            private = folder / "hf_cache"
            places[:0] = [private / self.flat, self.snapshot(private) / inside]
            chosen = self._kept(private) / "refs" / "main"
            if chosen.exists():  # another revision, chosen by the user; the checkpoint's revision shows it
                places.insert(2, self.snapshot(private, chosen.read_text().strip()) / inside)
        return next((place for place in places if place.exists()), places[-1])

    def is_present(self, folder: Path | None, cache: Path) -> bool:
        place = self.place(folder, cache)
        return place.is_file() if len(self.files) == 1 else all((place / file).is_file() for file in self.files)

    def _kept(self, cache: Path) -> Path:
        return cache / f"models--{self.name.replace('/', '--')}"


_EMOTION_FILES = (f"{EMOTION_MODEL}/config.json", f"{EMOTION_MODEL}/model.safetensors")
_STATISTICS = ("wav2vec2bert_stats.pt", "feat1.pt", "feat2.pt")
_RANKS = "multilingual_zh_ja_yue_char_del.tiktoken"  # the package asks for it by this name
_CODEC_OF_25 = "codec.pth"

MAIN = Repository(
    "IndexTeam/IndexTTS-2",
    "740dcaff396282ffb241903d150ac011cd4b1ede",
    ("config.yaml", "bpe.model", "gpt.pth", "s2mel.pth", *_STATISTICS, *_EMOTION_FILES),
    more=(f"{EMOTION_MODEL}/*",),
)
MAIN_25 = Repository(
    "IndexTeam/IndexTTS-2.5",
    "c39ce5ba981572cb187443877ff559dfb246ce63",
    ("config.yaml", _RANKS, "gpt.pth", "s2mel.pth", _CODEC_OF_25, *_STATISTICS, *_EMOTION_FILES),
    more=(f"{EMOTION_MODEL}/*",),
)
SEMANTIC = Repository(
    "facebook/w2v-bert-2.0",
    "da985ba0987f70aaeb84a80f2851cfac8c697a7b",
    ("config.json", "preprocessor_config.json", "model.safetensors"),
    flat="w2v-bert-2.0",
)
CODEC = Repository(
    "amphion/MaskGCT",
    "265c6cef07625665d0c28d2faafb1415562379dc",
    ("semantic_codec/model.safetensors",),
    flat="semantic_codec_model.safetensors",
)
SPEAKER = Repository(
    "funasr/campplus",
    "e4b6ede7ce16997aff4ae69fbca1f0175e2afede",
    ("campplus_cn_common.bin",),
    flat="campplus_cn_common.bin",
)
VOCODER = Repository(
    "nvidia/bigvgan_v2_22khz_80band_256x",
    "633ff708ed5b74903e86ff1298cf4a98e921c513",
    ("config.json", "bigvgan_generator.pt"),
    flat="bigvgan",
)
# By version: the repositories of its checkpoint, the main one first.
REPOSITORIES = {
    "2": (MAIN, SEMANTIC, CODEC, SPEAKER, VOCODER),
    "2.5": (MAIN_25, SEMANTIC, SPEAKER, VOCODER),
}


def how_to_fetch(version: str) -> str:
    return f"python -m worker fetch indextts-{version}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The places of all files. They existed and were whole when they were found. Only the emotion model and the
    glossary may be absent."""

    version: str
    config_file: Path
    config: Mapping[str, Any]
    tokenizer: Path
    glossary: Path
    gpt: Path
    s2mel: Path
    statistics: Path  # of w2v-BERT's states: mean and variance
    emotion_rows: Path
    speaker_rows: Path
    emotion_model: Path  # a folder
    semantic: Path  # a folder
    codec: Path
    speaker: Path
    vocoder: Path  # a folder

    @property
    def required(self) -> Iterator[Path]:
        """Every file that is loaded at start, in an order that never changes."""
        yield from (self.config_file, self.tokenizer, self.gpt, self.s2mel, self.statistics)
        yield from (self.emotion_rows, self.speaker_rows, self.codec, self.speaker)
        yield from (self.semantic / "config.json", self.semantic / "preprocessor_config.json")
        yield semantic_weights(self.semantic)
        yield from (self.vocoder / "config.json", self.vocoder / "bigvgan_generator.pt")

    def revision(self) -> str:
        """12 hex digits for the sound of the checkpoint. The same files have the same revision in every folder. The
        size of each file counts, and a sample of its content: blocks spread over it, and both ends, which hold the
        checksums of every tensor in a file of torch.save."""
        digest = hashlib.sha256()
        for path in self.required:
            digest.update(integrity.sample(path))
        if self.glossary.exists():
            digest.update(self.glossary.read_bytes())
        return digest.hexdigest()[:12]


def find_checkpoint(folder: Path | None = None, cache: Path | None = None, version: str | None = None) -> Checkpoint:
    """In `folder`, whose config.yaml must be of the `version`, or else all in the hub's cache, by default of version 2.
    `cache` is the folder of the hub's cache, by default that of the hub's client.

    Raises:
        Misconfigured: a file is missing or damaged, or config.yaml asks for another network. The message names the file
            or the key, and the way to mend it.
    """
    cache = cache or hub_cache()
    if folder is not None and not folder.is_dir():
        raise Misconfigured(f"there is no folder {folder}; FARM_INDEXTTS_DIR names one with config.yaml and gpt.pth")
    main = folder or REPOSITORIES[version or "2"][0].place(None, cache)
    read = config.read(_existing(main / "config.yaml", version or "2"))
    found = config.version_of(read)
    if version not in (None, found):
        raise Misconfigured(
            f"{main / 'config.yaml'} is of IndexTTS {found}, and FARM_MODEL=indextts-{version}; "
            f"set FARM_MODEL=indextts-{found}, or FARM_INDEXTTS_DIR to the other checkpoint"
        )
    if (vocoder := read["vocoder"]["name"] if "vocoder" in read else VOCODER.name) != VOCODER.name:
        raise Misconfigured(
            f"{main / 'config.yaml'}: vocoder.name is {vocoder!r}, and this engine knows {VOCODER.name} alone; to use "
            "your own copy of it, leave the name and put its files into hf_cache/bigvgan beside config.yaml"
        )
    checkpoint = Checkpoint(
        version=found,
        config_file=main / "config.yaml",
        config=read,
        tokenizer=main / (_RANKS if found == "2.5" else read["dataset"]["bpe_model"]),
        glossary=main / "glossary.yaml",
        gpt=main / read["gpt_checkpoint"],
        s2mel=main / read["s2mel_checkpoint"],
        statistics=main / read["w2v_stat"],
        emotion_rows=main / read["emo_matrix"],
        speaker_rows=main / read["spk_matrix"],
        emotion_model=main / read.get("qwen_emo_path", EMOTION_MODEL),
        semantic=SEMANTIC.place(folder, cache),
        codec=main / _CODEC_OF_25 if found == "2.5" else CODEC.place(folder, cache),
        speaker=SPEAKER.place(folder, cache),
        vocoder=VOCODER.place(folder, cache),
    )
    for path in checkpoint.required:
        integrity.check(_existing(path, found))
    return checkpoint


def semantic_weights(folder: Path) -> Path:
    """The hub has w2v-BERT as safetensors. A copy made with torch.save is accepted too."""
    saved = folder / "pytorch_model.bin"
    return saved if saved.exists() else folder / "model.safetensors"


def _existing(path: Path, version: str) -> Path:
    if not path.is_file():
        raise Misconfigured(f"IndexTTS-{version} needs {path}, which is missing; fetch it: {how_to_fetch(version)}")
    return path


def hub_cache() -> Path:
    """The folder in which the hub's client keeps its files: HF_HUB_CACHE, or below HF_HOME."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)
