"""Where audio goes: looked at before any work is done, so that nobody waits for an hour in vain."""

from __future__ import annotations

import os
from pathlib import Path

from farm.audio_formats import FORMAT_OF_SUFFIX
from farm.errors import BadInput

NAME_BYTES = 255


def file_target(name: str | Path) -> Path:
    """The file that audio can be saved as. Raises BadInput otherwise."""
    target = Path(name)
    if len(os.fsencode(target.name)) > NAME_BYTES:
        raise BadInput(f"{target.name}: a file name has at most {NAME_BYTES} bytes; choose a shorter one with -o")
    if str(name).endswith("/") or target.name in ("", "..") or target.is_dir():
        raise BadInput(f"{name} is a folder; name the file in it, for example -o {target / 'book.mp3'}")
    if target.exists() and not target.is_file():  # it would be replaced, /dev/null as well
        raise BadInput(f"{target} is no regular file; choose another with -o")
    if not _takes_files(target.parent):
        raise BadInput(f"{target.parent}/ is no folder that can be written to; make it, or choose another with -o")
    return target


def folder_target(name: str | Path) -> Path:
    """The folder that files can be saved in, which is made when there is the first. Raises BadInput otherwise."""
    folder = Path(name)
    nearest = next((path for path in (folder, *folder.absolute().parents) if os.path.lexists(path)), folder)
    if not _takes_files(nearest):
        raise BadInput(f"{nearest} is no folder that can be written to; choose another with -o")
    return folder


def chapters_target(target: Path) -> Path:
    """The folder beside the file of the whole that its chapters are saved in. Raises BadInput where that can't be."""
    folder = target.with_name(f"{target.stem}-chapters")
    if len(os.fsencode(folder.name)) > NAME_BYTES:
        raise BadInput(f"{folder.name}: a folder's name has at most {NAME_BYTES} bytes; choose a shorter one with -o")
    return folder_target(folder)


def readalong_target(target: Path) -> Path:
    """The EPUB beside the file of the whole; never the book itself, which may lie there. Raises BadInput."""
    ending = "-readalong.epub"
    stem = os.fsencode(target.stem)[: NAME_BYTES - len(ending)].decode(errors="ignore")
    return file_target(target.with_name(stem + ending))


def format_of(target: Path) -> str:
    if target.suffix.lower() not in FORMAT_OF_SUFFIX:
        raise BadInput(f"{target}: no format goes by this suffix; use {' '.join(FORMAT_OF_SUFFIX)}, or say --format")
    return FORMAT_OF_SUFFIX[target.suffix.lower()]


def contradiction(target: Path, format: str) -> str | None:
    """What is to be said of a file whose suffix names another format than it has."""
    named = FORMAT_OF_SUFFIX.get(target.suffix.lower(), format)
    return f"{target} is named as {named}, and the audio is {format}" if named != format else None


def _takes_files(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
