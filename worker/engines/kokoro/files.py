"""The files of Kokoro-82M v1.0, and what tells that they are those.

Both are of one release of kokoro-onnx: the model in int8 (weights Apache-2.0, export MIT) and its voices. A file of
another release, quantised otherwise, speaks rubbish or needs other inputs. So nothing but these bytes is loaded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from farm.errors import Misconfigured

_BLOCK = 1 << 20
RELEASE = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0"
HOW_TO_FETCH = "python -m worker fetch kokoro"


@dataclass(frozen=True, slots=True)
class File:
    name: str
    size: int  # bytes
    sha256: str

    def is_present(self, folder: Path) -> bool:
        """Whether there is a file of this name, right or wrong."""
        return (folder / self.name).exists()

    def check(self, folder: Path) -> Path:
        """Its path. Raises Misconfigured where it is missing, cut short, or another file."""
        path = folder / self.name
        try:
            size = path.stat().st_size
            found = sha256(path) if size == self.size else None
        except FileNotFoundError:
            raise Misconfigured(f"{path} is missing; run: {HOW_TO_FETCH}") from None
        except OSError as error:
            raise Misconfigured(f"{path} can't be read ({error.strerror}); check who may read it") from error
        if size < self.size:
            raise Misconfigured(
                f"{path} is cut short, at {size} of {self.size} bytes; delete it and run: {HOW_TO_FETCH}"
            )
        if found != self.sha256:
            what = f"SHA-256 {found[:12]}… in place of {self.sha256[:12]}…" if found else f"{size} bytes"
            raise Misconfigured(
                f"{path} is not {self.name} of this release ({what}); delete it and run: {HOW_TO_FETCH}"
            )
        return path


MODEL = File("kokoro-v1.0.int8.onnx", 92_361_271, "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb")
VOICES = File("voices-v1.0.bin", 28_214_398, "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d")
FILES = (MODEL, VOICES)


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
