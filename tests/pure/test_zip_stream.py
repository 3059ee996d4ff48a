from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.zip_stream import Entry, zip_length, zip_stream
from farm.errors import StorageUnavailable

MOMENT = datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC)
FILES = st.dictionaries(st.text(st.characters(exclude_characters="\0/\\", codec="utf-8"), min_size=1, max_size=9),
                        st.binary(max_size=200), max_size=9)  # fmt: skip


def entries(files: Mapping[str, bytes]) -> list[Entry]:
    return [Entry(name, len(data), MOMENT, name) for name, data in files.items()]


def written(files: Mapping[str, bytes]) -> bytes:
    def read(key: str) -> Iterator[bytes]:
        yield from (files[key][place : place + 64] for place in range(0, len(files[key]), 64))

    return b"".join(zip_stream(entries(files), read))


@given(FILES)
def test_an_archive_holds_its_files_and_is_as_long_as_was_said(files: dict[str, bytes]) -> None:
    archive = written(files)
    assert len(archive) == zip_length(entries(files))
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        assert {info.filename: opened.read(info) for info in opened.infolist()} == files
        assert all(info.date_time == (2026, 3, 4, 5, 6, 8) for info in opened.infolist())
        assert all(info.compress_type == zipfile.ZIP_STORED for info in opened.infolist())


@given(FILES, st.integers(1, 900), st.integers(1, 9))
def test_the_length_is_right_wherever_64_bits_begin(files: dict[str, bytes], limit: int, count: int) -> None:
    """The limits of the format are lowered, because an archive of 2 GiB takes seconds."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(zipfile, "ZIP64_LIMIT", limit)
        patched.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", count)
        archive = written(files)
        assert len(archive) == zip_length(entries(files))
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert {info.filename: opened.read(info) for info in opened.infolist()} == files


def test_more_files_than_16_bits_count_are_an_archive() -> None:
    files = {str(number): b"" for number in range(65_537)}
    archive = written(files)
    assert len(archive) == zip_length(entries(files))
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert len(opened.infolist()) == len(files)


@pytest.mark.parametrize("found", [b"", b"tw", b"twoo"])
def test_an_object_of_another_size_ends_the_stream_without_its_end(found: bytes) -> None:
    stream = zip_stream(
        [Entry("one", 3, MOMENT, "one"), Entry("two", 3, MOMENT, "two")],
        lambda key: iter([b"one"] if key == "one" else [found]),
    )
    received: list[bytes] = []
    with pytest.raises(StorageUnavailable, match="'two' has another size"):
        received.extend(stream)
    assert b"one" in b"".join(received)
    assert b"PK\x05\x06" not in b"".join(received)


def test_one_chunk_is_read_when_one_is_asked_for() -> None:
    reads = []

    def read(key: str) -> Iterator[bytes]:
        for number in range(1000):
            reads.append(number)
            yield bytes(100)

    stream = zip_stream([Entry("a", 100_000, MOMENT, "a")], read)
    for taken in range(1, 4):
        assert len(next(stream)) < 200
        assert len(reads) == taken
