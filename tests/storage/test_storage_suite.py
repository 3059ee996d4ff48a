"""What every storage keeps to, tried on a folder and on a bucket."""

from __future__ import annotations

import errno
import hashlib
import io
import multiprocessing
import random
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from farm.errors import ObjectMissing, StorageUnavailable
from farm.storage import Storage
from tests.patience import patient
from tests.s3_server import PAGE

MB = 1024 * 1024
BOOK = random.Random(7).randbytes(12 * MB)  # three parts of an upload


# --- one object -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 400], ids=["empty", "one byte", "100 kB"])
def test_an_object_is_read_back_as_it_was_put(storage: Storage, data: bytes) -> None:
    storage.put("segments/ab/clip.flac", data, "audio/flac")

    assert storage.get("segments/ab/clip.flac") == data
    with storage.open("segments/ab/clip.flac") as stream:
        assert stream.read() == data


@pytest.mark.parametrize("span", [(0, 4), (3, 4), (8, 100), (5, None), (0, 0), (9, 1), (10, None), (10, 5), (99, 1)])
def test_a_range_is_a_slice_of_the_object(storage: Storage, span: tuple[int, int | None]) -> None:
    start, length = span
    storage.put("results/job/audio.mp3", b"0123456789")

    assert storage.get("results/job/audio.mp3", start, length) == b"0123456789"[start:][:length]


def test_a_range_of_an_empty_object_is_empty(storage: Storage) -> None:
    storage.put("results/job/empty", b"")

    assert storage.get("results/job/empty", 0, 10) == b""


@pytest.mark.parametrize("span", [(-1, None), (0, -1)])
def test_a_negative_range_is_refused(storage: Storage, span: tuple[int, int | None]) -> None:
    storage.put("results/job/audio.mp3", b"0123456789")

    with pytest.raises(ValueError, match="must not be negative"):
        storage.get("results/job/audio.mp3", *span)


def test_head_tells_size_and_time(storage: Storage) -> None:
    storage.put("results/job/audio.mp3", b"x" * 1234)

    found = storage.head("results/job/audio.mp3")

    assert found is not None
    assert (found.key, found.size) == ("results/job/audio.mp3", 1234)
    assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=1)


def test_a_missing_object_has_no_head_and_cannot_be_read(storage: Storage) -> None:
    storage.put("jobs/one/plan", b"plan")

    for missing in ("jobs/two/plan", "jobs/one", "jobs/one/plan/page"):
        assert storage.head(missing) is None
        with pytest.raises(ObjectMissing, match=f"^storage has no object {missing}$"):  # a tenant may see this
            storage.get(missing)
        with pytest.raises(ObjectMissing, match=missing):
            storage.get(missing, 5, 10)
        with pytest.raises(ObjectMissing, match=missing):
            storage.open(missing)


def test_a_second_put_replaces_the_first(storage: Storage) -> None:
    storage.put("jobs/one/plan", b"a longer first plan")
    storage.put("jobs/one/plan", b"second")

    assert storage.get("jobs/one/plan") == b"second"


@pytest.mark.parametrize(
    "key", ["voices/тест/日本語 é.flac", "jobs/a+b%20c&d=e?f#g/~'(1)*.json", "segments/ab/" + "x" * 255]
)
def test_keys_may_hold_any_printable_name(storage: Storage, key: str) -> None:
    storage.put(key, b"here")

    assert storage.get(key) == b"here"
    assert [found.key for found in storage.list(key.rpartition("/")[0])] == [key]
    storage.delete(key)
    assert storage.head(key) is None


BAD_KEYS = ["", "/etc/passwd", "../up", "jobs/../../up", "jobs/./plan", "jobs//plan", "jobs/", ".part/x", "jobs/.hide",
            "nul\0", "line\nbreak", "back\\slash", "\ud800", "x" * 256, "x/" * 500 + "x"]  # fmt: skip


@pytest.mark.parametrize("key", BAD_KEYS, ids=[ascii(key)[:20] for key in BAD_KEYS])
def test_a_key_that_leads_elsewhere_is_refused(storage: Storage, key: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    verbs: list[Callable[[], Any]] = [
        lambda: storage.put(key, b"x"),
        lambda: storage.put_file(key, file),
        lambda: storage.get(key),
        lambda: storage.open(key),
        lambda: storage.head(key),
        lambda: storage.delete("fine", key),
    ]
    for verb in verbs:
        with pytest.raises(ValueError, match=r"is no key|is too long"):
            verb()


# --- many objects -----------------------------------------------------------------------------------------------------


def test_a_listing_longer_than_a_page_is_complete_and_in_order(storage: Storage) -> None:
    keys = sorted(f"jobs/{number:03}/plan" for number in range(PAGE + 20))
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: storage.put(key, key.encode()), random.Random(1).sample(keys, len(keys))))

    assert [found.key for found in storage.list("jobs/")] == keys
    assert {found.size for found in storage.list("jobs/")} == {len("jobs/000/plan")}

    storage.delete(*keys)
    assert list(storage.list("")) == []


