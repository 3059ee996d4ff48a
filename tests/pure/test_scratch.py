"""Temporary folders go away with their process, however it ends."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farm.scratch import Scratch, sweep

MAKES_ONE = """
from farm.scratch import Scratch
with Scratch("book") as scratch:
    (scratch.path / "audio.wav").write_bytes(b"half a book")
    print(scratch.path, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)  # so that it is asked anew
    return tmp_path


def another_process() -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a folder until it reads a line, and the folder."""
    process = subprocess.Popen((sys.executable, "-c", MAKES_ONE), stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_there_until_it_is_closed(temporary: Path) -> None:
    with Scratch("book") as scratch:
        assert scratch.path.parent == temporary
        (scratch.path / "audio.wav").write_bytes(b"half a book")
        sweep()
        assert (scratch.path / "audio.wav").exists()
    assert not any(temporary.iterdir())


def test_closing_twice_is_harmless(temporary: Path) -> None:
    scratch = Scratch("book")
    scratch.close()
    scratch.close()


def test_the_next_process_removes_the_folders_of_a_killed_one_and_no_others(temporary: Path) -> None:
    (temporary / "tts-farm-scratch-link").symlink_to(temporary / "theirs", target_is_directory=True)
    (temporary / "theirs").mkdir()
    (temporary / "theirs" / "file").touch()
    killed, left = another_process()
    living, held = another_process()
    killed.kill()
    killed.communicate()
    assert left.exists()
    with Scratch("book"):
        assert not left.exists()
        assert (held / "audio.wav").exists()
        assert (temporary / "theirs" / "file").exists()
    living.communicate("\n")
    assert not held.exists()


def test_a_folder_is_not_swept_before_its_maker_has_locked_it(temporary: Path) -> None:
    def stays(_: int) -> bool:
        with Scratch("book") as scratch:
            return scratch.path.exists()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(stays, range(400)))
    assert not any(temporary.iterdir())
