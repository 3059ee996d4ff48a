"""Checks that a file of a checkpoint is whole, and samples its content, without reading gigabytes.

An interrupted copy, a clone without Git LFS and a full disk leave files with the right name. A format that states its
length shows them here; other damage is found when the weights are loaded.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

from farm.errors import Misconfigured

_POINTER = b"version https://git-lfs"
_LARGEST_HEADER = 100_000_000  # of safetensors, by its specification
_TORCH = {".pth", ".pt", ".bin"}  # zip archives, and plain pickles before PyTorch 1.6
_PICKLE = b"\x80"
_ENDS, _BLOCKS, _BLOCK = 1 << 17, 64, 1 << 12


def check(path: Path) -> None:
    """Raises Misconfigured if the file is empty, cut short, or only the pointer of a file in Git LFS."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(len(_POINTER))
        if not size:
            raise Misconfigured(f"{path} is empty; delete it and fetch it again")
        if start == _POINTER:
            raise Misconfigured(f"{path} is only a pointer of Git LFS; in its folder, run: git lfs pull")
        if path.suffix == ".safetensors":
            whole = _is_safetensors_whole(path, size)
        elif path.suffix == ".json":
            whole = _is_json(path)
        elif path.suffix in _TORCH:
            whole = (
                zipfile.is_zipfile(path) if start[:2] == b"PK" else start[:1] == _PICKLE
            )  # a zip's table is at the end
        else:
            whole = True
    except OSError as error:
        raise Misconfigured(f"{path} can't be read ({error.strerror}); check the disk and who may read it") from error
    if not whole:
        raise Misconfigured(f"{path} is cut short or damaged, at {size} bytes; delete it and fetch it again")


def sample(path: Path) -> bytes:
    """32 bytes that stand for a file's size and content: a hash of the size, the first and last 128 KiB, and 64 blocks
    of 4 KiB spread over the rest. At most 512 KiB are read."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_ENDS))
        for block in range(_BLOCKS):
            file.seek(_ENDS + (size - 2 * _ENDS) * block // _BLOCKS if size > 2 * _ENDS else size)
            digest.update(file.read(_BLOCK))
        file.seek(max(0, size - _ENDS))
        digest.update(file.read())
    return digest.digest()


def _is_safetensors_whole(path: Path, size: int) -> bool:
    """The file must have eight bytes with the header's length, the header, and the bytes of tensors that it lists."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size, _LARGEST_HEADER):
            return False
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return False
    return size == 8 + length + max(ends, default=0)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True