def test_a_prefix_is_the_beginning_of_a_key_and_need_not_end_at_a_slash(storage: Storage) -> None:
    keys = ["jobs/a-b/1", "jobs/a/1", "jobs/a/2", "jobs/ab", "jobs/b", "jobs.old/a"]
    for key in keys:
        storage.put(key, b"x")

    def listed(prefix: str) -> list[str]:
        return [found.key for found in storage.list(prefix)]

    assert listed("") == sorted(keys)
    assert listed("jobs") == sorted(keys)
    assert listed("jobs/a") == ["jobs/a-b/1", "jobs/a/1", "jobs/a/2", "jobs/ab"]
    assert listed("jobs/a/") == ["jobs/a/1", "jobs/a/2"]
    assert listed("jobs/a/2") == ["jobs/a/2"]
    assert listed("nothing/") == []


@pytest.mark.parametrize("prefix", ["/", "../", "jobs//", ".part/"])
def test_a_prefix_that_leads_elsewhere_is_refused(storage: Storage, prefix: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        list(storage.list(prefix))


def test_deleting_a_missing_object_is_no_error(storage: Storage) -> None:
    storage.put("jobs/one/plan", b"x")
    storage.put("jobs/two/plan", b"x")

    storage.delete()
    storage.delete("jobs/none/plan")
    storage.delete("jobs/one/plan", "jobs/none/plan")

    assert [found.key for found in storage.list("")] == ["jobs/two/plan"]


# --- large objects ----------------------------------------------------------------------------------------------------


def test_a_file_travels_whole_and_stays_where_it_was(storage: Storage, tmp_path: Path) -> None:
    for data in (b"small", BOOK):
        file = tmp_path / "audio.wav"
        file.write_bytes(data)

        storage.put_file("results/job/audio.wav", file, "audio/wav")

        found = storage.head("results/job/audio.wav")
        assert found is not None
        assert found.size == len(data)
        assert storage.get("results/job/audio.wav") == data
        assert storage.get("results/job/audio.wav", 6 * MB, 100) == data[6 * MB :][:100]
        assert file.read_bytes() == data


def test_a_large_object_streams_in_little_memory(storage: Storage) -> None:
    storage.put("results/job/audio.wav", BOOK)
    storage.head("results/job/audio.wav")
    digest = hashlib.sha256()

    tracemalloc.start()
    with storage.open("results/job/audio.wav") as stream:
        while piece := stream.read(64 * 1024):
            digest.update(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert digest.digest() == hashlib.sha256(BOOK).digest()
    assert peak < 4 * MB


class TornFile(type(Path())):  # type: ignore[misc]
    """A file on a disk that breaks after 6 MB."""

    def open(self, *_: Any, **__: Any) -> BinaryIO:
        class Torn(io.FileIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if self.tell() >= 6 * MB:
                    raise OSError(errno.EIO, "Input/output error")
                return super().read(size) or b""

        return Torn(str(self))


def test_an_upload_that_fails_halfway_leaves_the_old_object_and_nothing_else(
    storage: Storage, tmp_path: Path, leftovers: Callable[[Storage], list[str]]
) -> None:
    storage.put("results/job/audio.wav", b"old")
    torn = TornFile(tmp_path / "new.wav")
    Path(torn).write_bytes(BOOK)

    with pytest.raises((OSError, StorageUnavailable), match=r"Input/output error"):
        storage.put_file("results/job/audio.wav", torn)

    assert storage.get("results/job/audio.wav") == b"old"
    assert [found.key for found in storage.list("")] == ["results/job/audio.wav"]
    assert leftovers(storage) == []


# --- together ---------------------------------------------------------------------------------------------------------


def test_32_threads_share_one_storage(storage: Storage) -> None:
    def work(thread: int) -> None:
        for round_ in range(3):
            key, data = f"segments/{thread:02}/{round_}", bytes([thread]) * (1000 + round_)
            assert storage.head(key) is None
            storage.put(key, data)
            assert storage.get(key) == data
            found = storage.head(key)
            assert found is not None
            assert found.size == len(data)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(work, range(32)))

    assert len(list(storage.list("segments/"))) == 96


def test_a_reader_sees_the_old_object_or_the_new_one_and_never_a_mixture(storage: Storage) -> None:
    versions = [bytes([number]) * (200_000 + 50_000 * number) for number in range(4)]
    storage.put("results/job/audio", versions[0])

    def write(turn: int) -> None:
        storage.put("results/job/audio", versions[turn % 4])

    def read(turn: int) -> bytes:
        return storage.get("results/job/audio")

    with ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(write, turn) for turn in range(40)]
        reads = [pool.submit(read, turn) for turn in range(40)]
        assert all(answer.result() in versions for answer in reads)
        for answer in writes:
            answer.result()


def _read_own(storage: Storage, reader: int) -> None:
    for _ in range(30):
        assert storage.get(f"jobs/{reader}/plan") == b"%d" % reader * 1000


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_storage_in_use_survives_a_fork_on_both_sides(storage: Storage) -> None:
    for reader in range(3):
        storage.put(f"jobs/{reader}/plan", b"%d" % reader * 1000)

    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_read_own, args=(storage, reader)) for reader in (1, 2)]
    for child in children:
        child.start()
    _read_own(storage, 0)
    for child in children:
        child.join(patient(30))

    assert [child.exitcode for child in children] == [0, 0]


def test_a_check_of_a_sound_storage_leaves_nothing(storage: Storage) -> None:
    storage.check()

    assert list(storage.list("")) == []
