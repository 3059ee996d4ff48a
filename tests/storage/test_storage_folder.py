"""What only a folder does: files in place, full and broken disks, processes killed while they write."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from farm.errors import FarmError, Misconfigured, StorageRefused, StorageUnavailable
from farm.storage import LocalStorage
from tests.patience import patient


def test_an_object_is_a_file_and_has_no_url(folder: LocalStorage) -> None:
    folder.put("results/job/audio.mp3", b"audio")

    path = folder.path("results/job/audio.mp3")

    assert path is not None
    assert path.read_bytes() == b"audio"
    assert folder.path("results/job/none.mp3") is None
    assert folder.url("results/job/audio.mp3", filename="audio.mp3") is None


def test_a_folder_outlives_the_process_that_filled_it(folder: LocalStorage) -> None:
    folder.put("jobs/one/plan", b"plan")

    assert LocalStorage(folder.root).get("jobs/one/plan") == b"plan"


# --- killed processes -------------------------------------------------------------------------------------------------

_WRITE_FROM_A_PIPE = """
import sys
from pathlib import Path
from farm.storage import LocalStorage
from tests.patience import patient
LocalStorage(sys.argv[1]).put_file("results/job/audio.wav", Path(sys.argv[2]))
"""


def test_a_process_killed_while_it_writes_leaves_the_old_object(folder: LocalStorage, tmp_path: Path) -> None:
    folder.put("results/job/audio.wav", b"old")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    writer = subprocess.Popen([sys.executable, "-c", _WRITE_FROM_A_PIPE, str(folder.root), str(pipe)])
    with pipe.open("wb", buffering=0) as half:
        # A pipe holds 64 kB: what is accepted beyond that has been read by the writer.
        half.write(b"n" * 2_000_000)
        writer.kill()
        writer.wait(patient(10))

    (part,) = (folder.root / ".part").iterdir()
    assert folder.get("results/job/audio.wav") == b"old"
    assert [found.key for found in folder.list("")] == ["results/job/audio.wav"]

    os.utime(part, (time.time() - 2,) * 2)
    with part.open("rb") as another:
        fcntl.flock(another, fcntl.LOCK_EX)
        LocalStorage(folder.root)
        assert part.exists(), "another process is still writing it"
    LocalStorage(folder.root)
    assert not part.exists()


def test_a_part_is_locked_while_it_is_written(folder: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    def sweep(source: BinaryIO, target: BinaryIO, length: int) -> None:
        (part,) = (folder.root / ".part").iterdir()
        os.utime(part, (0, 0))
        LocalStorage(folder.root)
        assert part.exists()
        target.write(source.read())

    monkeypatch.setattr("farm.storage.folder.shutil.copyfileobj", sweep)
    folder.put("jobs/one/plan", b"x")
    assert folder.get("jobs/one/plan") == b"x"


def test_a_full_disk_keeps_room_for_what_else_lies_on_it(folder: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis needs some to accept that a job is deleted."""
    folder.put("jobs/one/plan", b"old")
    disk = list(os.statvfs(folder.root))
    disk[:5] = [4_096, 4_096, 10_000, 300, 300]  # 41 MB, of which 0.8 MB are spared and 0.4 MB more are free
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(disk))
    folder.put("jobs/two/plan", bytes(400_000))
    with pytest.raises(StorageUnavailable, match="no space left"):
        folder.put("jobs/two/plan", bytes(420_000))
    assert len(folder.get("jobs/two/plan")) == 400_000
    folder.delete("jobs/one/plan", "jobs/two/plan")


# --- disks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "expected", "advice"),
    [
        (errno.ENOSPC, StorageUnavailable, "no space left in .*: free some"),
        (errno.EDQUOT, StorageUnavailable, "no space left in .*: free some"),
        (errno.EFBIG, StorageUnavailable, "no space left in .*: free some"),
        (errno.EROFS, StorageUnavailable, "mounted read-only: .* mount it writable"),
        (errno.EIO, StorageUnavailable, "Input/output error; check its disk"),
        (errno.EACCES, StorageRefused, "no permission for .*: as its owner, chown"),
    ],
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_refuses_a_write_keeps_the_old_object_and_says_what_to_do(
    folder: LocalStorage,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    number: int,
    expected: type[FarmError],
    advice: str,
) -> None:
    folder.put("jobs/one/plan", b"old")

    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(os, step, refuse)
        with pytest.raises(expected, match=advice):
            folder.put("jobs/one/plan", b"new")

    assert folder.get("jobs/one/plan") == b"old"
    assert list((folder.root / ".part").iterdir()) == []
    folder.put("jobs/one/plan", b"new")
    assert folder.get("jobs/one/plan") == b"new"


@pytest.mark.parametrize(
    "verb",
    [
        lambda folder: folder.put("jobs/one/plan", b"x"),
        lambda folder: folder.get("jobs/one/plan"),
        lambda folder: folder.head("jobs/one/plan"),
        lambda folder: list(folder.list("jobs/")),
        lambda folder: folder.delete("jobs/one/plan"),
        lambda folder: folder.check(),
    ],
    ids=["put", "get", "head", "list", "delete", "check"],
)
def test_a_folder_that_is_not_mounted_is_unavailable_and_not_empty(
    folder: LocalStorage, tmp_path: Path, verb: Callable[[LocalStorage], Any]
) -> None:
    folder.put("jobs/one/plan", b"plan")
    folder.root.rename(tmp_path / "elsewhere")
    folder.root.mkdir()

    with pytest.raises(StorageUnavailable, match="is gone: mount it again"):
        verb(folder)

    assert list(folder.root.iterdir()) == []


def test_a_root_that_is_a_file_is_misconfigured(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(Misconfigured, match="is in the way"):
        LocalStorage(tmp_path / "file")


def test_a_file_where_a_folder_should_be_is_refused(folder: LocalStorage) -> None:
    (folder.root / "jobs").write_bytes(b"")

    with pytest.raises(StorageRefused, match="is in the way"):
        folder.put("jobs/one/plan", b"x")


# --- housekeeping -----------------------------------------------------------------------------------------------------


def test_a_clip_and_what_may_be_lost_is_not_synced_and_all_else_is_with_its_folders(
    folder: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def count(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}").removeprefix(str(folder.root)))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", count)

    folder.put("segments/ab/clip.flac", b"clip")
    folder.put("jobs/job/plan.json", b"a plan that a power cut may take", synced=False)
    assert synced == []

    folder.put("results/job/audio.mp3", b"audio")
    assert synced[0].startswith("/.part/")
    assert synced[1:] == ["/results/job", "/results", ""]


def test_folders_go_with_their_last_object(folder: LocalStorage) -> None:
    folder.put("jobs/one/plan", b"x")
    folder.put("jobs/two/plan", b"x")

    folder.delete("jobs/one/plan")
    assert [found.name for found in (folder.root / "jobs").iterdir()] == ["two"]
    folder.delete("jobs/two/plan")
    assert [found.name for found in folder.root.iterdir()] == [".part"]


def test_a_folder_may_be_removed_while_another_writes_into_it(folder: LocalStorage) -> None:
    done = threading.Event()

    def delete() -> None:
        while not done.is_set():
            folder.put("jobs/one/old", b"old")
            folder.delete("jobs/one/old")

    thread = threading.Thread(target=delete)
    thread.start()
    try:
        for turn in range(500):
            folder.put("jobs/one/new", b"%d" % turn)
            assert folder.get("jobs/one/new") == b"%d" % turn
            (folder.root / "jobs/one/new").unlink()
    finally:
        done.set()
        thread.join()
